"""The data sets of the arena: where their vectors and labels lie, and how they are read.

An `.npz` with images (`x`, uint8 of rank 3 or 4), an `.npz` with vectors, or a folder of artefacts.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, file_digest, lineage, read_manifest
from imclust.core.npy import header
from imclust.core.records import Features, parts_of, read_labels

NO_SPACE = {"y", "classes"}


@dataclass(frozen=True)
class DataSet:
    """One set. `stamp` changes when its files do; `encoded` is where images became spaces."""

    name: str
    source: str
    images: bool
    spaces: tuple[str, ...]
    stamp: str
    encoded: str = ""

    @classmethod
    def from_json(cls, doc: dict[str, Any]) -> DataSet:
        """What `dataclasses.asdict` and JSON left of one."""
        return cls(**doc | {"spaces": tuple(doc["spaces"])})


@dataclass(frozen=True)
class Loaded:
    """Rows of one set. spaces: (n, d_v) float32 each; y: (n,) int64, -1 unknown; fit: (n,) bool."""

    spaces: list[np.ndarray]
    y: np.ndarray
    fit: np.ndarray
    n_clusters: int


def find_sets(folder: Path) -> list[DataSet]:
    """Every set in `folder`: its .npz files and the folders that hold `features` artefacts.

    Raises:
        Refusal: there is none, or an .npz has no labels or nothing to cluster.
    """
    if not folder.is_dir():
        raise input_error(
            "FOLDER", "an existing folder", f"{folder}, which is none", "check the path"
        )
    sets = [_npz_set(path) for path in sorted(folder.glob("*.npz"))]
    below = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    sets += [_artefact_set(p) for p in below if _features(p)]
    if not sets:
        raise input_error(
            str(folder), "a folder with .npz files or artefacts", "neither", "check the path"
        )
    return sets


def _npz_set(path: Path) -> DataSet:
    arrays = _headers(path)
    if "y" not in arrays:
        raise input_error(
            str(path), "an .npz with labels y", sorted(arrays), "add y, -1 for unknown"
        )
    shape, dtype = arrays.get("x", ((), np.dtype(float)))
    images = len(shape) in (3, 4) and dtype == np.uint8
    spaces = [n for n, (s, t) in arrays.items() if n not in NO_SPACE and _is_space(n, s, t)]
    if not images and not spaces:
        raise input_error(
            str(path), "an .npz with images x (uint8) or float arrays (N, D)", sorted(arrays),
            "save it again",
        )  # fmt: skip
    stat = path.stat()
    return DataSet(
        path.stem, str(path), images, () if images else tuple(sorted(spaces)),
        f"{stat.st_size}-{stat.st_mtime_ns}",
    )  # fmt: skip


def _is_space(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return len(shape) == 2 and (dtype.kind == "f" or (name == "x" and dtype.kind in "iu"))


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of every array of an .npz, without reading their numbers."""
    try:
        with zipfile.ZipFile(path) as z:
            found = {}
            for name in z.namelist():
                with z.open(name) as f:
                    found[name.removesuffix(".npy")] = header(path, f)[:2]
    except zipfile.BadZipFile:
        raise input_error(str(path), "a readable .npz", "another file", "save it again") from None
    return found


def _features(folder: Path) -> list[Path]:
    """The `features` artefacts right below a folder."""
    made = sorted(p.parent for p in folder.glob(f"*/{MANIFEST}"))
    return [p for p in made if read_manifest(p)["kind"] == "features"]


def _artefact_set(folder: Path) -> DataSet:
    manifests = [p / MANIFEST for p in [*_features(folder), _labels_folder(folder)]]
    digest = hashlib.sha256("".join(map(file_digest, manifests)).encode()).hexdigest()
    spaces = tuple(name for p in _features(folder) for name in (p.name, *_parts(p)))
    return DataSet(folder.resolve().name, str(folder), False, spaces, digest)


def _parts(path: Path) -> list[str]:
    """`timm.1`, `timm.2`, ...: the spaces of an artefact that holds several side by side."""
    count = len(read_manifest(path).get("parts") or [])
    return [f"{path.name}.{i + 1}" for i in range(count)]


def _labels_folder(folder: Path) -> Path:
    """`labels` beside the features, else the one that `download` put beside their index."""
    if (folder / "labels" / MANIFEST).is_file():
        return folder / "labels"
    made_from = lineage(*_features(folder)).items()
    indexes = [path for path, doc in made_from if doc["kind"] == "index"]
    found = [p.parent / "labels" for p in indexes if (p.parent / "labels" / MANIFEST).is_file()]
    if not found:
        raise input_error(
            str(folder), "a folder with a `labels` artefact, or made from an index with one",
            "neither", "copy the folder `labels` of data/raw/<challenge> into it",
        )  # fmt: skip
    return found[0]


