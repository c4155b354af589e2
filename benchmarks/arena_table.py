"""What the arena's cells say together: pure functions from cells to tables.

A cell is one head on one space of one set with one seed: a dict with `set`, `space`, `head`,
`seed`, and either its numbers or an `error`. A task is one space of one set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import mean, median, stdev
from typing import Any, TypeAlias

Cell: TypeAlias = dict[str, Any]
Task: TypeAlias = tuple[str, str]
ENOUGH = 3  # candidates, to speak of an order among them


def is_auto(head: str) -> bool:
    """Whether it chooses among heads instead of being one; `auto`, with options or without."""
    return head.partition(":")[0] == "auto"


def table_rows(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """One row a task and head, over its seeds; best accuracy of a task first, failures last."""
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell["set"], cell["space"], cell["head"]].append(cell)
    rows = [_row(*key, group) for key, group in groups.items()]
    return sorted(rows, key=lambda r: (r["set"], r["space"], -(r["accuracy"] or -1.0), r["head"]))


def _row(data: str, space: str, head: str, group: list[Cell]) -> dict[str, Any]:
    good = [c for c in group if not c.get("error")]
    errors = [c["error"] for c in group if c.get("error")]
    accuracies = [c["accuracy"] for c in good]
    scores = [c["score"] for c in good if c.get("score") is not None]
    return {
        "set": data,
        "space": space,
        "head": head,
        "seeds": len(good),
        "accuracy": mean(accuracies) if good else None,
        "sd": stdev(accuracies) if len(good) > 1 else None,
        "nmi": mean(c["nmi"] for c in good) if good else None,
        "ari": mean(c["ari"] for c in good) if good else None,
        "seconds": median(c["seconds"] for c in good) if good else None,
        "peak_mib": max(c["peak_mib"] for c in good) if good else None,
        "score": mean(scores) if scores else None,
        "error": f"{len(errors)} of {len(group)} failed: {errors[0]}" if errors else "",
    }


def accuracies(rows: Iterable[dict[str, Any]]) -> dict[str, dict[Task, float]]:
    """head -> task -> mean accuracy, of the heads that gave an assignment there."""
    found: dict[str, dict[Task, float]] = defaultdict(dict)
    for row in rows:
        if row["accuracy"] is not None:
            found[row["head"]][row["set"], row["space"]] = row["accuracy"]
    return dict(found)


def head_means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean accuracy of every head, over its own tasks and over those that all heads answered.

    A head that never answered does not keep the others from having tasks in common.
    """
    tasks = {(r["set"], r["space"]) for r in rows}
    by_head = accuracies(rows)
    common = [t for t in tasks if all(t in found for found in by_head.values())]
    means = []
    for head in {r["head"] for r in rows}:
        found = by_head.get(head, {})
        shared = [found[t] for t in common] if found else []
        means.append(
            {
                "head": head,
                "tasks": len(found),
                "of": len(tasks),
                "accuracy": mean(found.values()) if found else None,
                "common": mean(shared) if shared else None,
            }
        )
    return sorted(means, key=lambda r: (-(r["common"] or r["accuracy"] or 0.0), r["head"]))


def oracle(rows: Sequence[dict[str, Any]]) -> dict[Task, tuple[str, float]]:
    """The best fixed head of every task, chosen by labels: a bound, nothing that one could run."""
    best: dict[Task, tuple[str, float]] = {}
    for head, found in accuracies(rows).items():
        for task, accuracy in found.items():
            if not is_auto(head) and accuracy > best.get(task, ("", -1.0))[1]:
                best[task] = head, accuracy
    return best


