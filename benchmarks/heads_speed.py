"""Seconds of `auto` at 10 000 x 1280, and of TURTLE's fast recipe against the paper's plain one.

    python benchmarks/heads_speed.py [--rows 10000] [--dims 1280] [--plain-steps 60]

Rows are a mixture of ten groups. The plain recipe (6000 outer steps of 10 fresh inner steps on raw
rows) runs for --plain-steps steps, and its time is scaled to 6000: each step costs the same. Prints
one table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from imclust import cluster_latents
from imclust.clustering.clusterers.turtle import InnerClassifier, Labeller, outer_loss
from imclust.clustering.mlp_ensemble import on_device

GROUPS, PLAIN = 10, 6000


def mixture(rows: int, dims: int) -> np.ndarray:
    """Non-negative rows (rows, dims) float32 of GROUPS overlapping groups."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((GROUPS, 32))
    inner = centres[rng.integers(0, GROUPS, rows)] + 0.7 * rng.standard_normal((rows, 32))
    return np.maximum(inner @ rng.standard_normal((32, dims)) / 6, 0).astype(np.float32)


def plain_step_seconds(x: np.ndarray, steps: int) -> float:
    """Seconds of one outer step of the plain recipe, one head, all rows in a batch."""
    generator = torch.Generator().manual_seed(0)
    rows = on_device(x)
    labeller = Labeller([x.shape[1]], 1, GROUPS, generator, str(rows.device))
    inner = InnerClassifier(labeller, generator, rate=1e-3, keep=False, steps=10)
    optimiser = torch.optim.Adam(labeller.parameters, lr=1e-3)
    began = time.perf_counter()
    for _ in range(steps):
        loss = outer_loss([rows], labeller, inner, 10.0).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return (time.perf_counter() - began) / steps


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dims", type=int, default=1280)
    parser.add_argument("--plain-steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/heads_speed.json"))
    cfg = parser.parse_args()
    x = mixture(cfg.rows, cfg.dims)
    doc: dict[str, float] = {"rows": cfg.rows, "dims": cfg.dims}
    for method in ("auto", "turtle"):
        began = time.perf_counter()
        cluster_latents(x, GROUPS, method)
        doc[f"{method} (s)"] = time.perf_counter() - began
    doc["turtle, plain, 6000 steps (s, scaled)"] = PLAIN * plain_step_seconds(x, cfg.plain_steps)
    doc["plain / fast"] = doc["turtle, plain, 6000 steps (s, scaled)"] / doc["turtle (s)"]
    for name, value in doc.items():
        print(f"{name:40} {value:10.1f}")
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(doc, indent=2) + "\n")


if __name__ == "__main__":
    main()