def pick_spaces(data: DataSet, wanted: list[str] | None) -> list[str]:
    """Names of what is clustered, `a` or jointly `a+b`; every space and all jointly by default.

    `a.1` is the first of the spaces that artefact `a` holds side by side; only when asked for.
    """
    if wanted is None:
        whole = [name for name in data.spaces if "." not in name]
        return [*whole, *(["+".join(whole)] if len(whole) > 1 else [])]
    return [w for w in wanted if set(w.split("+")) <= set(data.spaces)]


def chosen(n: int, rows: int) -> np.ndarray:
    """The same `rows` row numbers out of n in every run, in order: (min(n, rows),) int64."""
    return np.sort(np.random.default_rng(0).permutation(n)[:rows])


def codes(y: np.ndarray) -> np.ndarray:
    """Labels (n,), numbers or words, as int64 in [0, classes); -1 where below zero or empty."""
    known = y != "" if y.dtype.kind in "US" else y >= 0
    out = np.full(len(y), -1, np.int64)
    out[known] = np.unique(y[known], return_inverse=True)[1]
    return out


def load(data: DataSet, space: str, rows: int) -> Loaded:
    """The rows of `a` or `a+b` of a set, and their labels."""
    names = space.split("+")
    if Path(data.source).is_dir():
        return _load_artefacts(Path(data.source), names, rows)
    with np.load(data.source, allow_pickle=False) as z:
        y = codes(z["y"])
        keep = chosen(len(y), rows)
        if data.images:
            spaces = [np.array(Features.load(Path(data.encoded) / n).x) for n in names]
        else:
            spaces = [z[n].astype(np.float32)[keep] for n in names]
    return Loaded(spaces, y[keep], np.ones(len(keep), bool), _classes(data.source, y))


def _load_artefacts(folder: Path, names: list[str], rows: int) -> Loaded:
    """Rows of `train` are fitted, the others placed, as `cluster` does; the others are all kept."""
    wanted = [(folder / n.partition(".")[0], n.partition(".")[2]) for n in names]
    first, *others = (Features.load(path) for path, _ in wanted)
    train, rest = (np.flatnonzero((first.splits == "train") == is_train) for is_train in (1, 0))
    keep = np.sort(np.concatenate([train[chosen(len(train), rows)], rest]))
    truth = read_labels(_labels_folder(folder))
    y = codes(np.array([truth.get(i, "") for i in first.ids.tolist()]))
    spaces = []
    for (path, part), x in zip(wanted, (first.x, *map(first.alongside, others)), strict=True):
        parts = parts_of(path, x)
        picked = parts if not part else parts[int(part) - 1 : int(part)]
        spaces += [np.asarray(x[keep]) for x in picked]
    fit = (first.splits == "train")[keep]
    return Loaded(spaces, y[keep], fit, _classes(str(folder), y))


def _classes(source: str, y: np.ndarray) -> int:
    k = int(y.max(initial=-1)) + 1
    if k < 2:
        raise input_error(source, "a set with labels of two classes or more", k, "check the labels")
    return k


def encode(data: DataSet, encoders: list[str], rows: int, cache: Path) -> DataSet:
    """A set of images with a space an encoder, made by the stages and kept in `cache`."""
    settings = hashlib.sha256(f"{data.stamp} {rows}".encode()).hexdigest()[:8]
    folder = cache / f"{data.name}-{settings}"
    folder.mkdir(parents=True, exist_ok=True)
    images = folder / "images.npz"
    if not images.is_file():
        with np.load(data.source, allow_pickle=False) as z:
            x = z["x"][chosen(len(z["x"]), rows)]
        np.savez(folder / "partial.npz", x=x)
        (folder / "partial.npz").rename(images)
    _stage("download", "--out", folder / "raw", "arrays", "--data-dir", images)
    for name in encoders:
        weights = folder / "weights" / name
        _stage("train", "--index", folder / "raw/index", "--out", weights, name)
        _stage(
            "encode", "--index", folder / "raw/index", "--weights", weights, "--out", folder / name
        )
    made = json.dumps([file_digest(folder / n / MANIFEST) for n in encoders])
    stamp = hashlib.sha256((data.stamp + made).encode()).hexdigest()
    return replace(data, spaces=tuple(encoders), encoded=str(folder), stamp=stamp)


def _stage(*words: Any) -> None:
    """One stage in a process of its own, so that what it loads does not stay in this one."""
    done = subprocess.run([sys.executable, "-m", "imclust", *map(str, words)])
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why
