"""`folder`: a folder or zip of images, in the order of sample_submission.csv where there is one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, image_files
from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.wording import counted
from imclust.data.images import ImageRow


@dataclass(frozen=True)
class FolderConfig(LocalData):
    """Images in a folder (also nested) or a zip. You say how many clusters: K=<n>."""

    least: int = 2
    """So many images must be there; 1 will do where they are placed among others."""

    def __post_init__(self) -> None:
        in_range("folder", "least", self.least, 1, float("inf"))


@CHALLENGES.register("folder", FolderConfig, paper="anybody's images")
def folder(cfg: LocalData, files: Path) -> Challenge:
    """Ids are those of sample_submission.csv, which also fixes order and header.

    A sample's id may be an image's path, name, or either without its suffix. Without a sample,
    ids are the paths below the folder.

    Examples
    --------
    >>> challenge = folder(FolderConfig(Path("photos")), Path("files"))
    24 images found, 1 file left out: 1 .csv
    >>> [row.id for row in challenge.rows][:2]
    ['dune/00.png', 'dune/01.png']
    """
    data = cfg.data_dir.resolve()
    least = cfg.least if isinstance(cfg, FolderConfig) else 2
    found = image_files(data, least)
    names = [image_name(data, f) for f in found]
    there = cfg.find_sample(files, _spellings(names), len(found))
    if there is None:
        rows = [image_row(name, f) for name, f in zip(names, found, strict=True)]
        return Challenge(rows, least=least)
    sample, name = there.sample, there.path.name
    if sample.form == "lines":
        _in_row_order(names, name, said=cfg.ids_in_row_order)
        rows = [image_row(i, f) for i, f in zip(names, found, strict=True)]
        return Challenge(rows, sample=there.path, sample_format=there.form, least=least)
    if cfg.ids_in_row_order and len(sample.ids) == len(found):
        by_id = dict(zip(sample.ids, found, strict=True))
    else:
        by_id = find(sample.ids, data, found, f"id of {name}")
        _one_image_each(by_id, data, name)
    if len(found) > len(by_id):
        rest = len(found) - len(by_id)
        be = "is" if rest == 1 else "are"
        say(f"{rest} of {counted(len(found), 'image')} {be} not in {name}: left out")
    rows = [image_row(i, by_id[i]) for i in sample.ids]
    return Challenge(
        rows, columns=sample.names, sample=there.path, sample_format=there.form, least=least
    )


def _in_row_order(names: Sequence[str], sample: str, *, said: bool) -> None:
    """Say which line of a sample without ids speaks of which image.

    Parameters
    ----------
    names : sequence of str
        (n,) of the images, by path.
    sample : str
        What the sample is called.
    said : bool
        That the user says so.

    Raises
    ------
    InputError
        Paths in another order than the numbers in them (1, 10, 2), unless the user says it.
    """
    numbered = sorted(names, key=_with_numbers)
    if numbered != list(names) and not said:
        at = next(i for i, (a, b) in enumerate(zip(names, numbered, strict=True)) if a != b)
        got = f"line {at + 1} of {names[at]} by path and of {numbered[at]} by number"
        do = "give the numbers as many digits each, or add --ids-in-row-order (CHALLENGE_FLAGS) "
        do += "where lines go by path"
        raise input_error(f"the images of {sample}", "in one order", got, do)
    say(f"{sample} has no ids: line 1 is {names[0]}, the last one {names[-1]}")


def _with_numbers(name: str) -> list[tuple[int, str]]:
    """What a name is sorted by where numbers count as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(p), "") if n % 2 else (-1, p) for n, p in enumerate(parts)]


def find(
    named: Sequence[str], data: Path, found: list[tuple[Path, str]], what: str
) -> dict[str, tuple[Path, str]]:
    """The one image of each id: its path, its name, or either without its suffix.

    Parameters
    ----------
    named : Sequence[str]
        Ids, unique.
    data : Path
        Folder or zip that holds them.
    found : list[tuple[Path, str]]
        `image_files` of it.
    what : str
        An id is, for the sentence.

    Raises
    ------
    InputError
        An id that is no image's, or more than one's.

    Examples
    --------
    >>> data = Path("photos").resolve()
    >>> found = [(data / "dune" / "00.png", ""), (data / "lake" / "01.png", "")]
    >>> {i: file.name for i, (file, _) in find(["lake/01", "00"], data, found, "id").items()}
    {'lake/01': '01.png', '00': '00.png'}
    """
    numbers = _spellings([image_name(data, f) for f in found])
    spellings = {spelling: [found[n] for n in at] for spelling, at in numbers.items()}
    ids = [unicodedata.normalize("NFC", i) for i in named]
    missing = [i for i in ids if i not in spellings]
    if missing:
        do = "check that DATA_DIR holds all images"
        if len(ids) == len(found):
            do += ", or add --ids-in-row-order (CHALLENGE_FLAGS) if row i speaks of image i by path"
        raise input_error(
            f"every {what}",
            "the name of an image",
            f"{len(missing)} without one, first {missing[0]!r}",
            do,
        )
    doubtful = [i for i in ids if len(spellings[i]) > 1]
    if doubtful:
        a, b = (image_name(data, f) for f in spellings[doubtful[0]][:2])
        raise input_error(
            f"every {what}",
            "the name of one image",
            f"{doubtful[0]!r}, which fits {a} and {b}",
            "remove one of them",
        )
    return {name: spellings[i][0] for name, i in zip(named, ids, strict=True)}


def _one_image_each(by_id: dict[str, tuple[Path, str]], data: Path, sample: str) -> None:
    """Refuse a sample of which two ids name one image, such as `0` and `0.jpg`."""
    first: dict[tuple[Path, str], str] = {}
    for name, image in by_id.items():
        if (other := first.setdefault(image, name)) != name:
            got = f"{other!r} and {name!r}, which both name {image_name(data, image)}"
            do = "correct one of them"
            raise input_error(f"every id of {sample}", "of an image of its own", got, do)


def _spellings(names: Sequence[str]) -> dict[str, list[int]]:
    """What an image may be called -> numbers of the images so called.

    Its path, its name, or either without its suffix; composed letters (NFC), however the file
    system has them.
    """
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        path = PurePosixPath(unicodedata.normalize("NFC", name))
        for spelling in {str(path), path.name, str(path.with_suffix("")), path.stem}:
            found.setdefault(spelling, []).append(number)
    return found


def image_name(data: Path, f: tuple[Path, str]) -> str:
    """The path of an image below the data, with forward slashes.

    Parameters
    ----------
    data : Path
        The folder or archive.
    f : tuple of Path and str
        The file, and its name inside of that where it is an archive, else "".

    Examples
    --------
    >>> image_name(Path("/my/photos"), (Path("/my/photos/a/1.jpg"), ""))
    'a/1.jpg'
    """
    return f[1] or f[0].relative_to(data).as_posix()


def image_row(image_id: str, f: tuple[Path, str]) -> ImageRow:
    """An image to cluster, not inspected yet.

    Examples
    --------
    >>> image_row("1", (Path("/my/photos.zip"), "a/1.jpg")).member
    'a/1.jpg'
    """
    return ImageRow(image_id, "train", str(f[0]), f[1])
