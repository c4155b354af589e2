"""From probabilities of pairs to clusters: any number of them, and many of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from imclust.clustering.density_tree import DensityTree
from imclust.clustering.pairwise_constraints import Pairs, must_link_groups
from imclust.core.errors import input_error

Linkage = Literal["average", "components", "correlation", "hdbscan", "leiden"]
FORBIDDEN = 1e3  # distance of rows that must not share a cluster: above any sum that could outweigh
SWEEPS = 30


def pair_matrix(
    n: int,
    pairs: np.ndarray,
    probability: np.ndarray,
    must: Pairs = (),
    cannot: Pairs = (),
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Probabilities as a matrix: (n, n) float32, symmetric; pairs nobody looked at have 0.

    Parameters
    ----------
    n : int
        Rows.
    pairs, probability : np.ndarray
        (m, 2) int64 and (m,) float.
    must, cannot : tuple of (int, int)
        Pairs that have 1, and, with all that must-link pairs connect them to, minus infinity.
    names : sequence of str, optional
        (n,) what a refusal calls the rows, unless by their numbers.

    Raises
    ------
    InputError
        A cannot-link pair is held together by must-link pairs.

    Examples
    --------
    >>> pair_matrix(2, np.array([[0, 1]]), np.array([0.5])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    p = np.zeros((n, n), np.float32)
    p[pairs[:, 0], pairs[:, 1]] = probability
    p = np.maximum(p, p.T)
    group = must_link_groups(n, must)
    if must:
        p[group[:, None] == group[None]] = 1
    if cannot:
        one, other = group[np.array(cannot).T]
        for a, b in np.array(cannot)[one == other].tolist():
            called = f"rows {a} and {b}" if names is None else f"images {names[a]} and {names[b]}"
            got = f"{called}, of which known identities, photographs and bursts say both"
            do = "correct the table"
            raise input_error("images that must not share a cluster", "free to differ", got, do)
        apart = np.zeros((int(group.max()) + 1,) * 2, bool)
        apart[one, other] = apart[other, one] = True
        p[apart[group[:, None], group[None]]] = -np.inf
    np.fill_diagonal(p, 1)
    return p


def numbered(labels: np.ndarray) -> np.ndarray:
    """(n,) int64 labels by first appearance, from 0.

    Examples
    --------
    >>> numbered(np.array([7, 3, 7])).tolist()
    [0, 1, 0]
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def average_tree(p: np.ndarray) -> np.ndarray:
    """The tree of average linkage over 1 - p, as scipy has trees: (n - 1, 4) float64.

    A forbidden pair is so far apart that no average with it in it falls below 1.

    Examples
    --------
    >>> average_tree(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])).round(1).tolist()
    [[0.0, 1.0, 0.1, 2.0], [2.0, 3.0, 1.0, 3.0]]
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    far = np.where(np.isfinite(p), 1 - p, FORBIDDEN * len(p) ** 2).astype(np.float64)
    np.fill_diagonal(far, 0)
    return linkage(squareform(far, checks=False), "average")


def cut(tree: np.ndarray, threshold: float) -> np.ndarray:
    """Clusters (n,) int64 of a tree over 1 - p where averages of p stay at or above a threshold.

    Examples
    --------
    >>> cut(average_tree(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])), threshold=0.5).tolist()
    [0, 0, 1]
    """
    from scipy.cluster.hierarchy import fcluster

    return numbered(fcluster(tree, 1 - threshold + 1e-9, "distance"))


def components(p: np.ndarray, threshold: float) -> np.ndarray:
    """Connected components (n,) int64 of the pairs at or above a threshold; may break cannot-link.

    Examples
    --------
    >>> components(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]]), 0.5).tolist()
    [0, 0, 1]
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return numbered(connected_components(csr_array(p >= threshold), directed=False)[1])


