"""Image sets for `objectives.py`, as small files that travel to another machine.

    python benchmarks/objectives_sets.py SET [SET ...] [--rows 4000] --out FOLDER

SET is what `spaces.py` takes; of a folder with trainX.npy, valX.npy and valY.npy the training
images come first, without classes (-1). For each a file NAME.npz: images `x` uint8, one channel
where there is no colour; classes `y`; `near` (n, 10), the neighbours of every image where the
spaces that cost nothing lie side by side; `told` (tasks, n), its k-means clusters there, 50, 100
and 200 of them and K, at most a tenth of the images. In --spaces a file NAME.npz that stays at
home: the spaces themselves, and `seconds`, the CPU seconds that they took.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.views import View
from imclust.core.log import progress
from spaces import features, read

TOLD = (50, 100, 200)
NEAR = 10


def images_and_classes(name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, s, s, 3) uint8 and classes (n,), -1 where none is known; at most `rows`."""
    x, y = read(name)
    rng = np.random.default_rng(0)
    train = Path(name) / "trainX.npy"
    if train.is_file():
        more = np.load(train)
        kept = np.sort(rng.permutation(len(more))[: rows - len(y)])
        return np.concatenate([more[kept], x]), np.concatenate([np.full(len(kept), -1), y])
    kept = np.sort(rng.permutation(len(y))[:rows])
    return x[kept], y[kept]


def told_clusters(rows: np.ndarray, counts: list[int]) -> np.ndarray:
    """k-means clusters of rows (n, d), a line for each count: (counts, n) uint8."""
    from sklearn.cluster import KMeans

    runs = [KMeans(k, n_init=2, random_state=0).fit_predict(rows) for k in counts]
    return np.stack(runs).astype(np.uint8)


def main() -> None:
    """Read, compute, write."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--spaces", type=Path, default=Path("data/benchmarks/objectives"))
    cfg = parser.parse_args()
    for folder in (cfg.out, cfg.spaces):
        folder.mkdir(parents=True, exist_ok=True)
    for name in progress(cfg.sets, "sets", unit="set"):
        stem = Path(name).stem
        x, y = images_and_classes(name, cfg.rows)
        began = time.process_time()
        _, spaces = features(x)
        seconds = time.process_time() - began
        joined = View.of(spaces, tuple(range(len(spaces))), "power").rows
        near = nearest_neighbors(joined, joined, NEAR, same=True)[0].astype(np.uint16)
        counts = [min(k, len(x) // 10) for k in TOLD] + [int(y.max()) + 1]
        grey = bool((x == x[..., :1]).all())
        np.savez_compressed(
            cfg.out / f"{stem}.npz", x=x[..., :1] if grey else x, y=y.astype(np.int16), near=near,
            told=told_clusters(joined, counts),
        )  # fmt: skip
        np.savez(
            cfg.spaces / f"{stem}.npz",
            seconds=seconds,
            **{f"space{i}": s.astype(np.float16) for i, s in enumerate(spaces)},
        )
        print(f"{stem:20} {len(x)} images, {seconds:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
