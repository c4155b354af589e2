"""Very many clusters: every row is told the few nearest of their centres, since probabilities of
all of them would not fit into memory (a million rows, K = 100 000: 400 GB).

Centres are put into cells of about sqrt(k), and a row is compared with those of the cells nearest
to it, as in `hierarchical_kmeans`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imclust.clustering.block_kmeans import Apply, Centres, coarse_cells, nearest_centres
from imclust.clustering.blocks import LARGE, each_block, sample_rows
from imclust.clustering.clusterers._base import centre_probabilities
from imclust.clustering.hierarchical_kmeans import hierarchical_kmeans, nearest_cells
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.core.log import progress
from imclust.core.shards import in_parallel, over_shards

MANY = 2000  # clusters; of more, `kmeans --levels 2` tells the NEAREST of every row only
NEAREST = 8
CELLS = 32  # of centres that a row is compared with, its own included
ROWS = 2048  # compared at a time


@dataclass(frozen=True)
class NearestFound:
    """What rows are told of the centres.

    Parameters
    ----------
    nearest : np.ndarray
        (n, m) int32, the nearest centre first.
    probabilities : np.ndarray
        (n, m) float32, of equal Gaussians at these; rows sum to one.
    facts : dict[str, Any]
        What was found on the way, for the manifest.
    """

    nearest: np.ndarray
    probabilities: np.ndarray
    facts: dict[str, Any]


def cluster_many(
    fitted: np.ndarray, rows: np.ndarray, k: int, seed: int, how: Preparation = "raw"
) -> NearestFound:
    """Clusters of very many, and of each row the nearest.

    Parameters
    ----------
    fitted : np.ndarray
        (n, d) float, the rows that centres are sought for, also memory-mapped.
    rows : np.ndarray
        (m, d), the rows that are placed.
    k : int
        Clusters, at most n.
    seed : int
        Of samples and starts.
    how : Preparation, optional
        Of the rows; learned from at most LARGE of those fitted.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    >>> found = cluster_many(x, x, 50, seed=0)
    >>> found.nearest.shape, len(np.unique(found.nearest[:, 0])) > 45
    ((500, 8), True)
    """
    apply = prepare(np.asarray(fitted[sample_rows(len(fitted), LARGE, seed)]), how).apply
    centres = hierarchical_kmeans(fitted, k, seed, apply)
    nearest, apart = _nearest_of_all(rows, CentreCells.of(centres, seed), apply)
    variance = float(np.square(apart[:, 0], dtype=np.float64).mean())
    p = _probabilities(apart, centres.points.shape[1], variance)
    facts = {"inertia": round(variance * len(rows), 4), "passes": centres.passes}
    return NearestFound(nearest, p, facts)


def place_many(
    clustered: np.ndarray,
    clusters: np.ndarray,
    rows: np.ndarray,
    variance: float,
    seed: int = 0,
    how: Preparation = "raw",
) -> NearestFound:
    """Of further rows the nearest of very many clusters, by the means of their rows.

    Parameters
    ----------
    clustered : np.ndarray
        (n, d) float, the rows that were fitted, also memory-mapped.
    clusters : np.ndarray
        (n,) int, theirs; one that has no rows has no mean and gets none.
    rows : np.ndarray
        (m, d), the rows that are placed.
    variance : float
        Mean squared distance of the clustered rows to their centres.
    seed : int, optional
        That of the clustering, so that rows are prepared alike.
    how : Preparation, optional
        Of the rows.

    Examples
    --------
    >>> x = np.array([[0.0], [0.2], [5.0], [5.2]], np.float32)
    >>> place_many(x, np.array([3, 3, 7, 7]), x[:1] + 1, 0.01).nearest.tolist()
    [[3, 7]]
    """
    apply = prepare(np.asarray(clustered[sample_rows(len(clustered), LARGE, seed)]), how).apply
    used, number = np.unique(clusters, return_inverse=True)
    sums, width = np.zeros((0, 0)), 0
    for place, block in each_block(clustered, apply):
        width = width or block.shape[1]
        sums = sums if len(sums) else np.zeros((len(used), width))
        np.add.at(sums, number[place], block)
    means = sums / np.bincount(number)[:, None]
    cells = CentreCells.of(Centres(means, np.zeros(width)), seed)
    nearest, apart = _nearest_of_all(rows, cells, apply)
    p = _probabilities(apart, width, variance)
    return NearestFound(used[nearest].astype(np.int32), p, {})


def _nearest_of_all(
    rows: np.ndarray, cells: CentreCells, apply: Apply
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and distances of the nearest centres of all rows (m, d), shard by shard."""
    nearest, apart = np.empty((0, 0), np.int32), np.empty((0, 0), np.float32)
    with progress(None, "placing rows", total=len(rows), unit="row", leave=False) as bar:
        for place, (found, far) in over_shards(rows, nearest_of_shard, cells, apply):
            if not place.start:
                nearest = np.empty((len(rows), found.shape[1]), np.int32)
                apart = np.empty(nearest.shape, np.float32)
            nearest[place], apart[place] = found, far
            bar.update(place.stop - place.start)
    return nearest, apart


