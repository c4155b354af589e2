"""Images sorted into one folder a cluster, by links or copies; what others put there stays."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Literal

from imclust.core.checks import disk_space
from imclust.core.errors import input_error
from imclust.core.files import new_folder, replace_text
from imclust.core.log import say
from imclust.data.images import ImageRow, read_bytes, stored_bytes
from imclust.report.results import FolderAssignment

RECORD = ".imclust.json"  # in such a folder: what was put there
LONGEST = 255  # bytes of a file's name that file systems take


def write_cluster_folders(folder: Path, clustering: FolderAssignment, *, copy: bool) -> bool:
    """Make `folder/<cluster>/<image>` for every image; returns whether it had to be made.

    Built beside the folder and renamed into place. A folder of an earlier answer is replaced when
    nothing but its own links and copies lies in it; else it is kept, as `folder (1)`, `(2)`, ...

    Parameters
    ----------
    folder : Path
        Where; its parent is there.
    copy : bool
        Copies of the files instead of symbolic links to them.

    Raises
    ------
    InputError
        Images lie in an archive, or the file system knows no links: copies are needed.

    Examples
    --------
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> write_cluster_folders(Path("by-cluster"), clustering, copy=False)
    True
    >>> len(list(Path("by-cluster/1").iterdir()))
    12
    """
    wanted = planned_places(clustering)
    order = {"copy": copy, "files": {at: _origin(image) for at, image in wanted.items()}}
    key = hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()
    record = _record(folder)
    if record.get("key") == key and _untouched(folder, record):
        return False
    if copy:
        disk_space(folder, sum(map(stored_bytes, clustering.images)))
    with new_folder(folder) as fresh:
        for at, image in wanted.items():
            (fresh / at).parent.mkdir(parents=True, exist_ok=True)
            _put(image, fresh / at, copy=copy)
        made = {at: _mark(fresh / at) for at in wanted}
        replace_text(fresh / RECORD, json.dumps({"key": key, "made": made}))
        _make_room(folder)
    return True


def kind_of_folders(folder: Path) -> Literal["links", "copies", ""]:
    """What an earlier answer put there, so that it can be made anew of this one.

    Examples
    --------
    >>> kind_of_folders(Path("/nowhere"))
    ''
    """
    made = _record(folder).get("made")
    if not isinstance(made, dict):
        return ""
    return "copies" if any(len(mark) == 2 for mark in made.values()) else "links"


def planned_places(clustering: FolderAssignment, longest: int = LONGEST) -> dict[str, ImageRow]:
    """Path below a folder of clusters -> image, in the order of the rows.

    Files of one name in several sub-folders stay apart, also where a file system does not tell
    capitals, or ways to write an accent, apart.

    Parameters
    ----------
    clustering : FolderAssignment
        Every image with its cluster.
    longest : int
        Bytes of a name that are allowed.

    Examples
    --------
    >>> places = planned_places(FolderAssignment.load(Path("run/clusters"), Path("raw/index")))
    >>> [(at, image.id) for at, image in places.items()][:2]
    [('1/00-8d9b8e4c0e.png', 'dune/00.png'), ('1/01-850910df0a.png', 'dune/01.png')]
    """
    k = len(clustering.names)
    width = len(str(k - 1))  # programs number such folders by their sorted names
    folders = [_folder_name(f"{c:0{width}}" + clustering.title(c)[len(str(c)) :]) for c in range(k)]
    plain = [PurePosixPath(row.file).name for row in clustering.rows]
    often = Counter(map(_folded, plain))
    found: dict[str, ImageRow] = {}
    taken = set[str]()
    for row, name, image in zip(clustering.rows, plain, clustering.images, strict=True):
        if often[_folded(name)] > 1 or name == RECORD or len(os.fsencode(name)) > longest:
            name = _apart(row.file, longest)
        while _folded(at := f"{folders[row.cluster]}/{name}") in taken:
            name = _apart(name, longest)
        taken.add(_folded(at))
        found[at] = image
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _apart(file: str, longest: int) -> str:
    """`a-1f2e3d4c5b.jpg` for `sub/a.jpg`: a name that no other file has."""
    path = PurePosixPath(file)
    tail = f"-{hashlib.sha256(os.fsencode(file)).hexdigest()[:10]}{path.suffix}"
    return _shortened(path.stem, longest - len(os.fsencode(tail))) + tail


def _folder_name(title: str) -> str:
    """A cluster's title without what file systems refuse."""
    clean = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in title)
    return _shortened(clean, 100).rstrip(". ")


def _shortened(text: str, most: int) -> str:
    return text.encode(errors="ignore")[:most].decode(errors="ignore")


def _origin(image: ImageRow) -> list[str]:
    return [image.source, image.member, image.digest]


def _put(image: ImageRow, to: Path, *, copy: bool) -> None:
    if copy:
        if image.member:
            to.write_bytes(read_bytes(image))
        else:
            shutil.copyfile(image.source, to)
        return
    if image.member:
        do = "add --copy for copies"
        raise input_error(
            "images to link to", "files of their own", f"images in {image.source}", do
        )
    try:
        to.symlink_to(image.source)
    except (OSError, NotImplementedError) as e:
        do = "add --copy for copies"
        raise input_error(f"the disk of {to.parents[1]}", "able to hold links", e, do) from None


def _mark(path: Path) -> list[str | int]:
    """What tells a link or copy of ours from anything else."""
    if path.is_symlink():
        return [os.readlink(path)]
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _record(folder: Path) -> dict[str, object]:
    try:
        doc: dict[str, object] = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return doc


def _untouched(folder: Path, record: dict[str, object]) -> bool:
    """Whether the folder holds what was put there, all of it, and nothing else."""
    made = record.get("made")
    if not isinstance(made, dict):
        return False
    here = [p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()]
    names = {p.relative_to(folder).as_posix(): p for p in here}
    names.pop(RECORD, None)
    empty = any(p.is_dir() and not any(p.iterdir()) for p in folder.rglob("*"))
    same = names.keys() == made.keys() and all(_mark(p) == made[n] for n, p in names.items())
    return same and not empty


def _make_room(folder: Path) -> None:
    """Take away a folder that is all ours; give another one a new name."""
    if not os.path.lexists(folder):
        return
    if _untouched(folder, _record(folder)):
        shutil.rmtree(folder)
        return
    number = 1
    while os.path.lexists(kept := folder.with_name(f"{folder.name} ({number})")):
        number += 1
    os.rename(folder, kept)
    say(f"{folder} holds what was changed or put there since: it is kept as {kept}")
