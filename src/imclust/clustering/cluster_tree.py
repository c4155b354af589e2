"""A tree of clusters of clusters, and samples that are even over its branches.

Vo et al. 2024 (Automatic Data Curation for Self-Supervised Learning), written from the paper:
k-means of the rows, k-means of its centres, and so on; at every level centres are drawn from where
rows are many to where they are few, by k-means on the rows nearest to each centre only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imclust.clustering.block_kmeans import coarse_cells, nearest_centres
from imclust.clustering.blocks import each_block
from imclust.clustering.preprocessing import unit_rows
from imclust.core.log import progress
from imclust.core.shards import one_thread_each

RESAMPLINGS = 10  # of the rows nearest to the centres, at each level
PER_BRANCH = 10  # branches of a node, on average
FEWEST = 10  # branches of the root, at least


@dataclass(frozen=True)
class ClusterTree:
    """Where every row and every cluster belongs.

    Parameters
    ----------
    levels : tuple of np.ndarray
        Of the rows (n,) int64 their clusters in [0, k_1), of these (k_1,) theirs in [0, k_2), and
        so on to the branches of the root.
    """

    levels: tuple[np.ndarray, ...]

    def branches(self) -> np.ndarray:
        """The branch of the root (n,) int64 that each row is on."""
        at = self.levels[0]
        for parent in self.levels[1:]:
            at = parent[at]
        return at

    def sample(self, size: int, seed: int = 0) -> np.ndarray:
        """Rows (size,) int64, ascending: as even over the branches of every node as these allow.

        Parameters
        ----------
        size : int
            From 1 to n.
        seed : int, optional
            Of which rows of a cluster are taken.
        """
        sizes = [np.bincount(self.levels[0])]
        for parent in self.levels[1:]:
            sizes.append(np.bincount(parent, sizes[-1]).astype(np.int64))
        quota = even_counts(sizes[-1], size)
        for level in range(len(self.levels) - 1, 0, -1):
            below = np.zeros(len(sizes[level - 1]), np.int64)
            for node, share in enumerate(quota):
                children = np.flatnonzero(self.levels[level] == node)
                below[children] = even_counts(sizes[level - 1][children], int(share))
            quota = below
        cluster = self.levels[0]
        order = np.lexsort((np.random.default_rng(seed).permutation(len(cluster)), cluster))
        first = np.cumsum(sizes[0]) - sizes[0]
        place = np.arange(len(cluster)) - first[cluster[order]]
        return np.sort(order[place < quota[cluster[order]]])


def even_counts(sizes: np.ndarray, total: int) -> np.ndarray:
    """How many to take of each of some groups: `total` in all, as even as their sizes allow.

    Parameters
    ----------
    sizes : np.ndarray
        (k,) int >= 0, of a sum of at least `total`.
    total : int
        At least 0.

    Examples
    --------
    >>> even_counts(np.array([2, 9, 9]), 11).tolist()
    [2, 5, 4]
    """
    low, high = 0, int(sizes.max(initial=0))
    while low < high:  # the most that every group may give without too many
        middle = (low + high + 1) // 2
        if np.minimum(sizes, middle).sum() <= total:
            low = middle
        else:
            high = middle - 1
    counts = np.minimum(sizes, low)
    counts[np.flatnonzero(sizes > low)[: total - int(counts.sum())]] += 1
    return counts


def default_levels(n: int) -> list[int]:
    """Clusters of each level for n rows, the finest first.

    Examples
    --------
    >>> default_levels(10_000)
    [400, 40]
    """
    counts = [max(1, min(n // 4, round(4 * n**0.5)))]
    while counts[-1] >= PER_BRANCH * FEWEST:
        counts.append(counts[-1] // PER_BRANCH)
    return counts


def grow_tree(rows: np.ndarray, counts: Sequence[int], seed: int = 0) -> ClusterTree:
    """The tree of rows (n, d), by their directions.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float, memory-mapped or not.
    counts : sequence of int
        Clusters of each level, the finest first, each at most as many as the level below has.
    seed : int, optional
        Of k-means.

    Examples
    --------
    >>> rows = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    >>> [len(level) for level in grow_tree(rows, (4, 2)).levels]
    [40, 4]
    """
    levels: list[np.ndarray] = []
    for count in progress(list(counts), "cluster tree, levels", leave=False):
        centres, labels = coarse_cells(rows, count, seed, unit_rows)
        for _ in range(RESAMPLINGS):
            centres = _on_nearest(rows, centres, labels)
            labels = nearest_centres(rows, centres, unit_rows)
        used, labels = np.unique(labels, return_inverse=True)
        levels.append(labels.astype(np.int64))
        rows = centres[used]
    return ClusterTree(tuple(levels))


def _on_nearest(rows: np.ndarray, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Centres (k, d) moved by k-means on the rows nearest to each, half an average cluster."""
    from sklearn.cluster import KMeans

    each = max(1, len(rows) // (2 * len(centres)))
    work = each_block(rows, lambda block: unit_rows(block))
    apart = np.concatenate([np.square(unit - centres[labels[at]]).sum(1) for at, unit in work])
    order = np.lexsort((apart, labels))
    sizes = np.bincount(labels, minlength=len(centres))
    place = np.arange(len(rows)) - (np.cumsum(sizes) - sizes)[labels[order]]
    near = np.sort(order[place < each])
    few = unit_rows(np.asarray(rows[near]))
    if len(few) < len(centres):
        return centres
    with one_thread_each():
        solver = KMeans(len(centres), init=centres, n_init=1, max_iter=10).fit(few)
    return solver.cluster_centers_.astype(np.float32)