def _probabilities(apart: np.ndarray, dims: int, variance: float) -> np.ndarray:
    """Those of equal Gaussians at these distances (m, few), some rows at a time."""
    p = np.empty(apart.shape, np.float32)
    for a in range(0, len(p), LARGE):
        p[a : a + LARGE] = centre_probabilities(apart[a : a + LARGE], dims, variance)
    return p


@dataclass(frozen=True)
class CentreCells:
    """Centres by the cells that they lie in.

    Parameters
    ----------
    points : np.ndarray
        (k, d) float64.
    heads : np.ndarray
        (g, d) float32, one for each cell.
    rivals : list of np.ndarray
        Of each cell the numbers of the centres in it and in the cells nearest to it.
    """

    points: np.ndarray
    heads: np.ndarray
    rivals: list[np.ndarray]

    @classmethod
    def of(cls, centres: Centres, seed: int = 0) -> CentreCells:
        """Cells of about the square root of the centres."""
        points = np.ascontiguousarray(centres.points, np.float32)
        heads, cells = coarse_cells(points, max(1, round(len(points) ** 0.5)), seed)
        used = np.unique(cells)
        heads = heads[used]
        owned = [np.flatnonzero(cells == cell) for cell in used]
        near = nearest_cells(heads.astype(np.float64), CELLS)
        rivals = [np.concatenate([owned[c] for c in of_cell]) for of_cell in near]
        return cls(centres.points, heads, rivals)


def nearest_of_shard(
    rows: np.ndarray, cells: CentreCells, apply: Apply | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centres of rows (m, d), and how far they are.

    Parameters
    ----------
    rows : np.ndarray
        (m, d) float, also memory-mapped.
    cells : CentreCells
        The centres.
    apply : callable, optional
        Prepares rows (m, d) -> (m, d') float32.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        (m, at most NEAREST) int32 and float32: numbers and distances, nearest first.

    Examples
    --------
    >>> cells = CentreCells.of(Centres(np.array([[0.0], [1.0], [9.0]]), np.zeros(1)))
    >>> nearest, apart = nearest_of_shard(np.array([[0.25], [8.0]], np.float32), cells)
    >>> nearest.tolist(), apart.round(2).tolist()
    ([[0, 1, 2], [2, 1, 0]], [[0.25, 0.75, 8.75], [1.0, 7.0, 8.0]])
    """
    block = np.ascontiguousarray(rows, np.float32)
    ready = block if apply is None else apply(block)
    most = min(NEAREST, *(len(mine) for mine in cells.rivals))
    nearest = np.empty((len(ready), most), np.int32)
    apart = np.empty((len(ready), most), np.float32)
    cell = nearest_centres(ready, cells.heads)
    order, sizes = np.argsort(cell, kind="stable"), np.bincount(cell, minlength=len(cells.heads))
    members = np.split(order, np.cumsum(sizes)[:-1])

    def work(number: int) -> None:
        mine, rivals = members[number], cells.rivals[number]
        points = cells.points[rivals]
        middle = points.mean(0)
        about = (points - middle).astype(np.float32)
        half = np.square(about).sum(1) / 2
        for a in range(0, len(mine), ROWS):
            which = mine[a : a + ROWS]
            part = ready[which] - middle.astype(np.float32)
            scores = half - part @ about.T
            few = np.argpartition(scores, most - 1, 1)[:, :most]
            found = np.take_along_axis(scores, few, 1)
            turn = np.argsort(found, 1, kind="stable")
            squares = 2 * np.take_along_axis(found, turn, 1) + np.square(part).sum(1)[:, None]
            nearest[which] = rivals[np.take_along_axis(few, turn, 1)]
            apart[which] = np.sqrt(np.maximum(squares, 0))

    for _ in in_parallel(range(len(members)), work):
        pass
    return nearest, apart
