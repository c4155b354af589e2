"""Published ways to cluster beside ours: the same features, the same tasks, one run.

    python benchmarks/task_sets.py IMAGES SETS       # images to vectors, once
    python benchmarks/peers.py SETS [--tasks 96 --every 8] [--seeds 5] [--ways auto kmeans evoc]

With K given: k-means, TEMI and TURTLE (ours, written from the papers), DROWCULA's recipe (unit
rows; UMAP of three dimensions, its neighbours chosen by the silhouette in the layout; k-means with
50 starts). Without K: DROWCULA with K by the same silhouette, UMAP and HDBSCAN, EVoC, PLSCAN on the
same layout; rows that these leave out go to the nearest row that has a cluster, so that all answer
for every row. Needs `pip install umap-learn evoc fast-plscan` for those; their first calls compile,
EVoC's for minutes. Every finished cell is a line of OUT's `.jsonl` and is not computed again.
Prints a table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arena_table import aligned
from arena_tasks import add_slice, load_task, tasks_of
from task_metrics import against_labels

Way = Callable[[np.ndarray, int | None, int], np.ndarray]
STARTS = 50
NEIGHBOURS = (10, 30)  # of DROWCULA's layouts
MOST = 30  # clusters that it tries where K is not known


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def layout(x: np.ndarray, neighbours: int, dims: int, seed: int) -> np.ndarray:
    """UMAP of the rows by umap-learn, cosine distance."""
    from umap import UMAP

    near = min(neighbours, len(x) - 1)
    return np.asarray(
        UMAP(near, dims, metric="cosine", min_dist=0.0, random_state=seed).fit_transform(x)
    )


def everybody(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Clusters (n,) in which -1 has become that of the nearest row that has one."""
    from sklearn.neighbors import KNeighborsClassifier

    known = labels >= 0
    if known.all() or not known.any():
        return np.maximum(labels, 0)
    near = KNeighborsClassifier(1).fit(rows[known], labels[known])
    return np.where(known, labels, near.predict(rows))


def ours(name: str, **options: Any) -> Way:
    """A method of the registry."""

    def run(x: np.ndarray, k: int | None, seed: int) -> np.ndarray:
        from imclust.api import cluster_latents

        return cluster_latents(x, "auto" if k is None else k, name, seed, **options).labels

    return run


