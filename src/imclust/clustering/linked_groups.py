"""Clusters of every group from its pairs, kept apart, kept to what is known, and called by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count, pairwise

import numpy as np

from imclust.clustering.pair_clustering import (
    Linkage,
    clusters_at,
    correlation_clusters,
    numbered,
    pair_matrix,
)
from imclust.clustering.pair_thresholds import Cut, choose_cut
from imclust.clustering.pairwise_constraints import Pairs, must_link_groups


@dataclass(frozen=True)
class Linked:
    """Clusters of one group of n images.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64 from 0.
    matrix : np.ndarray
        (n, n) float32 probabilities, minus infinity where rows must not share a cluster.
    cut : Cut
        How it was cut.
    """

    labels: np.ndarray
    matrix: np.ndarray
    cut: Cut


def known_pairs(identities: np.ndarray) -> tuple[Pairs, Pairs]:
    """Must-link and cannot-link pairs that say of known identities what they are.

    A chain links each identity; one pair between two identities is enough, as must-link pairs
    carry it to all their images.

    Parameters
    ----------
    identities : np.ndarray
        (n,) str, "" where unknown.

    Examples
    --------
    >>> known_pairs(np.array(["a", "", "a", "b"]))
    (((0, 2),), ((0, 3),))
    """
    rows = [np.flatnonzero(identities == name).tolist()
            for name in np.unique(identities[identities != ""])]  # fmt: skip
    must = tuple((a, b) for r in rows for a, b in pairwise(r))
    return must, tuple((a[0], b[0]) for a, b in combinations(rows, 2))


def value_pairs(values: Sequence[str]) -> Pairs:
    """All pairs of rows with the same value that is not empty.

    Examples
    --------
    >>> value_pairs(["x", "", "x", ""])
    ((0, 2),)
    """
    rows: dict[str, list[int]] = {}
    for i, v in enumerate(values):
        if v:
            rows.setdefault(v, []).append(i)
    return tuple(pair for r in rows.values() for pair in combinations(r, 2))


def link_group(
    n: int,
    pairs: np.ndarray,
    probability: np.ndarray,
    identities: np.ndarray,
    methods: Sequence[Linkage],
    threshold: float | None = None,
    *,
    must: Pairs = (),
    cannot: Pairs = (),
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> Linked:
    """Cluster one group.

    Parameters
    ----------
    n : int
        Images.
    pairs, probability : np.ndarray
        (m, 2) int64 and (m,) float: P(same) of those that were looked at.
    identities : np.ndarray
        (n,) str, "" where unknown; published ones only. They choose the cut, then hold.
    methods : sequence of str
        To choose among.
    threshold : float, optional
        Given instead of chosen.
    must, cannot : tuple of (int, int)
        What else is known of pairs.
    names : sequence of str, optional
        (n,) of the images, for refusals.
    seed : int
        Of the folds, and of Leiden.

    Examples
    --------
    >>> pairs, unknown = np.array([[0, 1], [1, 2]]), np.full(3, "")
    >>> found = link_group(3, pairs, np.array([0.9, 0.2]), unknown, ["average"])
    >>> found.labels.tolist(), found.cut.method
    ([0, 0, 1], 'average')
    """
    free = pair_matrix(n, pairs, probability, must, cannot, names)
    cut = choose_cut(free, identities, methods, seed)
    if threshold is not None:
        cut = Cut(cut.method, threshold, cut.ami)
    together, apart = known_pairs(identities)
    must, cannot = (*must, *together), (*cannot, *apart)
    p = pair_matrix(n, pairs, probability, must, cannot, names)
    labels = clusters_at(p, cut.method, seed)(cut.threshold)
    return Linked(kept(labels, p, must, cut.threshold), p, cut)


def kept(labels: np.ndarray, p: np.ndarray, must: Pairs, threshold: float) -> np.ndarray:
    """Labels (n,) int64 that keep all pairs, where a method has broken some.

    Rows that must share a cluster go where most of them are; a cluster with a forbidden pair is
    divided by correlation clustering.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64, of a method.
    p : np.ndarray
        (n, n) probabilities, minus infinity where rows must not share a cluster.
    must : tuple of (int, int)
        Pairs of rows that must share one.
    threshold : float
        Of the cut.

    Examples
    --------
    >>> p = np.array([[1, 0.9, -np.inf], [0.9, 1, 0.1], [-np.inf, 0.1, 1]])
    >>> kept(np.array([0, 0, 0]), p, must=((0, 1),), threshold=0.5).tolist()
    [0, 0, 1]
    """
    labels = labels.copy()
    group = must_link_groups(len(labels), must)
    for g in np.flatnonzero(np.bincount(group) > 1):
        rows = np.flatnonzero(group == g)
        labels[rows] = np.bincount(labels[rows]).argmax()
    top = int(labels.max(initial=-1)) + 1
    for c in range(top):
        rows = np.flatnonzero(labels == c)
        inner = p[np.ix_(rows, rows)]
        if np.isneginf(inner).any():
            parts = correlation_clusters(inner, threshold)
            labels[rows] = np.where(parts == 0, c, top + parts)
            top = int(labels.max()) + 1
    for g in np.flatnonzero(np.bincount(group) > 1):
        rows = np.flatnonzero(group == g)
        labels[rows] = np.bincount(labels[rows]).argmax()
    return numbered(labels)


def memberships(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """How much speaks for each cluster: (n, k) float32, rows sum to 1, the argmax is the label.

    The mean P(same) with the cluster's other images; for a cluster of the image alone, how little
    speaks for any other.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64 in [0, k).
    p : np.ndarray
        (n, n) float, minus infinity where forbidden.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    >>> memberships(np.array([0, 0, 1]), p).argmax(1).tolist()
    [0, 0, 1]
    """
    n, k = len(labels), int(labels.max()) + 1
    q = np.where(np.isfinite(p), p, 0).astype(np.float64)
    np.fill_diagonal(q, 0)
    hot = np.eye(k)[labels]
    sizes = hot.sum(0)
    own = np.arange(n), labels
    others = np.broadcast_to(sizes, (n, k)) - hot
    w = (q @ hot) / np.maximum(others, 1)
    best_other = np.where(hot > 0, 0, w).max(1)
    w[own] = np.where(sizes[labels] == 1, 1 - best_other, w[own])
    w[own] = np.maximum(w[own], best_other * 1.01 + 1e-3)
    return (w / w.sum(1, keepdims=True)).astype(np.float32)


def stable_names(
    group: str, labels: np.ndarray, ids: Sequence[str], before: Mapping[str, str]
) -> list[str]:
    """Names of the k clusters of a group that stay when images are added: (k,) str.

    Clusters and names are matched so that as many images as possible keep theirs (Kuhn 1955); a
    cluster that is left over gets a number that no cluster of the group has had.

    Parameters
    ----------
    group : str
        As in `cluster_name`.
    labels, ids : np.ndarray and sequence of str
        (n,) each; labels in [0, k).
    before : mapping of str to str
        id -> name of its cluster so far; empty for a first assignment, whose clusters are numbered.

    Examples
    --------
    >>> stable_names("a", np.array([0, 1]), ["x", "y"], {"y": "cluster_a_0"})
    ['cluster_a_1', 'cluster_a_0']
    """
    from scipy.optimize import linear_sum_assignment

    k = int(labels.max()) + 1
    prefix = cluster_name(group, 0)[:-1]
    own = {n for n in before.values() if re.fullmatch(re.escape(prefix) + r"\d+", n)}
    names = sorted(own, key=lambda n: int(n.removeprefix(prefix)))
    column = {n: i for i, n in enumerate(names)}
    shared = np.zeros((k, len(names)))
    for label, i in zip(labels.tolist(), ids, strict=True):
        if before.get(i) in column:
            shared[label, column[before[i]]] += 1
    kept_name = {
        int(r): names[c]
        for r, c in zip(*linear_sum_assignment(-shared), strict=True)
        if shared[r, c]
    }
    free = count(1 + int(names[-1].removeprefix(prefix)) if names else 0)
    return [kept_name.get(c) or cluster_name(group, next(free)) for c in range(k)]


def cluster_name(group: str, number: int) -> str:
    """What a cluster is called.

    Examples
    --------
    >>> cluster_name("Sea turtles", 3)
    'cluster_Sea-turtles_3'
    """
    return f"cluster_{re.sub(r'[^0-9A-Za-z._-]+', '-', group) or 'all'}_{number}"
