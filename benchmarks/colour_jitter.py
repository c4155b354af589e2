"""How strongly should views differ in colour? Codes of simclr on image sets with labels.

    python benchmarks/colour_jitter.py SET [SET ...] [--strengths 0 0.5 1] [--steps 200] [--seeds 0]

SET is a zip with a folder a class, or an `.npz` with images `x` and labels `y`. A strength s means
jitter 0.8 s and hue 0.2 s, as in SimCLR (Chen et al. 2020, appendices A and B.9; 1 for ImageNet
there, 0.5 for CIFAR-10). For each the same short training of the same seed; then the mean adjusted
Rand index of k-means on 64 whitened directions of the codes. Prints one table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from imclust.clustering.metrics import ari
from imclust.clustering.preprocessing import prepare
from imclust.core.log import progress
from imclust.core.reproducibility import isolated_seed
from imclust.data.augment import PHOTOGRAPHS
from imclust.data.loader import as_rgb, square
from imclust.encoders.simclr import SimCLR, SimCLRConfig
from imclust.training.fit import encode_all, fit

CONFIG = SimCLRConfig(width=16, batch=128)


def images_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8 and classes (n,)."""
    pre = SimCLR(CONFIG).preprocessing
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


def score(images: np.ndarray, y: np.ndarray, strength: float, steps: int, seed: int) -> float:
    """Mean adjusted Rand index of five k-means on the codes of one training."""
    from sklearn.cluster import KMeans

    encoder = SimCLR(CONFIG)
    views = replace(PHOTOGRAPHS, jitter=0.8 * strength, hue=0.2 * strength)
    plan = replace(encoder.plan(len(images)), augmentation=views, steps=steps)
    with isolated_seed(seed):
        network = encoder.network()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            network, encoder.objective(len(images), seed), images, encoder.preprocessing, plan,
            seed=seed, device="cpu", folder=Path(folder), encode=encoder.encode,
        )  # fmt: skip
    codes = encode_all(network, encoder.encode, images, encoder.preprocessing, "cpu").numpy()
    rows, k = prepare(codes, "white").rows, int(y.max()) + 1
    return statistics.mean(
        ari(y, KMeans(k, n_init=3, random_state=s).fit_predict(rows)) for s in range(5)
    )


def main() -> None:
    """Train, score, print."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/colour_jitter.json"))
    cfg = parser.parse_args()
    rows = []
    for path in progress(cfg.sets, "sets", unit="set"):
        images, y = images_of(path)
        for strength in cfg.strengths:
            got = [score(images, y, strength, cfg.steps, seed) for seed in cfg.seeds]
            spread = statistics.stdev(got) if len(got) > 1 else float("nan")
            rows.append({"set": path.stem, "strength": strength, "ARI": statistics.mean(got),
                         "spread": spread, "seeds": len(got)})  # fmt: skip
            print(f"{path.stem:24} {strength:4} {rows[-1]['ARI']:.3f} ± {spread:.3f}", flush=True)
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
