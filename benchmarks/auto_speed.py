"""Seconds of `auto` in a fresh process: by rows, K and effort, the measure of its cost model.

    python benchmarks/auto_speed.py [--rows 2000 10000] [--k 10 200] [--effort normal] [--dims 1280]

Rows are normal around K centres that overlap. Each cell is a process of its own, whose time from
its start to its end counts, imports included; CPU seconds stand beside it, as others may be at
work.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

CODE = """
import json, resource, sys, time
import numpy as np
n, d, k, effort = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = np.random.default_rng(0)
centres = rng.standard_normal((k, d)).astype(np.float32) * 0.5
x = centres[rng.integers(0, k, n)]
for a in range(0, n, 50_000):
    x[a : a + 50_000] += rng.standard_normal(x[a : a + 50_000].shape, np.float32)
before = time.process_time()
from imclust import cluster_latents
cluster_latents(x, k, effort=effort)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu": time.process_time() - before, "peak MiB": used.ru_maxrss / 1024}))
"""


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--k", type=int, nargs="+", default=[10, 200])
    parser.add_argument("--effort", nargs="+", default=["normal"])
    parser.add_argument("--dims", type=int, default=1280)
    cfg = parser.parse_args(argv)
    from imclust.clustering.effort import seconds_of

    for effort in cfg.effort:
        for n in cfg.rows:
            for k in (k for k in cfg.k if k <= n // 8):
                began = time.perf_counter()
                words = [sys.executable, "-c", CODE, str(n), str(cfg.dims), str(k), effort]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                row = json.loads(done.stdout.splitlines()[-1])
                wall, said = time.perf_counter() - began, seconds_of(n, cfg.dims, k, effort)
                what = f"{effort:9s} n {n:8d} d {cfg.dims} K {k:4d}: {wall:6.1f} s, "
                what += f"CPU {row['cpu']:6.1f} s, expected {said:6.1f} s, "
                print(what + f"{row['peak MiB']:.0f} MiB", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
