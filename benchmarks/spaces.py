"""Which label-free number tells a good clustering among spaces of unequal kind?

    python benchmarks/spaces.py SET [SET ...] [--tasks 5] [--rows 600]

SET is `digits`, an `.npz` with images `x` and labels `y`, a zip with a folder a class, or a folder
with valX.npy and valY.npy. Every set gives tasks: 2, 3, 5 or 10 of its classes, at most --rows
images. The spaces that cost next to nothing, alone and joined, are clustered by four heads; every
candidate gets numbers, and the one of the highest is chosen. Printed is the adjusted Rand index of
it, mean over the tasks of a set and then over sets; `fixed` lines take the mean candidate of
one space. Nothing is fitted, so no set has a say in another's line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imclust.cli.scratch_steps import FREE
from imclust.clustering.evidence import cosine_distances, distances, purity, silhouettes
from imclust.clustering.heads import HEADS
from imclust.clustering.learnability import learned_by_cluster
from imclust.clustering.metrics import ari, pairwise_ari
from imclust.clustering.selection import collapse
from imclust.clustering.selector import scaled
from imclust.clustering.unequal_spaces import SCOUTS
from imclust.clustering.views import View
from imclust.core.log import progress
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import Preprocessing, as_rgb, square, to_input
from imclust.encoders import ENCODERS

SIDE = 32
KINDS = {  # that count as one kind
    "pixels": "colour", "colour": "colour", "power-spectrum": "spectrum", "hog": "edges",
    "lbp": "edges", "patch-dictionary": "patches", "random-conv": "patches",
    "scattering": "wavelets",
}  # fmt: skip


def images_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and classes (n,)."""
    pre = Preprocessing(SIDE)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as z:
            found, y = [as_rgb(x) for x in z["x"]], z["y"]
    else:
        found, names = [], []
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if Path(name).suffix.lower() in {".jpg", ".jpeg", ".png"}:
                    stored = np.frombuffer(archive.read(name), np.uint8)
                    found.append(cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1])
                    names.append(Path(name).parent.name)
        y = np.unique(names, return_inverse=True)[1]
    small = [square(np.ascontiguousarray(x), pre, min(x.shape[:2])) for x in found]
    return np.stack(small), np.asarray(y)


def read(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, s, s, 3) uint8 and classes (n,)."""
    if name == "digits":
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = (bunch.images * 255 / 16).round().astype(np.uint8)
        return np.repeat(x[..., None], 3, 3), bunch.target
    if Path(name).is_dir():
        folder = Path(name)
        return np.load(folder / "valX.npy"), np.load(folder / "valY.npy").ravel().astype(int)
    return images_of(Path(name))


def features(images: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """The kind of every space, and the spaces (n, d_v)."""
    import torch

    kinds, spaces = [], []
    for name in FREE:
        entry = ENCODERS[name]
        encoder = entry.method(entry.config())
        pre = encoder.preprocessing
        x = np.stack([square(i, pre, min(i.shape[:2])) for i in images])
        with isolated_seed(0), torch.inference_mode():
            network = encoder.network()
            if encoder.learns_at_once:
                encoder.learn(network, x, 0)
            z = np.concatenate([
                encoder.encode(network, to_input(x[a : a + 256], pre, "cpu")).numpy()
                for a in range(0, len(x), 256)
            ])  # fmt: skip
        ends = np.cumsum(encoder.parts(network) or [z.shape[1]])
        spaces += np.split(z, ends[:-1], 1)
        kinds += [KINDS[name]] * len(ends)
    return kinds, spaces


def numbers(
    runs: list[np.ndarray], own: np.ndarray, judges: list[View], kinds: list[str], joined: View
) -> dict[str, np.ndarray]:
    """Label-free numbers (c,) of every candidate; `elsewhere` leaves its own kind out, `joined`
    is told where all spaces lie side by side, and `clarity` is the sum of both such numbers, each
    of mean 0 and spread 1: what `auto` judges its last candidates by."""
    alike = pairwise_ari(runs)
    same = own[:, None] == own
    np.fill_diagonal(same, False)
    learned = np.stack([learned_by_cluster([v.rows], runs)[1] for v in judges])
    dense = np.array([[purity(v.graph, c)[4] for c in runs] for v in judges])
    apart = np.array([silhouettes(distances(v.layout), runs)[:, 0] for v in judges])
    found = {"agreement": alike.mean(1), "agreement within its space": (alike * same).mean(1)}
    other = np.array([[k != o for o in own] for k in kinds])
    for what, table in (("learnability", learned), ("modularity", dense), ("silhouette", apart)):
        found[what] = table.mean(0)
        found[f"{what}, elsewhere"] = (table * other).sum(0) / other.sum(0)
    found["modularity, joined"] = np.array([purity(joined.graph, c)[4] for c in runs])
    found["silhouette, joined"] = silhouettes(cosine_distances(joined.rows), runs)[:, 0]
    found["clarity"] = sum(scaled(found[f"{n}, joined"]) for n in ("modularity", "silhouette"))
    return found


def task(
    kinds: list[str], spaces: list[np.ndarray], y: np.ndarray, k: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Adjusted Rand index by the number that chooses, and of fixed spaces and the best."""
    judges = [View.of(spaces, (i,), "power") for i in range(len(spaces))]
    every = tuple(range(len(spaces)))
    joined = [View.of(spaces, every, how) for how in ("power", "white")]
    runs, own, where = [], [], []
    for view, kind in zip([*judges, *joined], [*kinds, "all", "all"], strict=True):
        for head in SCOUTS:
            labels = np.asarray(HEADS[head](view, k, 0), np.int64)
            if not collapse(labels, k):
                runs.append(labels)
                own.append(kind)
                where.append(view.name)
    right = np.array([ari(y, c) for c in runs])
    told = numbers(runs, np.array(own), judges, kinds, joined[1])
    chosen = {name: float(right[values.argmax()]) for name, values in told.items()}
    fixed = {"best, by labels": float(right.max()), "mean candidate": float(right.mean())}
    names = np.array(where)
    fixed |= {f"fixed {n}": float(right[names == n].mean()) for n in dict.fromkeys(where)}
    return chosen, fixed


def main() -> None:
    """Tasks, numbers, table."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/spaces.json"))
    cfg = parser.parse_args()
    by_set: dict[str, list[dict[str, Any]]] = {}
    for name in cfg.sets:
        images, y = read(name)
        kinds, spaces = features(images)
        classes = int(y.max()) + 1
        counts = [k for k in (2, 3, 5, 10) if k <= classes]
        for number in progress(range(cfg.tasks), Path(name).stem, unit="task"):
            rng, k = np.random.default_rng(number), counts[number % len(counts)]
            rows = np.flatnonzero(np.isin(y, rng.permutation(classes)[:k]))
            rows = np.sort(rng.permutation(rows)[: cfg.rows])
            chosen, fixed = task(kinds, [s[rows] for s in spaces], y[rows], k)
            by_set.setdefault(Path(name).stem, []).append(chosen | fixed)
    lines = list(dict.fromkeys(n for tasks in by_set.values() for t in tasks for n in t))
    print(" " * 34 + " ".join(f"{s[:10]:>10}" for s in by_set) + "       mean")
    for line in lines:
        each = [statistics.mean(t.get(line, 0.0) for t in tasks) for tasks in by_set.values()]
        told = " ".join(f"{e:10.3f}" for e in [*each, statistics.mean(each)])
        print(f"{line:34}{told}")
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(by_set, indent=2) + "\n")


if __name__ == "__main__":
    main()
