"""`folder`: a folder or zip of images, in the order of sample_submission.csv where there is one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclust.challenges import CHALLENGES
from imclust.challenges._base import Challenge, LocalData, image_files
from imclust.checks import refusal
from imclust.images import ImageRow
from imclust.log import say
from imclust.records import read_csv

SAMPLE = "sample_submission.csv"


@dataclass(frozen=True)
class FolderConfig(LocalData):
    """Images in a folder (also nested) or a zip. You say how many clusters: K=<n>."""


@CHALLENGES.register("folder", FolderConfig, paper="anybody's images")
def folder(cfg: LocalData, files: Path) -> Challenge:
    """Ids are those of sample_submission.csv, which also fixes order and header.

    A sample's id may be an image's path, name, or either without its suffix. Without a sample,
    ids are the paths below the folder.
    """
    data = cfg.data_dir.resolve()
    found = image_files(data)
    sample = (data if data.is_dir() else data.parent) / SAMPLE
    if not sample.is_file():
        return Challenge([_row(_name(data, f), f) for f in found])
    table = read_csv(sample)
    columns = tuple(table[0]) if table else ()
    if len(columns) != 2:
        raise refusal(str(sample), "two columns, id and label", list(columns), "check the file")
    ids = [r[columns[0]] for r in table]
    repeated = [i for i, n in Counter(ids).items() if n > 1]
    if repeated:
        raise refusal(
            f"ids of {SAMPLE}", "unique", f"{repeated[0]!r} more than once", "download it again"
        )
    by_id = _find(ids, data, found)
    if len(found) > len(ids):
        say(f"{len(found) - len(ids)} of {len(found)} images are not in {SAMPLE}: left out")
    rows = [_row(i, by_id[i]) for i in ids]
    return Challenge(rows, columns=(columns[0], columns[1]))


def _find(ids: list[str], data: Path, found: list[tuple[Path, str]]) -> dict[str, tuple[Path, str]]:
    """The one image of each id of the sample."""
    spellings: dict[str, list[tuple[Path, str]]] = {}
    for f in found:
        path = PurePosixPath(_name(data, f))
        for spelling in {str(path), path.name, str(path.with_suffix("")), path.stem}:
            spellings.setdefault(spelling, []).append(f)
    missing = [i for i in ids if i not in spellings]
    if missing:
        raise refusal(
            f"every id of {SAMPLE}",
            "the name of an image",
            f"{len(missing)} without one, first {missing[0]!r}",
            "check that DATA_DIR holds all images",
        )
    doubtful = [i for i in ids if len(spellings[i]) > 1]
    if doubtful:
        a, b = (_name(data, f) for f in spellings[doubtful[0]][:2])
        raise refusal(
            f"ids of {SAMPLE}",
            "names of one image each",
            f"{doubtful[0]!r}, which fits {a} and {b}",
            "remove one of them",
        )
    return {i: spellings[i][0] for i in ids}


def _name(data: Path, f: tuple[Path, str]) -> str:
    """The path of an image below the data, with forward slashes."""
    return f[1] or f[0].relative_to(data).as_posix()


def _row(image_id: str, f: tuple[Path, str]) -> ImageRow:
    return ImageRow(image_id, "train", str(f[0]), f[1])
