"""The leading eigenpairs of a small symmetric matrix, also where many eigenvalues are the same."""

from __future__ import annotations

import numpy as np


def leading_eigenpairs(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest eigenvalues, rising, and their vectors (n, count).

    LAPACK's solver for a part of the eigenvalues is the fastest and fails on some matrices with
    repeated ones, such as graphs of copies; the one for all of them then answers.

    Parameters
    ----------
    matrix : np.ndarray
        (n, n) float, symmetric.
    count : int
        At most n are given.

    Examples
    --------
    >>> leading_eigenpairs(np.diag([1.0, 3.0, 2.0]), 2)[0]
    array([2., 3.])
    """
    from scipy.linalg import LinAlgError, eigh

    n = len(matrix)
    first = max(0, n - count)
    try:
        values, vectors = eigh(matrix, subset_by_index=(first, n - 1))
    except LinAlgError:
        values, vectors = eigh(matrix, driver="evd")
        values, vectors = values[first:], vectors[:, first:]
    return values, vectors
