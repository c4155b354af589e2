"""`arrays`: trainX.npy of one's own, with valX.npy and valY.npy where there are some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import (
    Challenge,
    LocalData,
    array_rows,
    checked_labels,
    sample_beside,
)
from imclust.competitions.submission import read_sample
from imclust.core.errors import input_error


@dataclass(frozen=True)
class ArraysConfig(LocalData):
    """A folder with trainX.npy (and valX.npy, valY.npy), or one .npz with x (and y)."""

    @property
    def has_validation(self) -> bool:
        """Whether there are images to validate with, too."""
        return (self.data_dir / "valX.npy").is_file()


@CHALLENGES.register("arrays", ArraysConfig, paper="the file format of NTU ML2020 homework 9")
def arrays(cfg: ArraysConfig, files: Path) -> Challenge:
    """Images are read where they lie; an `.npz` is unpacked into `files` first.

    Two clusters unless the user says otherwise, as in the homework.
    """
    if cfg.data_dir.is_file():
        return from_npz(cfg.data_dir, files)
    return from_folder(cfg.data_dir.resolve())


def from_folder(folder: Path) -> Challenge:
    """trainX.npy, and both or neither of valX.npy and valY.npy; a sample of its row numbers.

    Raises:
        Refusal: a file is missing or is not what it should be.
    """
    from imclust.core.npy import open_npy

    rows = array_rows(folder / "trainX.npy", "train")
    sample = sample_beside(folder, (r.id for r in rows), "the row numbers of trainX.npy from 0")
    val_x, val_y = folder / "valX.npy", folder / "valY.npy"
    labels: dict[str, str] = {}
    if val_y.exists() and not val_x.exists():
        raise input_error(str(val_x), "there when valY.npy is", "nothing there", "add it")
    if val_x.exists():
        val = array_rows(val_x, "val")
        rows += val
        if val_y.exists():
            y = checked_labels(val_y.name, open_npy(val_y), len(val))
            labels = {r.id: str(int(v)) for r, v in zip(val, y, strict=True)}
    columns = read_sample(sample).names if sample else ("id", "label")
    return Challenge(rows, labels, n_clusters=2, columns=columns, sample=sample)


def from_npz(archive: Path, files: Path) -> Challenge:
    """`x` (n, h, w[, c]) uint8 to cluster, and `y` (n,) to score with."""
    import zipfile

    try:
        with np.load(archive, allow_pickle=False) as z:
            names = z.files
            x = z["x"] if "x" in names else None
            y = z["y"] if "y" in names else None
    except (ValueError, zipfile.BadZipFile, EOFError) as e:
        raise input_error(str(archive), "a readable .npz", e, "save it again") from None
    if x is None:
        raise input_error(str(archive), "an .npz with an array x", names, "rename the array")
    files.mkdir(parents=True, exist_ok=True)
    np.save(files / "trainX.npy", x)
    rows = array_rows(files / "trainX.npy", "train")
    truth = [] if y is None else checked_labels("y", y, len(rows)).tolist()
    labels = {str(i): str(v) for i, v in enumerate(truth)}
    return Challenge(rows, labels, n_clusters=2)
