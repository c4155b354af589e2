"""Nearest neighbours, exact in chunks or of many rows in cells, and what is measured with them."""

from __future__ import annotations

import numpy as np

from imclust.clustering.blocks import LARGE
from imclust.clustering.exact_neighbors import exact_neighbors
from imclust.clustering.neighbor_cells import neighbors_in_cells


def nearest_neighbors(
    queries: np.ndarray, rows: np.ndarray, k: int, *, same: bool = False, chunk: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of each query by Euclidean distance, nearest first.

    Parameters
    ----------
    queries : np.ndarray
        (m, d) float32.
    rows : np.ndarray
        (n, d) float32.
    k : int
        How many, at most n (n - 1 with `same`).
    same : bool, optional
        Queries and rows are the same array; a row is not its own neighbour. Above LARGE rows they
        are then sought in cells, see `imclust.clustering.neighbor_cells`.
    chunk : int, optional
        Queries at a time, see `imclust.clustering.exact_neighbors`.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Indices (m, k) int64 and distances (m, k) float32; ties go to the lower index.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [5.0]], np.float32)
    >>> nearest_neighbors(rows, rows, 1, same=True)[0].ravel()
    array([1, 0, 1])
    """
    if same and len(rows) > LARGE:
        return neighbors_in_cells(np.asarray(rows, np.float32), k)
    return exact_neighbors(queries, rows, k, same=same, chunk=chunk)


def trustworthiness(x: np.ndarray, e: np.ndarray, k: int = 12, *, chunk: int = 1024) -> float:
    """How far neighbours in an embedding are neighbours in the original space, in [0, 1].

    Venna and Kaski 2001, eq. 1, Euclidean; the chunked twin of
    `sklearn.manifold.trustworthiness`, whose n x n ranks do not fit for large n.

    Parameters
    ----------
    x : np.ndarray
        (n, d) original.
    e : np.ndarray
        (n, 2) embedding.
    k : int, optional
        Neighbours, below n / 2.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> trustworthiness(x, x)
    1.0
    """
    n = len(x)
    x = np.asarray(x, np.float32)
    near, _ = nearest_neighbors(e, e, k, same=True, chunk=chunk)
    square = np.einsum("ij,ij->i", x, x)
    penalty = 0
    for a in range(0, n, chunk):
        d = square - 2 * (x[a : a + chunk] @ x.T)
        d[np.arange(len(d)), np.arange(a, a + len(d))] = -np.inf
        mine = np.take_along_axis(d, near[a : a + chunk], 1)
        for j in range(k):
            rank = (d < mine[:, j : j + 1]).sum(1)
            penalty += int(np.maximum(rank - k, 0).sum())
    return 1 - 2 * penalty / (n * k * (2 * n - 3 * k - 1))
