"""How large and how slow report.html becomes: random crops of photographs, clusters at random.

python benchmarks/report_size.py --images 1000 10000 100000
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Assignment, Features
from imclust.data.images import ImageRow, save_index
from imclust.report.page.build import write_page
from imclust.report.page.sources import Sources

SIDE = 64  # of a stored image


def crops(n: int, rng: np.random.Generator) -> np.ndarray:
    """Crops (n, SIDE, SIDE, 3) uint8 of the photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    out = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for i in range(n):
        photo = photos[i % 2]
        top, left = (rng.integers(0, size - SIDE) for size in photo.shape[:2])
        out[i] = photo[top : top + SIDE, left : left + SIDE]
    return out


def artefacts(top: Path, n: int, k: int) -> Sources:
    """A run of n images with names of 60 characters, labels and an embedding."""
    rng = np.random.default_rng(0)
    np.save(top / "x.npy", crops(n, rng))
    ids = np.array(
        [f"photographs/of the year {rng.integers(1e12):012}/{i:024}.jpg" for i in range(n)]
    )
    splits = np.full(n, "train")
    clusters = rng.integers(0, k, n)
    p = rng.random((n, k)).astype(np.float32)
    p[np.arange(n), clusters] += 1
    p /= p.sum(1, keepdims=True)
    xy = rng.standard_normal((n, 2)) + 6 * rng.standard_normal((k, 2))[clusters]

    def index(folder: Path) -> dict[str, object]:
        source = str(top / "x.npy")
        rows = [
            ImageRow(i, "train", source, str(r), SIDE, SIDE) for r, i in enumerate(ids.tolist())
        ]
        save_index(folder, rows)
        return {"challenge": "crops", "content": "images"}

    def embedding(folder: Path) -> dict[str, object]:
        return {**Features(ids, splits, xy.astype(np.float32)).save(folder), "space": "made up"}

    make_artifact(top / "index", ArtifactSpec("index", {}, {}, ()), index)
    make_artifact(top / "xy", ArtifactSpec("features", {}, {}, ()), embedding)
    made = ArtifactSpec("assignment", {"method": "none", "seed": 0}, {"features": top / "xy"}, ())
    answer = Assignment(ids, splits, p)
    make_artifact(top / "clusters", made, lambda f: {**answer.save(f), "merge_order": []})
    named = dict(zip(ids.tolist(), map(str, clusters), strict=True))
    return Sources(top / "clusters", top / "index", embedding=top / "xy", labels=named)


def main() -> None:
    """A line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="folder in which the pages stay")
    args = parser.parse_args()
    print("images  seconds  MB  peak MiB")
    for n in args.images:
        with tempfile.TemporaryDirectory() as folder:
            at = artefacts(Path(folder), n, args.clusters)
            page = (args.keep or Path(folder)) / f"report-{n}.html"
            began = time.perf_counter()
            write_page(at, Path(folder), page)
            took = time.perf_counter() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{n:>6}  {took:7.1f}  {page.stat().st_size / 1e6:.1f}  {peak}", flush=True)


if __name__ == "__main__":
    main()