def drowcula(x: np.ndarray, k: int | None, seed: int) -> np.ndarray:
    """Neighbours of the layout, and K where it is not given, by the silhouette in the layout."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    best, found = -2.0, np.zeros(len(x), int)
    for neighbours in NEIGHBOURS:
        e = layout(unit(x), neighbours, 3, seed)
        for count in [k] if k else range(2, min(MOST, len(x) // 4) + 1):
            labels = KMeans(count, n_init=STARTS if k else 10, random_state=seed).fit_predict(e)
            score = float(silhouette_score(e, labels))
            if score > best:
                best, found = score, labels
    return found


def umap_hdbscan(x: np.ndarray, k: int | None, seed: int) -> np.ndarray:
    """The recipe of topic models: five dimensions, least cluster 15."""
    from sklearn.cluster import HDBSCAN

    e = layout(unit(x), 15, 5, seed)
    return everybody(HDBSCAN(min_cluster_size=15, copy=True).fit_predict(e), e)


def plscan(x: np.ndarray, k: int | None, seed: int) -> np.ndarray:
    """Persistence over all least sizes, on the same layout."""
    from fast_plscan import PLSCAN

    e = layout(unit(x), 15, 5, seed)
    return everybody(np.asarray(PLSCAN().fit_predict(e)), e)


def evoc(x: np.ndarray, k: int | None, seed: int) -> np.ndarray:
    """The layer that it chooses itself."""
    from evoc import EVoC

    return everybody(np.asarray(EVoC(random_state=seed).fit_predict(unit(x))), unit(x))


KNOWN: dict[str, Way] = {
    "auto": ours("auto"),
    "kmeans": ours("kmeans"),
    "temi": ours("temi"),
    "turtle": ours("turtle"),
    "drowcula": drowcula,
}
UNKNOWN: dict[str, Way] = {
    "auto, K unknown": ours("auto"),
    "drowcula, K unknown": drowcula,
    "umap + hdbscan": umap_hdbscan,
    "umap + plscan": plscan,
    "evoc": evoc,
}
WAYS = KNOWN | UNKNOWN


def run_cell(x: np.ndarray, y: np.ndarray, way: str, seed: int) -> dict[str, Any]:
    """One way on one task: its numbers against the labels of the rows that have one."""
    known = y >= 0
    true = len(np.unique(y[known]))
    began, cpu = time.perf_counter(), time.process_time()
    labels = WAYS[way](x, true if way in KNOWN else None, seed)
    cell: dict[str, Any] = {"seconds": time.perf_counter() - began}
    cell |= {"cpu": time.process_time() - cpu, "k": len(np.unique(labels)), "true k": true}
    cell["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return cell | against_labels(y[known], np.unique(labels, return_inverse=True)[1][known])


def lines(cells: list[dict[str, Any]]) -> list[str]:
    """A row a way: means over tasks, their spread, and that of the seeds."""
    by_way: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        by_way[cell["way"]][cell["task"]].append(cell)
    shared = set.intersection(*(set(tasks) for tasks in by_way.values()))
    body = []
    for way in (w for w in WAYS if w in by_way):
        found = [by_way[way][task] for task in sorted(shared)]
        each = [f"{np.mean([np.mean([c[n] for c in cs]) for cs in found]):.3f}"
                for n in ("ari", "accuracy", "ami")]  # fmt: skip
        spread = np.mean([np.std([c["ari"] for c in cs]) for cs in found])
        even = [np.mean([c["ari"] for c in cs]) for cs in found if cs[0]["ratio"] == 1]
        skew = [np.mean([c["ari"] for c in cs]) for cs in found if cs[0]["ratio"] > 5]
        right = np.mean(
            [abs(c["k"] - c["true k"]) <= 0.2 * c["true k"] for cs in found for c in cs]
        )
        first = max(c["cpu"] for cs in found for c in cs)
        body.append((
            way, str(len(shared)), *each, f"{spread:.3f}", f"{np.mean(even):.3f}",
            f"{np.mean(skew):.3f}", f"{right:.2f}",
            f"{np.median([c['cpu'] for cs in found for c in cs]):.1f}", f"{first:.0f}",
        ))  # fmt: skip
    head = ("way", "tasks", "ARI", "accuracy", "AMI", "sd of seeds", "ARI even",
            "ARI 20, 100:1", "K ok", "CPU s", "slowest")  # fmt: skip
    return aligned([head, *body], left=1)


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, print, write."""
    from imclust.core.log import progress

    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, help="a folder of .npz files")
    add_slice(parser)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, default=5, help="so many, from 0")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/peers.json"))
    cfg = parser.parse_args(argv)
    path = cfg.out.with_suffix(".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text().splitlines() if path.is_file() else []
    done = {(c["task"], c["way"], c["seed"]): c for c in map(json.loads, before)}
    wanted = [(t, s, w) for s in range(cfg.seeds) for t in tasks_of(cfg) for w in cfg.ways]
    missing = [(t, s, w) for t, s, w in wanted if (t.name, w, s) not in done]
    with path.open("a") as file:
        for task, seed, way in progress(missing, "cells", unit="cell"):
            x, y = load_task(cfg.sets, task)
            cell = {"task": task.name, "ratio": task.ratio, "way": way, "seed": seed}
            cell |= run_cell(x, y, way, seed)
            done[task.name, way, seed] = cell
            file.write(json.dumps(cell) + "\n")
            file.flush()
    cells = [done[t.name, w, s] for t, s, w in wanted]
    cfg.out.write_text(json.dumps(cells, indent=1) + "\n")
    print("\n".join(lines(cells)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
