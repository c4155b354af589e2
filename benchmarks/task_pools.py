"""Pools of candidates for tasks of known classes, from which `fit_selector.py` learns to choose.

    python benchmarks/task_pools.py SETS POOLS [--tasks 96] [--rows 2000] [--seeds 1]

Each task and seed gives one `.npz`: every candidate's labels, its label-free numbers, the
agreements, and its ARI and accuracy; and the same of clusterings at every K of the grid. What is
there is not computed again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from arena_tasks import add_slice, load_task, tasks_of
from imclust.clustering.auto_search import CandidateSearch, choose_views
from imclust.clustering.effort import EFFORTS
from imclust.clustering.evidence import evidence
from imclust.clustering.metrics import ari, hungarian_accuracy
from imclust.clustering.n_clusters import FEWEST, GRID, SAMPLE, cuts
from imclust.core.log import progress
from imclust.core.shards import one_thread_each


def pool_of(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """All that is kept of one task: rows x (n, d), labels y (n,), -1 unknown."""
    k = len(np.unique(y[y >= 0]))
    with one_thread_each():
        search = CandidateSearch([x], k, EFFORTS["normal"], seed)
        able = search.run({}, retrain=True)
        assert search.pool is not None
        labels = [np.asarray(c.whole) for c in able]
        aris, accuracies = _truth(y, labels)
        return {
            "Y": y, "k": np.array(k), "labels": np.array(labels, np.int16),
            "E": search.pool.table, "A": search.pool.agreement,
            "names": np.array(search.pool.heads), "views": np.array(search.pool.views),
            "ari": aris, "acc": accuracies, **_over_k(x, y, seed),
        }  # fmt: skip


def _over_k(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """K, numbers and ARI of the cuts of every view at every K, on the rows that K is told from."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:SAMPLE])
    views = choose_views([x[rows]], 2, seed)
    ks = [g for g in GRID if g <= len(rows) // FEWEST]
    at_k = [(g, v.name, c) for g in ks for v in views for c in cuts(v, g, seed)]
    labels = [c for _, _, c in at_k]
    numbers = evidence(labels, [v for _, v, _ in at_k], views, np.arange(len(rows)), seed).table
    sari = _truth(y[rows], labels)[0]
    return {"sks": np.array([g for g, _, _ in at_k]), "sE": numbers, "sari": sari}


def _truth(y: np.ndarray, labels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    known = y >= 0
    pairs = [(y[known], c[known]) for c in labels]
    return np.array([ari(*p) for p in pairs]), np.array([hungarian_accuracy(*p) for p in pairs])


def main(argv: list[str] | None = None) -> int:
    """Make what is missing."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, help="a folder of .npz files")
    parser.add_argument("pools", type=Path, help="where the pools go")
    add_slice(parser)
    parser.add_argument("--seeds", type=int, default=1, help="of `auto`, so many, from 0")
    cfg = parser.parse_args(argv)
    cfg.pools.mkdir(parents=True, exist_ok=True)
    wanted = {f"{t.name}-seed{s}.npz": (t, s) for s in range(cfg.seeds) for t in tasks_of(cfg)}
    missing = [name for name in wanted if not (cfg.pools / name).is_file()]
    for name in progress(missing, "pools", unit="task"):
        task, seed = wanted[name]
        np.savez_compressed(cfg.pools / "partial.npz", **pool_of(*load_task(cfg.sets, task), seed))
        (cfg.pools / "partial.npz").rename(cfg.pools / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
