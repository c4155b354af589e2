"""Nearest neighbours of every one of many rows, sought in the cells nearest to it.

The cells are those of k-means centres, as in an inverted file (Jegou, Douze and Schmid 2011), of
EACH rows whatever the number of rows, cut out of sqrt(cells) coarse ones; a row is compared with
the centres around its coarse cell only, so that the cost is near to n. How many cells are gone
through is not fixed: as many as it takes to find RECALL of the true neighbours of some rows, for
which all rows are gone through.
"""

from __future__ import annotations

import numpy as np

from imclust.clustering.block_kmeans import A_CELL, CELL_PASSES, coarse_cells
from imclust.clustering.blocks import sample_rows
from imclust.clustering.exact_neighbors import exact_neighbors
from imclust.core.log import progress
from imclust.core.shards import in_parallel, one_thread_each

RECALL = 0.985  # of the neighbours of the rows tried, so that it is .98 of all rows'
TRIED = 500  # rows whose true neighbours are found
FIRST = 8  # cells gone through, half as many again until they are enough
EACH = 96  # rows a cell, about
AROUND = 24  # coarse cells' worth of centres that a row is compared with
QUERIES = 2048  # rows whose neighbours are sought at once


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
    n = len(rows)
    with one_thread_each():
        cells = _Cells(rows)
        probes = cells.probes_for(recall, k)
    index, distance = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    parts = cells.parts()
    found = in_parallel(parts, lambda part: cells.search(part, k, probes))
    with progress(None, "nearest neighbours", total=n, unit="row", leave=False) as bar:
        for part, (near, far) in zip(parts, found, strict=True):
            index[part], distance[part] = near, far
            bar.update(len(part))
    return index, distance


class _Cells:
    """Rows (n, d) by the nearest of some k-means centres."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        count = max(1, round(len(rows) / EACH))
        self._coarse, self._of = coarse_cells(rows, max(1, round(count**0.5)))
        self._centres, own = self._cut(count)
        self.count = len(self._centres)
        self._order = np.argsort(own, kind="stable")
        self._ends = np.cumsum(np.bincount(own, minlength=self.count))
        self._square = np.einsum("ij,ij->i", rows, rows)

    def _cut(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Centres (about count, d) of the coarse cells cut on their own, and the cell of each row
        (n,)."""
        from sklearn.cluster import KMeans

        members = [np.flatnonzero(self._of == c) for c in range(len(self._coarse))]
        members = [m for m in members if len(m)]

        def cut(mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            k = max(1, round(len(mine) / len(self._rows) * count))
            few = self._rows[mine[sample_rows(len(mine), A_CELL * k, 0)]]
            solver = KMeans(k, n_init=1, max_iter=CELL_PASSES, random_state=0).fit(few)
            centres = solver.cluster_centers_.astype(np.float32)
            half = np.square(centres).sum(1) / 2
            return centres, (self._rows[mine] @ centres.T - half).argmax(1)

        own, centres, before = np.empty(len(self._rows), np.int64), [], 0
        for mine, (points, cells) in zip(members, in_parallel(members, cut), strict=True):
            own[mine] = cells + before
            centres.append(points)
            before += len(points)
        return np.concatenate(centres), own

    def parts(self) -> list[np.ndarray]:
        """All rows, those of one coarse cell together, at most QUERIES each."""
        members = (np.flatnonzero(self._of == c) for c in range(len(self._coarse)))
        return [m[a : a + QUERIES] for m in members for a in range(0, len(m), QUERIES)]

    def probes_for(self, recall: float, k: int) -> int:
        """How many of the nearest cells of a row must be gone through."""
        tried = sample_rows(len(self._rows), TRIED, 0)
        near, far = exact_neighbors(self._rows[tried], self._rows, k + 1)
        true = _others(tried, near, far)[0]
        probes = FIRST
        while probes < self.count:
            hits = 0
            for c in np.unique(self._of[tried]):
                mine = self._of[tried] == c
                found = self.search(tried[mine], k, probes)[0]
                hits += (found[:, :, None] == true[mine][:, None, :]).sum()
            if hits >= recall * true.size:
                break
            probes += probes // 2
        return min(probes, self.count)

    def search(self, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest other rows (m, k) of some rows (m,) of one coarse cell, and their
        distances."""
        x = self._rows[queries]
        cells = self._nearest_cells(x, self._of[queries[0]], probes)
        most = min(k + 1, len(self._rows))
        # What each of its cells has for each row; infinitely far where a cell has less.
        some = np.zeros((len(x), cells.shape[1], most), np.int64)
        apart = np.full(some.shape, np.inf, np.float32)
        order = np.argsort(cells, axis=None, kind="stable")
        starts = np.flatnonzero(np.diff(cells.ravel()[order], prepend=-1))
        for mine in np.split(order, starts[1:]):
            row, column = np.divmod(mine, cells.shape[1])
            there = self._members(int(cells[row[0], column[0]]))
            d = x[row] @ self._rows[there].T
            d *= -2
            d += self._square[there]
            if len(there) > most:
                best = np.argpartition(d, most - 1, axis=1)[:, :most]
                there, d = there[best], np.take_along_axis(d, best, 1)
            some[row, column, : d.shape[1]], apart[row, column, : d.shape[1]] = there, d
        near, far = some.reshape(len(x), -1), apart.reshape(len(x), -1)
        best = np.argpartition(far, most - 1, axis=1)[:, :most]
        near, far = np.take_along_axis(near, best, 1), np.take_along_axis(far, best, 1)
        if not np.isfinite(far).all():  # too few rows in so few cells
            return self.search(queries, k, min(2 * probes, self.count))
        order = np.lexsort((near, far), axis=1)  # ties go to the lower index
        near, far = np.take_along_axis(near, order, 1), np.take_along_axis(far, order, 1)
        far = np.sqrt(np.maximum(far + self._square[queries][:, None], 0))
        return _others(queries, near, far)

    def _members(self, c: int) -> np.ndarray:
        """Numbers of the rows of a cell, ascending."""
        return self._order[self._ends[c - 1] if c else 0 : self._ends[c]]

    def _nearest_cells(self, x: np.ndarray, coarse: int, probes: int) -> np.ndarray:
        """The cells (m, probes) nearest to rows (m, d), of those around their coarse cell."""
        middle = self._coarse[coarse][None]
        many = max(AROUND * round(self.count**0.5), 8 * probes)
        among = exact_neighbors(middle, self._centres, min(self.count, many))[0][0]
        centres = self._centres[among]
        apart = np.square(centres).sum(1) - 2 * x @ centres.T
        if probes >= len(among):
            return np.broadcast_to(among, apart.shape)
        return among[np.argpartition(apart, probes - 1, axis=1)[:, :probes]]


def _others(
    queries: np.ndarray, index: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of k + 1 (m, k + 1) without the row itself (m,), or without the farthest."""
    out = index == queries[:, None]
    out[~out.any(1), -1] = True
    shape = len(queries), index.shape[1] - 1
    return index[~out].reshape(shape), distance[~out].reshape(shape)
