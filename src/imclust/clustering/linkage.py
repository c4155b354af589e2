"""Trees over rows, cut at any K; of many rows, over a sample that the others join."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from imclust.clustering.neighbors import nearest_neighbors

ANCHORS = 3000  # rows that a tree is built of at most: their distances take 36 MiB
SMALL = 0.005  # share of the rows below which a branch is no cluster of its own
SHARE = 0.2  # of an even cluster's size, below which neither where K is large


@dataclass(frozen=True)
class Tree:
    """Which rows were joined, in which order.

    Parameters
    ----------
    merges : ndarray of shape (m - 1, 4), float64
        Of the anchors, as of ``scipy.cluster.hierarchy.linkage``.
    anchor : ndarray of shape (n,), int64
        The anchor in [0, m) that each row goes with.
    near : ndarray of shape (m, d), float32
        Where the anchors lie.
    """

    merges: np.ndarray
    anchor: np.ndarray
    near: np.ndarray = field(repr=False)

    def cut(self, k: int) -> np.ndarray:
        """The k groups (n,) int64 that the last k - 1 merges joined."""
        return _groups(self.merges, len(self.merges) + 1 - k)[self.anchor]

    def cut_without_small(self, k: int) -> np.ndarray:
        """k groups (n,) int64 of some size; rows of lesser branches join the nearest group.

        Average linkage splits off single far rows first. The tree is opened from its root until k
        branches of at least SMALL of the rows (SHARE of an even cluster's, if that is less) are
        there. Where it never has so many, it is `cut`.
        """
        m = len(self.merges) + 1
        least = max(2, int(np.ceil(min(SMALL * m, SHARE * m / k))))
        size = np.concatenate([np.ones(m), self.merges[:, 3]])
        large, opened = 1, 0
        for step in range(m - 2, -1, -1):
            if large == k:
                break
            children = size[self.merges[step, :2].astype(int)]
            large += int((children >= least).sum()) - int(size[m + step] >= least)
            opened += 1
        if large != k:
            return self.cut(k)
        groups = _groups(self.merges, m - 1 - opened)
        counts = np.bincount(groups)
        kept = counts >= least
        if kept.sum() != k:  # a row by itself counts as no branch
            return self.cut(k)
        sure = kept[groups]
        if not sure.all():
            to, _ = nearest_neighbors(self.near[~sure], self.near[sure], 1)
            groups[~sure] = groups[sure][to[:, 0]]
        return np.unique(groups, return_inverse=True)[1][self.anchor]


def linkage_tree(rows: np.ndarray, method: Literal["ward", "average"], seed: int) -> Tree:
    """The tree over at most ANCHORS random rows of (n, d); the others go with the nearest.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float.
    method : {'ward', 'average'}
        Of linkage.
    seed : int
        Of the rows that the tree is over.

    Examples
    --------
    >>> linkage_tree(np.array([[0.0], [0.1], [5.0], [5.1]]), "ward", seed=0).cut(2)
    array([1, 1, 0, 0])
    """
    from scipy.cluster.hierarchy import linkage

    n = len(rows)
    if n <= ANCHORS:
        chosen, anchor = np.arange(n), np.arange(n)
    else:
        chosen = np.sort(np.random.default_rng(seed).permutation(n)[:ANCHORS])
        anchor = nearest_neighbors(rows, rows[chosen], 1)[0][:, 0]
        anchor[chosen] = np.arange(ANCHORS)
    few = np.asarray(rows[chosen], np.float32)
    return Tree(linkage(few.astype(np.float64), method), anchor, few)


def _groups(merges: np.ndarray, done: int) -> np.ndarray:
    """Groups (m,) int64 after the first `done` merges, numbered from 0."""
    m = len(merges) + 1
    root = np.arange(m + done)
    pairs = merges[:done, :2].astype(np.int64)
    for step in range(done - 1, -1, -1):  # from the top, so that a parent's root is known
        root[pairs[step]] = root[m + step]
    return np.unique(root[:m], return_inverse=True)[1]
