"""Heads on tasks drawn from labelled sets: few classes and many, even sizes and skewed, outliers.

    python benchmarks/task_sets.py IMAGES SETS            # images to vectors, once
    python benchmarks/arena_tasks.py SETS [--tasks 96] [--rows 2000] [--heads auto kmeans]
    python benchmarks/arena_tasks.py SETS --k auto --heads auto
    python benchmarks/arena_tasks.py SETS --tables-only

SETS holds `.npz` files with float arrays (N, D), each a space (`timm` first, else by name), and
labels `y`. Tasks are drawn from a seed (`--draw`), every source, skew and K in turn, so that the
first so many are balanced too. Rows from elsewhere count for nothing but are clustered. Every
finished cell is a line of OUT's `.jsonl` and is not computed again while it has the same settings
and `--tag`. Prints one table over regimes, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from arena_cell import parse_head
from task_metrics import NAMES, against_labels
from tasks import RATIOS, Task, classes_of, draw, slice_of

FIRST = "timm"


def spaces_of(sets: Path) -> dict[str, tuple[str, ...]]:
    """Name of each set -> its spaces, the usual one first."""
    found = {}
    for path in sorted(sets.glob("*.npz")):
        with np.load(path, allow_pickle=False) as z:
            found[path.stem] = tuple(
                sorted((n for n in z.files if n != "y"), key=lambda n: (n != FIRST, n))
            )
    if not found:
        raise SystemExit(f"{sets} must hold .npz files; got none; make them with task_sets.py.")
    return found


def load_task(sets: Path, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) float32 of a task and their labels (n,), -1 for those from elsewhere.

    These are of the set's other classes, or of another source where the task takes all.
    """
    with np.load(sets / f"{task.data}.npz", allow_pickle=False) as z:
        y, x = z["y"], z[task.space]
    names = np.unique(y)
    if task.k < len(names):
        rng = np.random.default_rng([task.seed, task.k, task.ratio, task.n])
        stranger = x[~np.isin(y, rng.permutation(names)[: task.k])]
    else:
        stranger = _elsewhere(sets, task, x.shape[1])
    rows, labels, others = draw(task, y, len(stranger))
    x = np.vstack([x[rows], stranger[others]]).astype(np.float32)
    labels = np.concatenate([labels, np.full(len(others), -1)])
    order = np.random.default_rng(task.seed).permutation(len(labels))
    return x[order], labels[order]


def _elsewhere(sets: Path, task: Task, width: int) -> np.ndarray:
    for path in sorted(sets.glob("*.npz")):
        if Task(path.stem, "", 2, 1, 0, 0, 0).source == task.source:
            continue
        with np.load(path, allow_pickle=False) as z:
            if task.space in z.files and z[task.space].shape[1] == width:
                return z[task.space]
    return np.empty((0, width), np.float32)


def tasks_of(cfg: argparse.Namespace) -> list[Task]:
    """Those that the command line asks for: of the ones drawn, every so manieth, if so named."""
    spaces = spaces_of(cfg.sets)
    classes = {name: classes_of(cfg.sets / f"{name}.npz") for name in spaces}
    tasks = slice_of(classes, spaces, cfg.tasks, cfg.rows, cfg.draw)
    return [task for task in tasks[cfg.start :: cfg.every] if cfg.named in task.name]


def add_slice(parser: argparse.ArgumentParser) -> None:
    """The flags of `tasks_of`."""
    add = parser.add_argument
    add("--tasks", type=int, default=96, help="so many are drawn")
    add("--start", type=int, default=0, help="leave out the first so many")
    add("--every", type=int, default=1, help="take every so manieth task")
    add("--rows", type=int, default=2000, help="of a task at most")
    add("--draw", type=int, default=0, help="seed of the tasks")
    add("--named", default="", help="take only those whose name holds this, such as k200-")


def run_cell(sets: Path, task: Task, head: str, k: str, seed: int) -> dict[str, Any]:
    """One head on one task: its numbers."""
    from imclust.api import cluster_latents
    from imclust.core.errors import InputError

    x, y = load_task(sets, task)
    true = len(np.unique(y[y >= 0]))
    name, options = parse_head(head)
    cell: dict[str, Any] = {"n": len(y), "true k": true}
    began = time.perf_counter()
    try:
        found = cluster_latents(x, true if k == "known" else "auto", name, seed, **options)
    except InputError as e:
        return cell | {"error": str(e)}
    cell["seconds"] = time.perf_counter() - began
    known = y >= 0
    cell |= against_labels(y[known], found.labels[known])
    facts = {n: found.facts.get(n) for n in ("estimated_accuracy", "estimated_ari")}
    facts |= {f"best {n}": found.facts.get(n) for n in ("head", "view")}
    cell |= facts | {"k": found.probabilities.shape[1]}
    cell["coverage"] = coverage(y, found.labels, found.probabilities.max(1))
    members = [m for m in found.members if not m.reason]
    if len(members) > 2 and found.compared_rows is not None:
        from imclust.clustering.metrics import ari

        rows = found.compared_rows
        kept = known[rows]
        cell["candidates"] = [
            [m.name, m.view, m.score, ari(y[rows][kept], m.labels[kept])] for m in members
        ]
    return cell


