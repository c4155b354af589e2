"""Nearest neighbours, all distances gone through in chunks."""

from __future__ import annotations

import numpy as np

HELD = 10 << 20  # distances


def exact_neighbors(
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
        Queries and rows are the same array; a row is not its own neighbour.
    chunk : int, optional
        Queries at a time, of many rows fewer: what is held is at most HELD distances.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Indices (m, k) int64 and distances (m, k) float32; ties go to the lower index.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [5.0]], np.float32)
    >>> exact_neighbors(rows, rows, 1, same=True)[0].ravel()
    array([1, 0, 1])
    """
    rows = np.asarray(rows, np.float32)
    square = np.einsum("ij,ij->i", rows, rows)
    chunk = max(1, min(chunk, HELD // max(1, len(rows))))
    index = np.empty((len(queries), k), np.int64)
    distance = np.empty((len(queries), k), np.float32)
    for a in range(0, len(queries), chunk):
        q = np.asarray(queries[a : a + chunk], np.float32)
        d = q @ rows.T
        d *= -2
        d += square
        if same:
            d[np.arange(len(q)), np.arange(a, a + len(q))] = np.inf
        part = np.sort(np.argpartition(d, k - 1, axis=1)[:, :k], axis=1)
        near = np.take_along_axis(d, part, 1)
        order = np.argsort(near, axis=1, kind="stable")
        index[a : a + chunk] = np.take_along_axis(part, order, 1)
        near = np.take_along_axis(near, order, 1) + np.einsum("ij,ij->i", q, q)[:, None]
        distance[a : a + chunk] = np.sqrt(np.maximum(near, 0))
    return index, distance
