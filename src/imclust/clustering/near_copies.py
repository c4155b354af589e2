"""Images that say the same: those alike within cells, of which one is kept."""

from __future__ import annotations

import numpy as np

from imclust.clustering.block_kmeans import coarse_cells
from imclust.clustering.preprocessing import unit_rows
from imclust.core.log import progress
from imclust.core.shards import in_parallel

A_CELL = 500  # rows of a cell on average: all pairs within it are compared
BLOCK = 1024  # rows whose likeness to those before them is held at a time
NONE = -1  # of a row that is like none before it


def near_copies(
    rows: np.ndarray, near: float, seed: int = 0, cells: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which row each row is a near copy of.

    SemDeDup (Abbas et al. 2023, section 3): in every k-means cell rows are ordered from the one
    least like the cell's centre to the one most like it; a row goes if its cosine similarity to
    any row before it is above `near`. A copy in another cell is not seen.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float, memory-mapped or not.
    near : float
        Cosine similarity, in [-1, 1); the paper's 1 - epsilon.
    seed : int, optional
        Of the cells.
    cells : np.ndarray, optional
        (n,) int >= 0, instead of cells of their own of A_CELL rows.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        (n,) int64, the row before it that each row is most like, NONE for those that stay; and
        that similarity (n,) float32, -1 where no row is before it.

    Examples
    --------
    >>> rows = np.array([[1, 0], [0, 1], [1, 0.001]], np.float32)
    >>> near_copies(rows, 0.99, cells=np.zeros(3, int))[0]
    array([-1, -1,  0])
    """
    if cells is None:
        cells = coarse_cells(rows, -(-len(rows) // A_CELL), seed, unit_rows)[1]
    order = np.argsort(cells, kind="stable")
    ends = np.cumsum(np.bincount(cells))
    groups = [g for g in np.split(order, ends[:-1]) if len(g)]
    of, like = np.full(len(rows), NONE), np.full(len(rows), -1, np.float32)
    found = in_parallel(groups, lambda mine: _within(np.asarray(rows[mine])))
    shown = progress(groups, "near copies, cells", leave=False)
    for mine, (before, similarity) in zip(shown, found, strict=True):
        like[mine] = similarity
        gone = similarity > near
        of[mine[gone]] = mine[before[gone]]
    return of, like


def _within(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row (m, d) of a cell, the one most like it of those before it in the cell's order
    (m,) int64 and how much (m,) float32; -1 of the first."""
    unit = unit_rows(rows)
    order = np.argsort(unit @ unit_rows(unit.mean(0, keepdims=True))[0], kind="stable")
    unit = unit[order]
    before, similarity = np.zeros(len(rows), np.int64), np.full(len(rows), -1, np.float32)
    for a in range(0, len(rows), BLOCK):
        b = min(a + BLOCK, len(rows))
        s = unit[a:b] @ unit[:b].T
        s[np.arange(b) >= np.arange(a, b)[:, None]] = -1
        before[order[a:b]] = order[s.argmax(1)]
        similarity[order[a:b]] = s.max(1)
    return before, similarity