def against_oracle(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How far every `auto` stays behind the oracle, on average and where it is furthest."""
    best, out = oracle(rows), []
    for head, found in accuracies(rows).items():
        gaps = {t: best[t][1] - a for t, a in found.items() if t in best}
        if not is_auto(head) or not gaps:
            continue
        worst = max(gaps, key=lambda t: gaps[t])
        out.append(
            {
                "head": head,
                "tasks": len(gaps),
                "auto": mean(found[t] for t in gaps),
                "oracle": mean(best[t][1] for t in gaps),
                "worst_gap": gaps[worst],
                "worst_task": "/".join(worst),
                "worst_best_head": best[worst][0],
            }
        )
    return out


def agreement(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Spearman of label-free score with accuracy over an auto's candidates, by task.

    Mean over the seeds of a task; tasks without candidates to compare are left out.
    """
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for cell in cells:
        rho = spearman(_pairs(cell.get("candidates") or []))
        if is_auto(cell["head"]) and rho is not None:
            found[cell["head"], cell["set"], cell["space"]].append(rho)
    return [
        {"head": head, "set": data, "space": space, "spearman": mean(rhos)}
        for (head, data, space), rhos in sorted(found.items())
    ]


def _pairs(candidates: list[dict[str, Any]]) -> list[tuple[float, float]]:
    both = [(c.get("score"), c.get("accuracy")) for c in candidates]
    return [(float(s), float(a)) for s, a in both if s is not None and a is not None]


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Rank correlation in -1..1; None for fewer than three pairs, or where one side is constant."""
    from scipy.stats import spearmanr

    if len(pairs) < ENOUGH or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return None
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def summary(cells: Sequence[Cell]) -> dict[str, Any]:
    """Everything below the table, as JSON values."""
    rows = table_rows(cells)
    best = oracle(rows)
    return {
        "heads": head_means(rows),
        "oracle": {
            "accuracy": mean(a for _, a in best.values()) if best else None,
            "tasks": {"/".join(task): list(found) for task, found in sorted(best.items())},
        },
        "auto": against_oracle(rows),
        "agreement": agreement(cells),
    }


def lines(cells: Sequence[Cell]) -> list[str]:
    """The table and its summary, ready to print."""
    rows, found = table_rows(cells), summary(cells)
    head = ("set", "space", "head", "accuracy", "NMI", "ARI", "seconds", "peak MiB", "score", "")
    out = aligned([head, *map(_words, rows)], left=3)
    heads = [
        (r["head"], _f(r["common"]), _f(r["accuracy"]), f"{r['tasks']} of {r['of']}")
        for r in found["heads"]
    ]
    top = ("mean accuracy", "common tasks", "own tasks", "answered")
    out += ["", *aligned([top, *heads], left=1), ""]
    if found["oracle"]["accuracy"] is not None:
        out.append(
            f"oracle (best fixed head of a task, by labels): {_f(found['oracle']['accuracy'])}"
        )
    for r in found["auto"]:
        out.append(
            f"{r['head']}: {_f(r['auto'])} where the oracle has {_f(r['oracle'])} ({r['tasks']} "
            f"tasks); worst gap {_f(r['worst_gap'])} to {r['worst_best_head']} on {r['worst_task']}"
        )
    for head in sorted({r["head"] for r in found["agreement"]}):
        mine = [r["spearman"] for r in found["agreement"] if r["head"] == head]
        out.append(
            f"{head}: Spearman of score and accuracy over candidates {mean(mine):+.2f} "
            f"(mean of {len(mine)} tasks, least {min(mine):+.2f})"
        )
    return out


def _words(row: dict[str, Any]) -> tuple[str, ...]:
    spread = f" ± {row['sd']:.4f}" if row["sd"] is not None else ""
    return (
        *(row["set"], row["space"], row["head"], _f(row["accuracy"]) + spread),
        *(_f(row["nmi"]), _f(row["ari"]), _f(row["seconds"], 1), _f(row["peak_mib"], 0)),
        *(_f(row["score"]), row["error"]),
    )


def _f(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def aligned(table: Sequence[tuple[str, ...]], left: int) -> list[str]:
    """Columns of equal width; numbers to the right, the first `left` and a last of words not."""
    last = len(table[0]) - 1
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            word.ljust(w) if i < left or (i == last and left > 1) else word.rjust(w)
            for i, (word, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
