"""Literal homework recipe against the fast default, both halves, in one run.

    python benchmarks/baseline_speed.py --data FOLDER [--runs 5] [--parts predictor training]

FOLDER holds trainX.npy, valX.npy, valY.npy; without --data the embedded `photos` are taken.
Predictor: KernelPCA(200) -> t-SNE(2) -> MiniBatchKMeans on the fast encoder's latents, literal and
fast in turn, one seed a run; medians of the seconds, trustworthiness, and accuracy of validation
images placed in the clustering. Training: the literal recipe to its end, the fast recipe to the
same loss and to its end. Prints one table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import mean, median, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.metrics import best_binary_accuracy
from imclust.clustering.neighbors import trustworthiness
from imclust.clustering.reducers import REDUCERS
from imclust.competitions.challenges import CHALLENGES
from imclust.core.reproducibility import isolated_seed, pick_device
from imclust.data.loader import Preprocessing, all_pixels, to_input
from imclust.encoders import ENCODERS
from imclust.training.fit import fit

RECIPES = ("literal", "fast")


def load(data: Path | None, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """trainX, valX (n, 32, 32, 3) uint8 and valY (n,) int."""
    entry = CHALLENGES["arrays" if data else "photos"]
    config = entry.config(data_dir=data) if data else entry.config()
    challenge = entry.method(config, folder)
    rows = {s: [r for r in challenge.rows if r.split == s] for s in ("train", "val")}
    truth = np.array([int(challenge.labels[r.id]) for r in rows["val"]])
    size = Preprocessing(32)
    return all_pixels(rows["train"], size, "read"), all_pixels(rows["val"], size, "read"), truth


def train(images: np.ndarray, recipe: str, seed: int, folder: Path) -> dict[str, Any]:
    """Seconds, loss and step log of one training; the network too."""
    entry = ENCODERS["conv-ae"]
    encoder = entry.method(entry.config(recipe=recipe))
    device = pick_device()
    with isolated_seed(seed, device):
        network = encoder.network()
    plan = encoder.plan(len(images))
    assert plan is not None
    folder.mkdir()
    began = time.perf_counter()
    log = fit(
        network,
        encoder.objective(len(images), seed),
        images,
        encoder.preprocessing,
        plan,
        seed=seed,
        device=device,
        folder=folder,
    )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "log": log, "network": network, "encoder": encoder}


def codes(trained: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """(n, 4096) float32."""
    encoder, network = trained["encoder"], trained["network"].cpu().eval()
    with torch.inference_mode():
        blocks = [
            encoder.encode(network, to_input(images[a : a + 256], encoder.preprocessing, "cpu"))
            for a in range(0, len(images), 256)
        ]
    return torch.cat(blocks).numpy()


def predict(
    recipe: str, z: np.ndarray, val: np.ndarray, truth: np.ndarray, seed: int
) -> dict[str, float]:
    """One predictor run: seconds of its three steps and how good it was."""
    out: dict[str, float] = {}
    x, placed = z, val
    for name in ("kernel-pca", "tsne"):
        entry = REDUCERS[name]
        began = time.perf_counter()
        reduction = entry.method(x, entry.config(recipe=recipe), seed)
        out[name] = time.perf_counter() - began
        x, placed = reduction.embedding, reduction.predict(placed)
    head = CLUSTERERS["minibatch-kmeans"]
    began = time.perf_counter()
    clustering = head.method(x, 2, head.config(recipe=recipe), seed)
    out["k-means"] = time.perf_counter() - began
    out["seconds"] = out["kernel-pca"] + out["tsne"] + out["k-means"]
    out["trustworthiness"] = trustworthiness(z, x)
    out["accuracy"] = best_binary_accuracy(truth, clustering.predict(placed).argmax(1))
    return out


def time_to(log: list[dict[str, Any]], loss: float, seconds: float) -> float | None:
    """Seconds after which the running loss first was at most `loss`, by share of steps."""
    for record in log:
        if record["loss"] <= loss:
            return seconds * record["step"] / log[-1]["step"]
    return None


def spread(values: list[float]) -> str:
    """`mean ± sd`."""
    return f"{mean(values):.4f} ± {stdev(values) if len(values) > 1 else 0:.4f}"


def predictor_rows(runs: dict[str, list[dict[str, float]]]) -> list[tuple[str, str, str, str]]:
    """Table rows: what, literal, fast, ratio."""
    rows = []
    for name in ("kernel-pca", "tsne", "k-means", "seconds"):
        a, b = ([r[name] for r in runs[recipe]] for recipe in RECIPES)
        ratio = median(p / q for p, q in zip(a, b, strict=True))
        what = "predictor, all" if name == "seconds" else f"predictor, {name}"
        rows.append((f"{what} (s)", f"{median(a):.1f}", f"{median(b):.1f}", f"{ratio:.1f}x"))
    for name in ("trustworthiness", "accuracy"):
        a, b = ([r[name] for r in runs[recipe]] for recipe in RECIPES)
        rows.append((name, spread(a), spread(b), f"{mean(b) - mean(a):+.4f}"))
    return rows


def training_rows(
    literal: dict[str, Any], fast: list[dict[str, Any]]
) -> list[tuple[str, str, str, str]]:
    """Table rows: what, literal, fast, ratio."""
    loss = literal["log"][-1]["loss"]
    reached = [time_to(f["log"], loss, f["seconds"]) for f in fast]
    whole = median(f["seconds"] for f in fast)
    rows = []
    if all(reached):
        equal = median(r for r in reached if r)
        ratio = f"{literal['seconds'] / equal:.1f}x"
        rows.append(
            ("training to the literal loss (s)", f"{literal['seconds']:.0f}", f"{equal:.0f}", ratio)
        )
    ratio = f"{literal['seconds'] / whole:.1f}x"
    rows.append(("training, whole recipe (s)", f"{literal['seconds']:.0f}", f"{whole:.0f}", ratio))
    losses = [f["log"][-1]["loss"] for f in fast]
    rows.append(("training loss at the end", f"{loss:.4f}", spread(losses), ""))
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with trainX.npy, valX.npy, valY.npy")
    parser.add_argument("--runs", type=int, default=5, help="runs of each predictor, one seed each")
    parser.add_argument(
        "--parts", nargs="+", choices=("predictor", "training"), default=["predictor", "training"]
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/baseline_speed.json"))
    cfg = parser.parse_args()

    table: list[tuple[str, str, str, str]] = []
    doc: dict[str, Any] = {"data": cfg.data.name if cfg.data else "photos", "cpus": os.cpu_count()}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        images, val, truth = load(cfg.data, folder / "files")
        doc |= {"rows": len(images), "torch": torch.__version__}
        timed = cfg.runs if "training" in cfg.parts else 1
        fast = [train(images, "fast", seed, folder / f"fast{seed}") for seed in range(timed)]
        if "predictor" in cfg.parts:
            z, placed = codes(fast[0], images), codes(fast[0], val)
            runs: dict[str, list[dict[str, float]]] = {r: [] for r in RECIPES}
            for seed in range(cfg.runs):
                for recipe in RECIPES if seed % 2 == 0 else RECIPES[::-1]:
                    runs[recipe].append(predict(recipe, z, placed, truth, seed))
            table += predictor_rows(runs)
            doc["predictor"] = runs
        if "training" in cfg.parts:
            literal = train(images, "literal", 0, folder / "literal")
            table += training_rows(literal, fast)
            doc["training"] = {
                "literal": {k: literal[k] for k in ("seconds", "log")},
                "fast": [{k: f[k] for k in ("seconds", "log")} for f in fast],
            }
    print(f"\n{doc['data']}: {doc['rows']} images, {doc['cpus']} cores, {cfg.runs} runs")
    print(f"{'':36}{'literal':>18}{'fast':>18}{'ratio':>9}")
    for what, a, b, ratio in table:
        print(f"{what:36}{a:>18}{b:>18}{ratio:>9}")
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(doc | {"table": table}, indent=1) + "\n")
    print(f"written to {cfg.out}")


if __name__ == "__main__":
    main()
