"""Images sorted for real: copied, moved or linked into a folder a cluster, with a record of it.

The record is written before the first file is touched and names every file, where it comes from,
and its digest. What is not done after a kill or a full disk is told from the disk: the same call
goes on, and `undo` takes back what there is.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from imclust.core.checks import disk_space
from imclust.core.errors import InputError, input_error
from imclust.core.file_moves import bring_file, copy_file, put_file, short_file_digest
from imclust.core.files import replace_text
from imclust.core.log import progress
from imclust.core.manifest import parse_json, sealed
from imclust.core.wording import counted
from imclust.data.images import ImageRow, bytes_digest, read_bytes, stored_bytes
from imclust.report.cluster_folders import LONGEST, planned_places
from imclust.report.results import FolderAssignment
from imclust.report.xmp import sidecar

RECORD = "imclust-sorted.json"
PARTIAL = ".imclust-sorted.partial"
FORMAT = "imclust-sorted-1"
XMP = ".xmp"
SHOWN = 3  # files that a refusal names
Way = Literal["copy", "move", "link"]


@dataclass(frozen=True)
class Placed:
    """One file of a sorted folder.

    Parameters
    ----------
    to : str
        Its path below the folder.
    source : str
        The image's own file, or the archive that holds it; "" for a sidecar.
    member : str
        Its name in the archive, or "".
    digest : str
        16 hexadecimal digits of its sha256.
    keyword : str
        Of a sidecar; else "".
    """

    to: str
    source: str
    member: str
    digest: str
    keyword: str = ""


@dataclass(frozen=True)
class Sorting:
    """What is to be sorted, and how.

    Parameters
    ----------
    folder : Path
        Where it goes; absolute.
    how : {"copy", "move", "link"}
        What is done with the images.
    files : tuple of Placed
        Every file that is made.
    made_folders : tuple of str
        Folders that were not there before, below the folder; "." is itself.
    finished : bool
        Whether all of it was made.
    """

    folder: Path
    how: Way
    files: tuple[Placed, ...]
    made_folders: tuple[str, ...] = ()
    finished: bool = False

    @property
    def partial(self) -> Path:
        """Where a copy is made."""
        return self.folder / PARTIAL

    def same(self, other: Sorting) -> bool:
        """Whether both make the same files in the same way."""
        return (self.how, self.files) == (other.how, other.files)

    def save(self) -> None:
        """Write the record, in one step."""
        doc = {
            "format": FORMAT,
            "how": self.how,
            "finished": self.finished,
            "made_folders": self.made_folders,
            "files": [asdict(f) for f in self.files],
        }
        replace_text(self.folder / RECORD, json.dumps(sealed(doc), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Sorting | None:
        """The record in a folder; None where there is none.

        Raises
        ------
        InputError
            There is one that was edited, or is no record.
        """
        path = folder / RECORD
        if not os.path.lexists(path):
            return None
        doc: dict[str, Any] | None = parse_json(path)
        if doc is None or doc.get("format") != FORMAT or sealed(doc) != doc:
            allowed, got = "as imclust wrote it", "another text"
            do = "bring back the old one: it says where every image came from"
            raise input_error(str(path), allowed, got, do)
        files = tuple(Placed(**f) for f in doc["files"])
        return cls(folder, doc["how"], files, tuple(doc["made_folders"]), doc["finished"])


def planned_sorting(
    clustering: FolderAssignment, folder: Path, how: Way, *, xmp: bool = False
) -> Sorting:
    """What sorting an assignment into a folder would make; nothing is done.

    Parameters
    ----------
    clustering : FolderAssignment
        The assignment.
    folder : Path
        Where to.
    how : {"copy", "move", "link"}
        What is done with the images.
    xmp : bool
        A sidecar with the cluster's name beside every image.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> sorting = planned_sorting(clustering, Path("sorted"), "copy")
    >>> len(sorting.files), sorting.files[0].to
    (24, '1/00-8d9b8e4c0e.png')
    """
    places = planned_places(clustering, LONGEST - len(XMP) * xmp)
    files = [Placed(at, image.source, image.member, image.digest) for at, image in places.items()]
    if xmp:
        for row, at in zip(clustering.rows, places, strict=True):
            word = row.name or f"cluster {row.cluster}"
            digest = bytes_digest(sidecar([word]).encode())
            files.append(Placed(at + XMP, "", "", digest, word))
    return Sorting(folder.expanduser().resolve(), how, tuple(files))


def refuse_unsafe(sorting: Sorting, images: Sequence[ImageRow], data: Path) -> None:
    """Refuse a sorting that could lose or hide something; every image is read once.

    Parameters
    ----------
    sorting : Sorting
        As planned; what an interrupted one has made already is looked at too.
    images : sequence of ImageRow
        Those that are sorted.
    data : Path
        The folder or archive that they come from.

    Raises
    ------
    InputError
        Why not.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> sorting = planned_sorting(clustering, Path("sorted"), "copy")
    >>> refuse_unsafe(sorting, clustering.images, Path("photos").resolve())  # it is safe
    """
    folder = sorting.folder
    if os.path.lexists(folder) and not folder.is_dir():
        raise input_error(f"--into {folder}", "a folder", "a file", "choose another name")
    if not folder.parent.is_dir():
        got = f"{folder.parent}, which does not exist"
        raise input_error("the place of --into", "a folder that is there", got, "make it first")
    if folder.is_relative_to(data) or data.is_relative_to(folder):
        got = f"{folder}, in one with {data}"
        do = "choose a folder beside them: what is sorted must not be found as new images"
        raise input_error("--into", "outside of the images", got, do)
    earlier = Sorting.load(folder)
    if earlier and not earlier.same(sorting):
        got = f"another sorting, {'finished' if earlier.finished else 'unfinished'}"
        do = f"take it back with `python -m imclust sort --into {folder} --undo --yes`, or choose "
        raise input_error(str(folder), "free for a sorting", got, f"{do}another folder")
    _refuse_archives(sorting, images)
    _refuse_taken(sorting, earlier)
    _refuse_changed(sorting)
    here = folder if folder.is_dir() else folder.parent
    across = {os.stat(image.source).st_dev for image in images if os.path.exists(image.source)}
    if sorting.how == "copy" or (sorting.how == "move" and across - {os.stat(here).st_dev}):
        left = [i for i, f in zip(images, sorting.files, strict=False) if not _there(sorting, f)]
        disk_space(folder, sum(map(stored_bytes, left)))


def carry_out(sorting: Sorting) -> None:
    """Make every file that is not there yet; the record is there before the first of them.

    Raises
    ------
    InputError
        A file came to a place that must be free, or an image changed in between: the rest is
        done, or taken back, later.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> carry_out(planned_sorting(clustering, Path("sorted"), "copy"))
    >>> len(list(Path("sorted").rglob("*.png")))
    24
    """
    earlier = Sorting.load(sorting.folder)
    if earlier is None:
        folders = {".", *(str(Path(f.to).parent) for f in sorting.files)}
        new = sorted(f for f in folders if not (sorting.folder / f).is_dir())
        sorting = Sorting(sorting.folder, sorting.how, sorting.files, tuple(new))
        sorting.folder.mkdir(exist_ok=True)
        sorting.save()
    else:
        sorting = earlier
    for file in progress(sorting.files, sorting.how, total=len(sorting.files), unit="file"):
        _make(sorting, file)
    sorting.partial.unlink(missing_ok=True)
    Sorting(sorting.folder, sorting.how, sorting.files, sorting.made_folders, True).save()


def is_made(sorting: Sorting, file: Placed) -> bool:
    """Whether a file of the record is there and is as it was made.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> sorting = planned_sorting(clustering, Path("sorted"), "copy")
    >>> carry_out(sorting)
    >>> is_made(sorting, sorting.files[0])
    True
    """
    to = sorting.folder / file.to
    if sorting.how == "link" and file.source:
        return to.is_symlink() and os.readlink(to) == file.source
    return _holds(to, file.digest)


def is_original(sorting: Sorting, file: Placed) -> bool:
    """Whether an image is where it came from; one in an archive is not looked at again.

    A link counts where links were sorted, and never one that leads into the sorted folder.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> sorting = planned_sorting(clustering, Path("sorted"), "copy")
    >>> is_original(sorting, sorting.files[0])
    True
    """
    path = Path(file.source)
    if file.member:
        return path.is_file()
    if path.is_symlink():
        path = path.resolve()
        if sorting.how == "move" or path.is_relative_to(sorting.folder):
            return False
    return _holds(path, file.digest)


def _holds(path: Path, digest: str) -> bool:
    return not path.is_symlink() and path.is_file() and short_file_digest(path) == digest


def _there(sorting: Sorting, file: Placed) -> bool:
    return os.path.lexists(sorting.folder / file.to)


def _make(sorting: Sorting, file: Placed) -> None:
    to = sorting.folder / file.to
    to.parent.mkdir(exist_ok=True)
    if _there(sorting, file):
        if not is_made(sorting, file):
            raise input_error(str(to), "free", "a file of somebody's", "move or rename it")
        if sorting.how == "move" and file.source and is_original(sorting, file):
            os.unlink(file.source)  # killed between its second name and this
        return
    if not file.source:
        text = sidecar([file.keyword]).encode()
        put_file(lambda fresh: fresh.write_bytes(text), to, sorting.partial, file.digest)
    elif sorting.how == "link":
        os.symlink(file.source, to)
    elif sorting.how == "move":
        bring_file(Path(file.source), to, sorting.partial, file.digest)
    elif file.member:
        row = ImageRow("", "", file.source, file.member)
        put_file(lambda fresh: fresh.write_bytes(read_bytes(row)), to, sorting.partial, file.digest)
    else:
        copy_file(Path(file.source), to, sorting.partial, file.digest)


def _refuse_archives(sorting: Sorting, images: Sequence[ImageRow]) -> None:
    inside = [image for image in images if image.member]
    if any(image.source.endswith(".npy") for image in inside):
        got = f"rows of {inside[0].source}"
        raise input_error("images to sort", "files", got, "take a challenge that has image files")
    if inside and sorting.how != "copy":
        got = f"images in {inside[0].source}"
        raise input_error(f"images to {sorting.how}", "files of their own", got, "take --how copy")
    if sorting.how != "move":
        return
    links = [i.source for i in images if Path(i.source).resolve() != Path(i.source)]
    if links:
        got = f"{len(links)} behind a link, the first {links[0]}"
        raise input_error("images to move", "files of this folder", got, "take --how copy or link")


def _refuse_taken(sorting: Sorting, earlier: Sorting | None) -> None:
    taken = [f.to for f in sorting.files if _there(sorting, f)]
    taken += [PARTIAL] * os.path.lexists(sorting.partial)
    parents = sorted({str(Path(f.to).parent) for f in sorting.files})
    blocked = [p for p in parents if os.path.lexists(at := sorting.folder / p) and not at.is_dir()]
    if earlier:
        taken = [f.to for f in sorting.files if _there(sorting, f) and not is_made(sorting, f)]
    if taken := taken + blocked:
        got = f"{counted(len(taken), 'file')} that would be replaced: {', '.join(taken[:SHOWN])}"
        raise input_error(str(sorting.folder), "free of them", got, "choose another folder")


def _refuse_changed(sorting: Sorting) -> None:
    """Refuse images that are not those of the assignment; moved ones lie in the folder already."""
    why = Counter[str]()
    first = ""
    images = [f for f in sorting.files if f.source]
    for file in progress(images, "check", total=len(images), unit="img"):
        problem = "" if is_made(sorting, file) else _problem(file)
        why[problem] += 1
        first = first or (f"{file.source} {problem}" if problem else "")
    if first:
        raise InputError(
            f"the images must be as they were clustered; got {why.total() - why['']} that are not, "
            f"the first {first}; take an earlier move back with `sort --into THERE --undo`, or run "
            "cluster-folder again first."
        )


def _problem(file: Placed) -> str:
    if not Path(file.source).is_file():
        return "has gone"
    if file.member:
        data = read_bytes(ImageRow("", "", file.source, file.member))
        return "" if bytes_digest(data) == file.digest else "has changed"
    return "" if short_file_digest(Path(file.source)) == file.digest else "has changed"
