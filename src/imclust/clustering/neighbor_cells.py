"""Nearest neighbours of every one of many rows, sought in the cells around the row's own.

The cells are those of k-means centres, as in an inverted file (Jegou, Douze and Schmid 2011). How
many are gone through is not fixed: as many as it takes to find RECALL of the true neighbours of
some rows, for which all rows are gone through.
"""

from __future__ import annotations

import numpy as np

from imclust.clustering.block_kmeans import coarse_cells
from imclust.clustering.blocks import in_order, sample_rows
from imclust.clustering.neighbors import nearest_neighbors
from imclust.core.log import progress

RECALL = 0.985  # of the neighbours of the rows tried, so that it is .98 of all rows'
TRIED = 500  # rows whose true neighbours are found
FIRST = 8  # cells gone through, doubled until they are enough


def neighbors_in_cells(
    rows: np.ndarray, k: int, *, recall: float = RECALL
) -> tuple[np.ndarray, np.ndarray]:
    """Nearly all of the k nearest other rows of each row, nearest first.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float32.
    k : int
        How many, at most n - 1.
    recall : float, optional
        Share of the true ones to be found of TRIED rows, in [0, 1]; above 1 goes through all.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Indices (n, k) int64 and Euclidean distances (n, k) float32.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    >>> places, apart = neighbors_in_cells(rows, 5)
    >>> places.shape, bool((np.diff(apart) >= 0).all())
    ((200, 5), True)
    """
    from threadpoolctl import threadpool_limits

    n = len(rows)
    with threadpool_limits(1):  # several threads add up as they come
        cells = _Cells(rows, round(n**0.5))
        probes = cells.probes_for(recall, k)
    index, distance = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    found = in_order(range(cells.count), lambda c: cells.search(cells.members(c), c, k, probes))
    numbers = progress(range(cells.count), "nearest neighbours, cells", leave=False)
    for c, (near, far) in zip(numbers, found, strict=True):
        mine = cells.members(c)
        index[mine], distance[mine] = near, far
    return index, distance


class _Cells:
    """Rows (n, d) by the nearest of some k-means centres."""

    def __init__(self, rows: np.ndarray, count: int) -> None:
        centres, self._own = coarse_cells(rows, count)
        self._rows, self.count = rows, count
        self._order = np.argsort(self._own, kind="stable")
        self._ends = np.cumsum(np.bincount(self._own, minlength=count))
        self._around = nearest_neighbors(centres, centres, count)[0]

    def members(self, c: int) -> np.ndarray:
        """Numbers of the rows of a cell, ascending."""
        return self._order[self._ends[c - 1] if c else 0 : self._ends[c]]

    def probes_for(self, recall: float, k: int) -> int:
        """How many cells around a row's own must be gone through."""
        tried = sample_rows(len(self._rows), TRIED, 0)
        true = _others(tried, *nearest_neighbors(self._rows[tried], self._rows, k + 1))[0]
        probes = FIRST
        while probes < self.count:
            hits = 0
            for c in np.unique(self._own[tried]):
                mine = self._own[tried] == c
                near = self.search(tried[mine], c, k, probes)[0]
                hits += (near[:, :, None] == true[mine][:, None, :]).sum()
            if hits >= recall * true.size:
                break
            probes *= 2
        return min(probes, self.count)

    def search(
        self, queries: np.ndarray, c: int, k: int, probes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest other rows (m, k) of some rows (m,) of cell c, and their distances."""
        if not len(queries):
            return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
        around = self._around[c]
        while (sizes := [len(self.members(p)) for p in around[:probes]]) and sum(sizes) <= k:
            probes *= 2
        among = np.sort(np.concatenate([self.members(p) for p in around[:probes]]))
        near, far = nearest_neighbors(self._rows[queries], self._rows[among], k + 1)
        return _others(queries, among[near], far)


def _others(
    queries: np.ndarray, index: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of k + 1 (m, k + 1) without the row itself (m,), or without the farthest."""
    out = index == queries[:, None]
    out[~out.any(1), -1] = True
    shape = len(queries), index.shape[1] - 1
    return index[~out].reshape(shape), distance[~out].reshape(shape)
