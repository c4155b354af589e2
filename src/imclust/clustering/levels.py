"""Coarser and finer assignments that nest: clusters merged, and clusters split, on one graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from imclust.clustering.clusterers._base import Clustering, predict_in_blocks
from imclust.clustering.clusterers._partitions import OWN_SHARE, by_neighbours
from imclust.clustering.graph_merging import graph_rows, merge_by_graph
from imclust.clustering.heads import kmeans_labels
from imclust.clustering.views import View

Level: TypeAlias = Literal["coarse", "chosen", "fine"]
PARTS = 3  # small clusters for each wanted one, before they are merged


@dataclass(frozen=True)
class Nested:
    """One level of an assignment.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        In [0, k).
    parent : ndarray of int64
        Coarse: the coarse cluster of each chosen one. Fine: the chosen cluster of each fine one.
    """

    labels: np.ndarray
    parent: np.ndarray


def _coarser(labels: np.ndarray, view: View, k: int) -> Nested:
    """k clusters of which each is a union of those given: the ones that the graph joins most.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
        All of [0, K) used, K >= k.
    view : View
        Of the same rows.
    k : int
        Clusters that are left.
    """
    merged = merge_by_graph(labels, view.graph, k)
    count = int(labels.max()) + 1
    first = np.array([np.flatnonzero(labels == c)[0] for c in range(count)])
    return Nested(merged, merged[first])


def _finer(labels: np.ndarray, view: View, k: int, seed: int) -> Nested:
    """k clusters of which each lies in one of those given: these in small parts, merged again as
    the graph joins them, within each only.

    Parameters are those of `_coarser`, K <= k; `seed` is of the parts.
    """
    parts, n = np.zeros(len(labels), np.int64), 0
    for c in range(int(labels.max()) + 1):
        mine = np.flatnonzero(labels == c)
        share = max(1, min(len(mine) // 2, round(PARTS * k * len(mine) / len(labels)) + 1))
        parts[mine] = n + (kmeans_labels(view.layout[mine], share, seed, 1) if share > 1 else 0)
        n += share
    made = np.unique(parts, return_inverse=True)[1]
    split = merge_by_graph(made, view.graph, min(k, int(made.max()) + 1), within=labels)
    first = np.array([np.flatnonzero(split == c)[0] for c in range(int(split.max()) + 1)])
    return Nested(split, labels[first])


def merged_columns(p: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Probabilities (n, K) of clusters as those of the unions (n, k) that `parent` (K,) names.

    Where the union of a row's own cluster would no longer be its most probable, it is made so.

    Examples
    --------
    >>> merged_columns(np.array([[0.5, 0.3, 0.2]]), np.array([0, 1, 1]))
    array([[0.5, 0.5]])
    """
    out = np.zeros((len(p), int(parent.max()) + 1), p.dtype)
    for c, group in enumerate(parent):
        out[:, group] += p[:, c]
    own = parent[p.argmax(1)]
    lost = np.flatnonzero(out.argmax(1) != own)
    out[lost] *= 1 - OWN_SHARE
    out[lost, own[lost]] += OWN_SHARE
    return out


def _merged_predict(
    new: Any, predict: Callable[[Any], np.ndarray], parent: np.ndarray
) -> np.ndarray:
    """`predict` of rows, of the unions."""
    return merged_columns(predict(new), parent)


def at_level(
    found: Clustering,
    spaces: list[np.ndarray],
    counts: Mapping[str, int],
    level: Level,
    seed: int,
) -> tuple[Clustering, dict[str, np.ndarray]]:
    """An assignment at another level, and the nested labels of all levels.

    Parameters
    ----------
    found : Clustering
        At the chosen K.
    spaces : list of ndarray of shape (n, d_v), float
        What it was fitted to.
    counts : mapping
        Level -> K; those that are not named are not made.
    level : str
        Of the assignment; one that is not named, or a K with empty clusters, leaves it as it is.
    seed : int
        Of the sample that the graph is made of, where rows are many, and of the small parts.

    Returns
    -------
    clustering : Clustering
        The assignment at the level.
    labels : dict
        Level -> (n,) int64; each fine cluster lies in a chosen one, each chosen one in a coarse.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    >>> x += np.repeat([[0], [2], [9], [11]], 10, axis=0)
    >>> labels = np.repeat([0, 1, 2, 3], 10)
    >>> found = Clustering(np.eye(4, dtype=np.float32)[labels], lambda new: new)
    >>> found, nested = at_level(found, [x], {"coarse": 2}, "coarse", seed=0)
    >>> nested["coarse"][::10].tolist(), found.probabilities.shape
    ([0, 0, 1, 1], (40, 2))
    """
    labels = np.asarray(found.labels)
    k, n = found.probabilities.shape[1], len(labels)
    used = np.unique(labels)
    nested = {"chosen": labels}
    if len(used) < k:
        return found, nested
    rows = graph_rows(labels, seed)
    few = [np.asarray(s[rows], np.float32) for s in spaces]
    view = View.of(few, tuple(range(len(few))), "power", seed)
    result = found
    if (count := counts.get("coarse", 0)) and count < k:
        made = _coarser(labels[rows], view, count)
        nested["coarse"] = made.parent[labels]
        if level == "coarse":
            p = merged_columns(found.probabilities, made.parent)
            predict = partial(_merged_predict, predict=found.predict, parent=made.parent)
            result = replace(found, probabilities=p, predict=predict)
    if (count := counts.get("fine", 0)) > k:
        made = _finer(labels[rows], view, count, seed)
        apply = partial(_prepared, apply=view.apply)
        split = by_neighbours(made.labels, len(made.parent), view.spaces, apply, **found.facts)
        if len(rows) < n:
            many = spaces if len(spaces) > 1 else spaces[0]
            split = replace(split, probabilities=predict_in_blocks(split, many))
        split = replace(split, probabilities=_inside(split.probabilities, labels, made.parent))
        nested["fine"] = split.labels
        if level == "fine":
            result = split
    return result, nested


def _inside(p: np.ndarray, labels: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) of fine clusters with the most probable in each row's own (n,)."""
    inside = parent[None] == labels[:, None]
    best = np.where(inside, p, -1).argmax(1)
    lost = np.flatnonzero(p.argmax(1) != best)
    p = p.copy()
    p[lost] *= 1 - OWN_SHARE
    p[lost, best[lost]] += OWN_SHARE
    return p


def _prepared(new: Any, apply: list[Callable[[Any], np.ndarray]]) -> list[np.ndarray]:
    spaces = new if isinstance(new, list) else [new]
    return [each(space) for each, space in zip(apply, spaces, strict=True)]
