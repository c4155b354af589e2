"""Seconds and peak memory of the two reductions far past the exact kernel's bound.

    python benchmarks/large_n.py [--rows 100000] [--dims 4096] [--steps kernel-pca tsne]

Writes latents of a mixture of ten groups to a temporary folder (rows x dims x 4 bytes), runs the
`reduce` stage on them as a user would, each in a process of its own, and reads time and peak memory
from the manifests. Prints one table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.manifest import read_manifest
from imclust.core.npy import NpyRows
from imclust.core.records import Features, save_rows

GROUPS = 10


def make_latents(out: Path, rows: int, dims: int) -> None:
    """Non-negative latents (rows, dims) float32 of GROUPS groups, streamed to disk."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((GROUPS, 32)).astype(np.float32)
    lift = rng.standard_normal((32, dims)).astype(np.float32) / 6

    def write(folder: Path) -> dict[str, Any]:
        with NpyRows(folder / "x.npy", (rows, dims)) as file:
            for a in range(0, rows, 4096):
                n = min(4096, rows - a)
                inner = centres[rng.integers(0, GROUPS, n)] + 0.5 * rng.standard_normal((n, 32))
                file.write(a, np.maximum(inner.astype(np.float32) @ lift, 0))
        ids = np.arange(rows).astype(str)
        save_rows(folder, ids, np.full(rows, "train"))
        return {"rows": rows, "dims": dims}

    make_artifact(out, ArtifactSpec("features", {}, {}, ()), write)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=4096)
    parser.add_argument("--steps", nargs="+", default=["kernel-pca", "tsne"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/large_n.json"))
    cfg = parser.parse_args()
    doc: dict[str, Any] = {"rows": cfg.rows, "dims": cfg.dims, "steps": {}}
    with TemporaryDirectory() as scratch:
        before = Path(scratch) / "latents"
        make_latents(before, cfg.rows, cfg.dims)
        for step in cfg.steps:
            after = Path(scratch) / step
            command = [sys.executable, "-m", "imclust", "reduce", "--features", str(before)]
            subprocess.run([*command, "--out", str(after), step], check=True)
            done = read_manifest(after)
            keys = ("seconds", "peak_mib", "dims", "solver", "landmarks")
            doc["steps"][step] = {k: done[k] for k in keys if k in done}
            assert np.isfinite(Features.load(after).x).all()
            before = after
    print(f"\n{cfg.rows} rows of {cfg.dims} numbers")
    print(f"{'step':14}{'seconds':>10}{'peak GiB':>10}")
    for step, facts in doc["steps"].items():
        print(f"{step:14}{facts['seconds']:>10.0f}{facts['peak_mib'] / 1024:>10.1f}")
    cfg.out.parent.mkdir(parents=True, exist_ok=True)
    cfg.out.write_text(json.dumps(doc, indent=1) + "\n")
    print(f"written to {cfg.out}")


if __name__ == "__main__":
    main()
