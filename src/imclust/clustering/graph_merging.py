"""Clusters merged as a graph joins them, and the tree, distances and order that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from imclust.core.checks import shaped
from imclust.core.errors import input_error

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FITTED = 10_000  # rows that the graph of a level or a tree is made of, at most


@dataclass(frozen=True)
class ClusterTree:
    """Which clusters belong together.

    Parameters
    ----------
    merges : np.ndarray
        (k - 1, 4) float64 as of `scipy.cluster.hierarchy.linkage`: the two nodes merged (clusters
        are 0 ... k - 1, row i makes node k + i), how far apart they were, how many clusters lie
        beneath. Heights never fall; a cut at any K is what `merge_by_graph` makes.
    apart : np.ndarray
        (k, k) float64 in [0, 1]: 1 / (1 + links), where links are those between two clusters over
        as many as chance would make. 0.5: as many; 1: none, as to a cluster without rows. The pair
        that is least apart is the first merge.
    """

    merges: np.ndarray
    apart: np.ndarray


def merge_by_graph(
    labels: np.ndarray, graph: csr_array, k: int, within: np.ndarray | None = None
) -> np.ndarray:
    """Merge groups until k are left, each time the two of the largest weight between them over the
    product of their volumes: average linkage on the graph.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
        Of at least k groups.
    graph : csr_array of shape (n, n)
        Symmetric affinities.
    k : int
        Groups that are left.
    within : ndarray of shape (n,), int, optional
        Only groups that lie in the same of these are merged.

    Returns
    -------
    ndarray of shape (n,), int64
        In [0, k).

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> graph = csr_array(np.array([[0, 2, 0], [2, 0, 1], [0, 1, 0.0]]))
    >>> merge_by_graph(np.array([0, 1, 2]), graph, 2).tolist()
    [0, 0, 1]
    """
    at = np.unique(labels, return_inverse=True)[1]
    m = int(at.max()) + 1
    apart = None
    if within is not None:
        own = np.zeros(m, np.int64)
        own[at] = within
        apart = own[:, None] != own
    group = np.arange(m)
    for i, j, _ in islice(_merges(_links(at, graph, m), apart), m - k):
        group[group == j] = i
    return np.unique(group, return_inverse=True)[1][at].astype(np.int64)


def cluster_tree(spaces: list[np.ndarray], labels: np.ndarray, k: int, seed: int) -> ClusterTree:
    """The tree over the clusters of an assignment, on the graph that its coarse level is made of.

    On Tiny ImageNet's 15 classes cut at the kinds of things that they are, this agrees with them
    to an ARI of 0.40 ± 0.05, average linkage of the centres to 0.24 ± 0.08 (5 seeds).

    Parameters
    ----------
    spaces : list of ndarray of shape (n, d_v), float
        What was clustered.
    labels : ndarray of shape (n,), int
        In [0, k).
    k : int
        Clusters, with or without rows.
    seed : int
        Of the sample that the graph is made of, where rows are many.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 30)
    >>> x = (9 * y[:, None] + rng.standard_normal((60, 4))).astype(np.float32)
    >>> cluster_tree([x], y, 2, 0).merges.shape
    (1, 4)
    """
    shaped("labels", labels, "n")
    if k < 2:
        raise input_error("a tree of clusters", "of at least 2 clusters", k, "set K to 2 or more")
    from imclust.clustering.views import View

    rows = graph_rows(labels, seed)
    few = [np.asarray(s[rows], np.float32) for s in spaces]
    view = View.of(few, tuple(range(len(few))), "power", seed)
    return tree_of(labels[rows], view.graph, k)


def graph_rows(labels: np.ndarray, seed: int) -> np.ndarray:
    """The rows of which a graph is made: at most FITTED at random, and one of every cluster.

    Examples
    --------
    >>> graph_rows(np.array([0, 0, 1]), 0).tolist()
    [0, 1, 2]
    """
    first = np.unique(labels, return_index=True)[1]
    return np.union1d(np.random.default_rng(seed).permutation(len(labels))[:FITTED], first)


def tree_of(labels: np.ndarray, graph: csr_array, k: int) -> ClusterTree:
    """The tree over k clusters of which each row of a graph (n, n) has one: labels (n,) int.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> graph = csr_array(np.array([[0, 2, 0], [2, 0, 1], [0, 1, 0.0]]))
    >>> tree_of(np.array([0, 1, 2]), graph, 3).merges[:, :2].tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    between = _links(labels, graph, k)
    volume = between.sum(1)
    expected = np.outer(volume, volume) / max(float(volume.sum()), 1e-30)
    apart = _apart((between + between.T) / 2, expected)
    np.fill_diagonal(apart, 0)
    node, below = list(range(k)), [1] * k
    merges = np.zeros((k - 1, 4))
    total = max(float(volume.sum()), 1e-30)
    for step, (i, j, rate) in enumerate(islice(_merges(between), k - 1)):
        below[i] += below[j]
        height = 1 / (1 + max(rate, 0.0) * total)
        merges[step] = *sorted((node[i], node[j])), height, below[i]
        node[i] = k + step
    merges[:, 2] = np.maximum.accumulate(merges[:, 2])  # but for rounding they never fall
    return ClusterTree(merges, apart)


def names_at(tree: np.ndarray, k: int) -> np.ndarray:
    """The group (clusters,) int64 in [0, k) of every cluster when the tree is cut at k groups.

    Groups are numbered by their lowest cluster; `names_at(tree, k)[labels]` is the coarser one.

    Parameters
    ----------
    tree : np.ndarray
        (clusters - 1, 4) of a `ClusterTree`.
    k : int
        From 1 to the number of clusters.

    Examples
    --------
    >>> tree = np.array([[0, 2, 0.1, 2], [1, 3, 0.9, 3]])
    >>> names_at(tree, 2)
    array([0, 1, 0])
    """

    n = len(tree) + 1
    if not 1 <= k <= n:
        raise input_error(
            "the number of groups", f"from 1 to the {n} clusters", k, "choose another"
        )
    node = np.arange(n)
    for step in range(n - k):
        node[np.isin(node, tree[step, :2])] = n + step
    _, first, group = np.unique(node, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)


def _apart(between: np.ndarray, expected: np.ndarray) -> np.ndarray:
    links = np.divide(between, expected, out=np.zeros_like(between), where=expected > 0)
    return np.asarray(1 / (1 + links))


def _links(labels: np.ndarray, graph: csr_array, m: int) -> np.ndarray:
    """Weight (m, m) float64 between groups and within them."""
    from scipy.sparse import csr_array

    hot = csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), (len(labels), m))
    return np.asarray((hot.T @ graph @ hot).toarray(), np.float64)


def _merges(
    between: np.ndarray, apart: np.ndarray | None = None
) -> Iterator[tuple[int, int, float]]:
    """(kept, gone, weight over the product of volumes) of one merge after another; pairs that
    `apart` (m, m) bool names are never one."""
    between = between.copy()
    m = len(between)
    volume = between.sum(1)
    rate = between / np.maximum(np.outer(volume, volume), 1e-30)
    np.fill_diagonal(rate, -1)
    if apart is not None:
        rate[apart] = -1
    while True:
        i, j = sorted(divmod(int(rate.argmax()), m))
        yield i, j, float(rate[i, j])
        between[i] += between[j]
        between[:, i] = between[i]
        volume[i] += volume[j]
        gone = rate[i] < 0  # itself and those that are merged away; only its own rates change
        rate[i] = np.where(gone, -1, between[i] / np.maximum(volume[i] * volume, 1e-30))
        rate[:, i] = rate[i]
        rate[j] = rate[:, j] = -1
