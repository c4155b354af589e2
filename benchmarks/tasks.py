"""Tasks drawn from labelled sets: which classes, how many rows of each, and strangers among them.

A set is an `.npz` with float arrays (N, D), each a space, and labels `y` (N,); `task_sets.py` makes
one of images. Sets whose names differ in trailing digits only are one source: their images may be
the same.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CLASSES = (2, 3, 5, 10, 20, 50, 100, 200)
RATIOS = (1, 5, 20, 100)  # the largest class to the smallest
ROWS, MANY = (300, 600, 1000, 1500), (3000, 6000, 10_000)  # of a task; the latter where allowed
LEAST = 3  # rows of a class
LEAST_SMALL = 6  # rows that the smallest class of two has at the least


@dataclass(frozen=True)
class Task:
    """One question to cluster, with its labels known.

    Parameters
    ----------
    data, space : str
        Set and its space.
    k : int
        Classes.
    ratio : int
        Rows of the largest class to those of the smallest; between them sizes fall geometrically.
    n : int
        Rows that are aimed at; a class that has fewer than its share gives all it has.
    outliers : float
        Share of further rows that belong to no class.
    seed : int
        Of the classes and the rows.
    """

    data: str
    space: str
    k: int
    ratio: int
    n: int
    outliers: float
    seed: int

    @property
    def source(self) -> str:
        """What is left out together."""
        return self.data.rstrip("0123456789_")

    @property
    def name(self) -> str:
        """Such as ``mnist-timm-k5-r20-n500-o5-s0``."""
        return (
            f"{self.data}-{self.space}-k{self.k}-r{self.ratio}-n{self.n}"
            f"-o{round(100 * self.outliers)}-s{self.seed}"
        )


def sizes(k: int, ratio: float, n: int) -> np.ndarray:
    """Rows of each class: (k,) int64, falling geometrically, the first `ratio` times the last."""
    share = float(ratio) ** (-np.arange(k) / max(k - 1, 1))
    return np.maximum(np.round(n * share / share.sum()), LEAST).astype(np.int64)


def draw(task: Task, y: np.ndarray, strangers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a task.

    Parameters
    ----------
    task : Task
        What is wanted.
    y : ndarray of shape (N,), int
        Labels of the set.
    strangers : int
        Rows that outliers can be drawn from.

    Returns
    -------
    rows : ndarray of int64
        Of the set, in random order.
    labels : ndarray of int64
        Of these rows, in [0, k).
    others : ndarray of int64
        Of the strangers.
    """
    rng = np.random.default_rng([task.seed, task.k, task.ratio, task.n])
    names = np.unique(y)
    classes = rng.permutation(names)[: task.k]
    picked = [
        rng.permutation(np.flatnonzero(y == c))[:size]
        for c, size in zip(classes, sizes(task.k, task.ratio, task.n), strict=True)
    ]
    rows = np.concatenate(picked)
    labels = np.repeat(np.arange(len(picked)), [len(p) for p in picked])
    order = rng.permutation(len(rows))
    count = min(round(task.outliers * len(rows)), strangers)
    return rows[order], labels[order], rng.permutation(strangers)[:count]


def classes_of(data: Path) -> int:
    """Classes of a set."""
    with np.load(data, allow_pickle=False) as z:
        return len(np.unique(z["y"]))


def slice_of(
    sets: dict[str, int], spaces: dict[str, tuple[str, ...]], count: int, most: int, seed: int
) -> list[Task]:
    """`count` tasks, every source, ratio and K in turn, so that any first part is balanced.

    Parameters
    ----------
    sets : dict
        Name -> classes.
    spaces : dict
        Name -> its spaces; the first is taken four times of five.
    count : int
        Tasks.
    most : int
        Rows of the largest.
    seed : int
        Of the draw.
    """
    rng = np.random.default_rng(seed)
    sources: dict[str, list[str]] = {}
    for name in sorted(sets):
        sources.setdefault(Task(name, "", 2, 1, 0, 0, 0).source, []).append(name)
    able = {s: _ks([sets[d] for d in names]) for s, names in sources.items()}
    order = [s for s in sources for _ in range(1 + (able[s][-1] > 20))]  # many classes: twice
    turns = dict.fromkeys(sources, 0)
    tasks: list[Task] = []
    for again in itertools.count():
        if len(tasks) >= count:
            break
        for source in order:
            ks, names = able[source], sources[source]
            if len(ks) < 3 and again % 2:  # few classes: half as often
                continue
            turn = turns[source]
            turns[source] += 1
            again_over, at = divmod(turn, len(RATIOS))
            stride = 5 if len(ks) % 5 else 7  # so that every K meets every ratio
            k, ratio = ks[(stride * again_over + at) % len(ks)], RATIOS[at]
            data = [d for d in names if sets[d] >= k]
            pick = data[turn % len(data)]
            wanted = max(200, 15 * k, LEAST_SMALL * ratio)
            n = int(min(most, max(wanted, rng.choice(ROWS + tuple(m for m in MANY if m <= most)))))
            outliers = 0.05 if rng.random() < 0.25 else 0.0
            space = spaces[pick][int(rng.random() < 0.2) % len(spaces[pick])]
            tasks.append(Task(pick, space, k, ratio, n, outliers, len(tasks)))
    return tasks[:count]


def _ks(classes: list[int]) -> list[int]:
    return [k for k in CLASSES if k <= max(classes)] or [max(classes)]