def correlation_clusters(
    p: np.ndarray, threshold: float, start: np.ndarray | None = None
) -> np.ndarray:
    """Correlation clustering (Bansal, Blum and Chawla 2004): (n,) int64.

    The sum over pairs within clusters of p - threshold is raised by moving one row at a time to
    its best cluster, or one of its own, until nothing moves; then by joining two clusters.

    Parameters
    ----------
    p : np.ndarray
        (n, n) float, symmetric; minus infinity forbids.
    threshold : float
        In (0, 1): what a pair must have to speak for being together.
    start : np.ndarray, optional
        (n,) int, where to start from; every row alone unless given.

    Examples
    --------
    >>> correlation_clusters(np.array([[1, 0.9, 0], [0.9, 1, 0.2], [0, 0.2, 1]]), 0.5).tolist()
    [0, 0, 1]
    """
    n = len(p)
    gain = np.where(np.isfinite(p), p - threshold, -1e6).astype(np.float64)
    np.fill_diagonal(gain, 0)
    labels = np.arange(n) if start is None else numbered(start)
    for _ in range(SWEEPS):
        labels, moved = _move_rows(gain, labels)
        labels, joined = _join(gain, labels)
        if not moved and not joined:
            break
    return numbered(labels)


def _move_rows(gain: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, bool]:
    n = len(labels)
    hot = np.zeros((n, n))  # columns are clusters; n of them suffice, one is empty for going alone
    hot[np.arange(n), numbered(labels)] = 1
    sums, labels, any_moved = gain @ hot, numbered(labels), False
    sizes = np.bincount(labels, minlength=n)
    for _ in range(SWEEPS):
        moved = False
        for i in range(n):
            own = labels[i]
            empty = sizes == 0
            value = np.where(empty, 0.0, sums[i])
            best = int(value.argmax())
            if value[best] > sums[i, own] + 1e-9:
                sums[:, own] -= gain[:, i]
                sums[:, best] += gain[:, i]
                sizes[own] -= 1
                sizes[best] += 1
                labels[i] = best
                moved = any_moved = True
        if not moved:
            break
    return numbered(labels), any_moved


def _join(gain: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, bool]:
    labels, joined = numbered(labels), False
    k = int(labels.max()) + 1
    hot = np.eye(k)[labels]
    between = hot.T @ gain @ hot
    np.fill_diagonal(between, 0)
    while k > 1 and between.max() > 1e-9:
        a, b = np.unravel_index(between.argmax(), between.shape)
        labels[labels == b] = a
        between[a] += between[b]
        between[:, a] += between[:, b]
        between[a, a] = 0
        between[b] = between[:, b] = 0
        joined = True
    return labels, joined


def _leiden_clusters(p: np.ndarray, resolution: float, seed: int = 0) -> np.ndarray:
    """Leiden communities (n,) int64 of the pairs by their probabilities; may break cannot-link."""
    from scipy.sparse import csr_array

    from imclust.clustering.clusterers.leiden import communities

    w = np.where(p > 0.02, p, 0).astype(np.float64)
    np.fill_diagonal(w, 0)
    if not w.any():
        return np.arange(len(p))
    return numbered(np.asarray(communities(csr_array(w), resolution, seed)))


def alone(labels: np.ndarray) -> np.ndarray:
    """Labels (n,) int64 with every outlier (-1) a cluster of its own.

    Examples
    --------
    >>> alone(np.array([0, -1, 0, -1])).tolist()
    [0, 1, 0, 2]
    """
    out = labels.astype(np.int64)
    noise = np.flatnonzero(labels < 0)
    out[noise] = labels.max(initial=-1) + 1 + np.arange(len(noise))
    return numbered(out)


def clusters_at(p: np.ndarray, how: Linkage, seed: int = 0) -> Callable[[float], np.ndarray]:
    """The function threshold -> clusters (n,) of one method; what can be shared is done once.

    For `leiden`, a threshold t in (0, 1) stands for the resolution 2 t / (1 - t): more splits
    more, as with the others.

    Parameters
    ----------
    p : np.ndarray
        (n, n) probabilities, minus infinity where rows must not share a cluster.
    how : str
        The method.
    seed : int
        Of `leiden`.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], np.float32)
    >>> clusters_at(p, "average")(0.5).tolist()
    [0, 0, 1]
    """
    if len(p) < 2:
        return lambda t: np.zeros(len(p), np.int64)
    if how in ("average", "correlation"):
        tree = average_tree(p)
        if how == "average":
            return lambda t: cut(tree, t)
        return lambda t: correlation_clusters(p, t, cut(tree, t))
    if how == "components":
        return lambda t: components(p, t)
    if how == "hdbscan":
        density = DensityTree(p)
        return lambda t: alone(density.clusters(t))
    return lambda t: _leiden_clusters(p, 2 * t / (1 - t), seed)
