"""`arrays`: trainX.npy of one's own, with valX.npy and valY.npy where there are some."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import (
    Challenge,
    LocalData,
    array_rows,
    checked_labels,
    ids_of_sample,
)
from imclust.competitions.downloads import made_file
from imclust.competitions.sample_submission import SampleFormat
from imclust.core.checks import disk_space
from imclust.core.errors import input_error
from imclust.core.file_signatures import mismatch
from imclust.core.npy import open_npy


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

    Examples
    --------
    >>> np.save("trainX.npy", np.arange(768).astype(np.uint8).reshape(4, 8, 8, 3))
    >>> challenge = arrays(ArraysConfig(Path()), Path("files"))
    >>> [row.id for row in challenge.rows], challenge.n_clusters
    (['0', '1', '2', '3'], 2)
    """
    if cfg.data_dir.is_file():
        return _from_npz(cfg.data_dir, files)
    return from_folder(cfg.data_dir.resolve(), files, cfg)


def from_folder(folder: Path, files: Path, cfg: LocalData | None = None) -> Challenge:
    """trainX.npy, and both or neither of valX.npy and valY.npy; a sample of its row numbers.

    Parameters
    ----------
    folder : Path
        That holds them.
    files : Path
        Where a packed sample is unpacked to.
    cfg : LocalData, optional
        What the user says of the sample.

    Raises
    ------
    InputError
        A file is missing or is not what it should be.

    Examples
    --------
    >>> np.save("trainX.npy", np.arange(768).astype(np.uint8).reshape(4, 8, 8, 3))
    >>> np.save("valX.npy", np.arange(384).astype(np.uint8).reshape(2, 8, 8, 3))
    >>> np.save("valY.npy", np.array([0, 1]))
    >>> from_folder(Path(), Path("files")).labels
    {'val-0': '0', 'val-1': '1'}
    """
    rows = array_rows(folder / "trainX.npy", "train")
    cfg = cfg or LocalData(folder)
    found = cfg.find_sample(files, (r.id for r in rows), len(rows))
    columns, sample, form = ("id", "label"), None, SampleFormat()
    if found is not None:
        what = "the row numbers of trainX.npy from 0"
        ids = ids_of_sample(found, [r.id for r in rows], what, in_row_order=cfg.ids_in_row_order)
        rows = [replace(r, id=i) for r, i in zip(rows, ids, strict=True)]
        columns, sample, form = found.sample.names, found.path, found.form
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
    return Challenge(rows, labels, n_clusters=2, columns=columns, sample=sample, sample_format=form)


def _unpack_array(archive: zipfile.ZipFile, name: str, to: Path) -> None:
    """Copy an array out of an archive piece by piece: it may be larger than the memory."""
    disk_space(to, archive.getinfo(name).file_size)
    with made_file(to) as fresh, archive.open(name) as source, fresh.open("wb") as f:
        shutil.copyfileobj(source, f, 1 << 20)


def _from_npz(archive: Path, files: Path) -> Challenge:
    """`x` (n, h, w[, c]) uint8 to cluster, and `y` (n,) to score with."""
    images = files / "trainX.npy"
    if got := mismatch(archive, "x.npz"):
        raise input_error(str(archive), "an .npz with an array x", got, "get the file itself")
    try:
        with zipfile.ZipFile(archive) as z:
            names = [name.removesuffix(".npy") for name in z.namelist()]
            if "x" in names:
                _unpack_array(z, "x.npy", images)
            if "y" in names:
                _unpack_array(z, "y.npy", files / "trainY.npy")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as e:
        raise input_error(str(archive), "a readable .npz", e, "save it again") from None
    if "x" not in names:
        raise input_error(str(archive), "an .npz with an array x", names, "rename the array")
    rows = array_rows(images, "train")
    truth: list[int] = []
    if "y" in names:
        truth = checked_labels("y", np.asarray(open_npy(files / "trainY.npy")), len(rows)).tolist()
    labels = {str(i): str(v) for i, v in enumerate(truth)}
    return Challenge(rows, labels, n_clusters=2)
