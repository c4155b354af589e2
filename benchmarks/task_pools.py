"""Pools of candidates for tasks of known classes, from which `fit_selector.py` learns to choose.

    python benchmarks/task_pools.py SETS POOLS [--tasks 96] [--rows 2000]

Each task gives one `.npz`: every candidate's labels, its label-free numbers, the agreements, and
its ARI and accuracy; and the same of clusterings at every K of the grid. What is there is not
computed again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from arena_tasks import add_slice, load_task, tasks_of
from imclust.clustering.auto_search import choose_views
from imclust.clustering.effort import EFFORTS
from imclust.clustering.evidence import evidence
from imclust.clustering.metrics import ari, hungarian_accuracy, pairwise_ari
from imclust.clustering.n_clusters import FEWEST, GRID, cuts
from imclust.clustering.portfolio import candidates_at, finer, runs_of
from imclust.core.log import progress


def pool_of(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """All that is kept of one task: rows x (n, d), labels y (n,), -1 unknown."""
    k, known = len(np.unique(y[y >= 0])), y >= 0

    def truth(labels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(y[known], c[known]) for c in labels]
        return np.array([ari(*p) for p in pairs]), np.array([hungarian_accuracy(*p) for p in pairs])

    views = choose_views([x], k, 0)
    second = finer(views[1:])
    made = candidates_at(runs_of(views, second, EFFORTS["normal"]), k, 0)
    labels = [c.labels for c in made]
    rows = np.arange(len(y))
    table = evidence(labels, [c.view for c in made], [*views, *second], rows, 0).table
    aris, accuracies = truth(labels)
    ks = [g for g in GRID if g <= len(y) // FEWEST]
    at_k = [(g, v.name, c) for g in ks for v in views for c in cuts(v, g, 0)]
    over_k = evidence([c for _, _, c in at_k], [v for _, v, _ in at_k], views, rows, 0).table
    return {
        "Y": y, "k": np.array(k), "labels": np.array(labels, np.int16), "E": table,
        "A": pairwise_ari(labels), "names": np.array([c.name for c in made]),
        "views": np.array([c.view for c in made]), "bad": np.array([bool(c.reason) for c in made]),
        "ari": aris, "acc": accuracies, "sks": np.array([g for g, _, _ in at_k]), "sE": over_k,
        "sari": truth([c for _, _, c in at_k])[0],
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Make what is missing."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, help="a folder of .npz files")
    parser.add_argument("pools", type=Path, help="where the pools go")
    add_slice(parser)
    cfg = parser.parse_args(argv)
    cfg.pools.mkdir(parents=True, exist_ok=True)
    missing = [t for t in tasks_of(cfg) if not (cfg.pools / f"{t.name}.npz").is_file()]
    for task in progress(missing, "pools", unit="task"):
        np.savez_compressed(cfg.pools / "partial.npz", **pool_of(*load_task(cfg.sets, task)))
        (cfg.pools / "partial.npz").rename(cfg.pools / f"{task.name}.npz")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
