"""Vectors of labelled image sets, for `arena_tasks.py`: one `.npz` a set, encoded once.

    python benchmarks/task_sets.py IMAGES SETS [--rows 5000]

IMAGES holds `.npz` files with images `x` (N, H, W[, C]) uint8 and labels `y`, and `.zip` files with
a folder a class. Each goes through the stages download, train and encode with the encoders `timm`
(EfficientNet-Lite0, offline) and `pixels`; scikit-learn's digits come on top. What is there is not
made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

from imclust.core.log import progress
from imclust.core.records import Features, read_labels

ENCODERS = ("timm", "pixels")


def stage(*words: object) -> None:
    """One stage of imclust in a process of its own."""
    subprocess.run([sys.executable, "-m", "imclust", *map(str, words)], check=True)


def make(name: str, source: list[str], y: np.ndarray | None, sets: Path) -> None:
    """One set from one challenge; labels `y` in row order, or the challenge's own."""
    work = sets / "work" / name
    stage("download", "--out", work / "raw", *source)
    spaces = {}
    for encoder in ENCODERS:
        weights, out = work / f"{encoder}-weights", work / encoder
        stage("train", "--index", work / "raw/index", "--out", weights, encoder)
        stage("encode", "--index", work / "raw/index", "--weights", weights, "--out", out)
        spaces[encoder] = Features.load(out)
    first = spaces[ENCODERS[0]]
    if y is None:
        told = read_labels(work / "raw/labels")
        names = np.array([told.get(i, "") for i in first.ids.tolist()])
    else:
        names = y.astype(str)
    known = names != ""
    arrays = {n: np.array(first.alongside(f))[known] for n, f in spaces.items()}
    numbers = np.unique(names[known], return_inverse=True)[1]
    np.savez(sets / "partial.npz", y=numbers, **arrays)
    (sets / "partial.npz").rename(sets / f"{name}.npz")


def main(argv: list[str] | None = None) -> int:
    """Make what is missing."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="a folder of .npz and .zip files")
    parser.add_argument("sets", type=Path, help="where the vectors go")
    parser.add_argument("--rows", type=int, default=5000, help="of an .npz at most")
    cfg = parser.parse_args(argv)
    cfg.sets.mkdir(parents=True, exist_ok=True)
    found = [*sorted(cfg.images.glob("*.npz")), *sorted(cfg.images.glob("*.zip")), None]
    for path in progress(found, "sets", unit="set"):
        name = "digits" if path is None else path.stem
        if (cfg.sets / f"{name}.npz").is_file():
            continue
        if path is None:
            make(name, ["digits"], None, cfg.sets)
        elif path.suffix == ".zip":
            make(name, ["imagefolder", "--data-dir", str(path)], None, cfg.sets)
        else:
            with np.load(path, allow_pickle=False) as z:
                rows = np.sort(np.random.default_rng(0).permutation(len(z["y"]))[: cfg.rows])
                x, y = z["x"][rows], z["y"][rows]
            copy = cfg.sets / "work" / f"{name}-images.npz"
            copy.parent.mkdir(parents=True, exist_ok=True)
            np.savez(copy, x=x)
            make(name, ["arrays", "--data-dir", str(copy)], y, cfg.sets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