def coverage(y: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> list[float]:
    """Accuracy of the most confident 50, 60 ... 100 % of the rows; strangers are always wrong."""
    from scipy.optimize import linear_sum_assignment

    k = int(max(labels.max(), y.max())) + 1
    counts = np.zeros((k, k))
    np.add.at(counts, (labels[y >= 0], y[y >= 0]), 1)
    names = linear_sum_assignment(counts, maximize=True)[1]
    right = (names[labels] == y)[np.argsort(-confidence, kind="stable")]
    return [float(right[: max(1, round(len(y) * s / 10))].mean()) for s in range(5, 11)]


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, print, write."""
    cfg = parse(argv)
    tasks = tasks_of(cfg)
    path = cfg.out.with_suffix(".jsonl")
    done = {c["key"]: c for c in _read(path)}
    wanted = [(t, h, s) for t in tasks for h in cfg.heads for s in range(cfg.seeds)]
    keys = {(t, h, s): f"{t.name}|{h}|{cfg.k}|{s}|{cfg.tag}" for t, h, s in wanted}
    if not cfg.tables_only:
        from imclust.core.log import progress

        path.parent.mkdir(parents=True, exist_ok=True)
        missing = [w for w in wanted if keys[w] not in done]
        with path.open("a") as file:
            for w in progress(missing, "cells", unit="cell"):
                t, h, s = w
                about = {"key": keys[w], "task": t.name, "source": t.source, "ratio": t.ratio,
                         "head": h, "seed": s}  # fmt: skip
                done[keys[w]] = about | run_cell(cfg.sets, t, h, cfg.k, s)
                file.write(json.dumps(done[keys[w]]) + "\n")
                file.flush()
    cells = [done[key] for key in keys.values() if key in done]
    doc = {"tasks": len(tasks), "k": cfg.k, "tag": cfg.tag, "table": table(cells)}
    cfg.out.write_text(json.dumps(doc | {"cells": cells}, indent=1) + "\n")
    print("\n".join(lines(cells)))
    return 0


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def table(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a head and regime: mean and spread over tasks of each number (means over seeds)."""
    groups: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for cell in cells:
        if "error" not in cell:
            for regime in (f"{cell['ratio']}:1", "all"):
                groups[cell["head"], regime][cell["task"]].append(cell)
    rows = []
    for (head, regime), by_task in groups.items():
        row: dict[str, Any] = {"head": head, "regime": regime, "tasks": len(by_task)}
        for name in (*NAMES, "seconds"):
            means = [float(np.mean([c[name] for c in cs])) for cs in by_task.values()]
            row[name] = float(np.mean(means))
            row[f"{name} sd"] = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
        rows.append(row | _only_auto([c for cs in by_task.values() for c in cs]))
    order = [*(f"{r}:1" for r in RATIOS), "all"]
    return sorted(rows, key=lambda r: (order.index(r["regime"]), -r["ari"]))


def _only_auto(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Rank correlation of score and ARI, error of the estimates, and how often K is right."""
    from arena_table import spearman

    out: dict[str, float] = {}
    rhos = [
        spearman([(c[2], c[3]) for c in cell["candidates"]])
        for cell in cells
        if cell.get("candidates")
    ]
    if rhos := [r for r in rhos if r is not None]:
        out["spearman"] = float(np.mean(rhos))
    for name, truth in (("estimated_accuracy", "accuracy"), ("estimated_ari", "ari")):
        if found := [c[name] - c[truth] for c in cells if c.get(name) is not None]:
            out[f"{name} bias"], out[f"{name} error"] = (
                float(np.mean(found)),
                float(np.mean(np.abs(found))),
            )
    out["k within 20 %"] = float(
        np.mean([abs(c["k"] - c["true k"]) <= 0.2 * c["true k"] for c in cells])
    )
    return out


def lines(cells: list[dict[str, Any]]) -> list[str]:
    """The table, ready to print."""
    from arena_table import aligned

    head = ("regime", "head", "tasks", *NAMES, "seconds", "rank", "est. bias", "K ok")
    body = [
        (
            r["regime"], r["head"], str(r["tasks"]),
            *(f"{r[n]:.3f} ± {r[f'{n} sd']:.3f}" for n in NAMES), f"{r['seconds']:.1f}",
            *(f"{r[n]:+.3f}" if n in r else "-" for n in ("spearman", "estimated_accuracy bias")),
            f"{r['k within 20 %']:.2f}",
        )
        for r in table(cells)
    ]  # fmt: skip
    return aligned([head, *body], left=2)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sets", type=Path, help="a folder of .npz files")
    add_slice(parser)
    add("--heads", nargs="+", default=["auto"], help="names, with options as name:field=value,...")
    add("--seeds", type=int, default=1, help="so many, from 0")
    add("--k", choices=("known", "auto"), default="known", help="whether K is given")
    add("--tag", default="", help="of the code that is measured; another one computes again")
    add("--tables-only", action="store_true", help="print again what OUT holds")
    add("--out", type=Path, default=Path("benchmarks/results/tasks.json"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
