"""`pairs`: are two images of the same kind? The pairs stand in test_case.csv."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import (
    Challenge,
    LocalData,
    array_rows,
    ids_of_sample,
    image_files,
)
from imclust.competitions.challenges.folder import find, image_name, image_row
from imclust.competitions.downloads import save_array
from imclust.core.errors import input_error
from imclust.data.images import ImageRow
from imclust.data.texts import read_table

CASES = "test_case.csv"
ARRAYS = ("image.npy", "images.npy", "trainX.npy")


@dataclass(frozen=True)
class PairsConfig(LocalData):
    """Images (a folder, a zip, or image.npy) and test_case.csv: id, first, second. K is 2."""

    beside: ClassVar[tuple[str, ...]] = (CASES,)


@CHALLENGES.register("pairs", PairsConfig, paper="NTU ML2018 homework 4 and ML2019 homework 7")
def pairs(cfg: LocalData, files: Path) -> Challenge:
    """Every image is clustered, in a pair or not; the assignments are in the order of the pairs.

    The two of a pair are names of images, with or without suffix, or rows of the array.

    Raises
    ------
    InputError
        No such table, not three columns, a repeated id, an image that is not there, a sample of
        other ids.

    Examples
    --------
    >>> np.save("image.npy", np.arange(576).astype(np.uint8).reshape(3, 8, 8, 3))
    >>> _ = Path("test_case.csv").write_text("id,image1_index,image2_index\\n0,0,2\\n1,2,1\\n")
    >>> challenge = pairs(PairsConfig(Path("image.npy")), Path("files"))
    >>> challenge.pairs, len(challenge.rows)
    ([('0', '0', '2'), ('1', '2', '1')], 3)
    """
    data = cfg.data_dir.resolve()
    folder = data if data.is_dir() else data.parent
    ids, first, second = _cases(folder / CASES)
    names = list(dict.fromkeys((*first, *second)))
    array = next((p for p in (folder / n for n in ARRAYS) if p.is_file()), None)
    if array is not None:
        rows, known = _of_array(array, names, files)
    else:
        rows, known = _of_files(data, names)
    found = [(i, known[a], known[b]) for i, a, b in zip(ids, first, second, strict=True)]
    sample = cfg.find_sample(files, ids, len(ids))
    if sample is None:
        return Challenge(rows, n_clusters=2, pairs=found)
    what = f"the ids of {CASES}"
    if sample.sample.form not in ("labels", "lines"):
        do = "check that this is the sample of the pairs"
        raise input_error(f"{sample.path}", "a label a pair", sample.sample.form, do)
    called = ids_of_sample(sample, ids, what, in_row_order=cfg.ids_in_row_order)
    found = [(i, a, b) for i, (_, a, b) in zip(called, found, strict=True)]
    return Challenge(
        rows, n_clusters=2, columns=sample.sample.names, sample=sample.path,
        sample_format=sample.form, pairs=found,
    )  # fmt: skip


def _cases(path: Path) -> tuple[list[str], list[str], list[str]]:
    """The three columns of the table, whatever they are called."""
    if not path.is_file():
        do = "put the table of pairs beside the images"
        raise input_error(
            f"DATA_DIR of pairs ({path.parent})", f"a folder with {CASES}", "none", do
        )
    header, table = read_table(path)
    if len(header) != 3 or not table:
        allowed = "a table of three columns (id, first, second) and at least one pair"
        raise input_error(str(path), allowed, f"{header} and {len(table)} rows", "check the file")
    ids, first, second = ([cell.strip() for cell in column] for column in zip(*table, strict=True))
    repeated = [i for i, n in Counter(ids).items() if n > 1]
    if repeated:
        raise input_error(
            f"ids of {CASES}", "unique", f"{repeated[0]!r} more than once", "check them"
        )
    return ids, first, second


def _of_files(data: Path, names: list[str]) -> tuple[list[ImageRow], dict[str, str]]:
    """Every image, and name in the pairs -> its id, which is its path."""
    found = image_files(data)
    rows = [image_row(image_name(data, f), f) for f in found]
    there = find(names, data, found, f"image of {CASES}")
    return rows, {n: image_name(data, f) for n, f in there.items()}


def _of_array(path: Path, names: list[str], files: Path) -> tuple[list[ImageRow], dict[str, str]]:
    """Every row of the array, and number in the pairs -> its id, the same number."""
    rows = array_rows(_unrolled(path, files), "train")
    known = {n: str(int(n)) for n in names if n.isascii() and n.isdigit() and int(n) < len(rows)}
    missing = [n for n in names if n not in known]
    if missing:
        got = f"{len(missing)} others, first {missing[0]!r}"
        allowed = f"rows of {path.name}, from 0 to {len(rows) - 1}"
        raise input_error(f"images of {CASES}", allowed, got, "check that both belong together")
    return rows, known


def _unrolled(path: Path, files: Path) -> Path:
    """The array itself, or square images of bytes from its (n, side * side) in `files`."""

    from imclust.core.npy import open_npy

    a = open_npy(path)
    if a.ndim != 2 or a.dtype != np.uint8:
        return path
    side = math.isqrt(a.shape[1])
    if side * side != a.shape[1]:
        allowed = "images, or rows of as many bytes as a square has, such as 784"
        raise input_error(path.name, allowed, list(a.shape), "reshape it to (n, height, width)")
    return save_array(files / "images.npy", a.reshape(-1, side, side))
