"""All rows in one line, like ones side by side: a one-dimensional map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK = 1024  # rows whose neighbours are held at once


def similarity_line(z: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Order of the rows by the Fiedler vector of their graph of nearest neighbours.

    The second eigenvector of the normalised Laplacian puts connected rows close to each other
    (spectral seriation, Atkins et al. 1998); components that nothing connects lie apart.

    Parameters
    ----------
    z : np.ndarray
        (n, d) float32.
    near : np.ndarray
        (n, k) int, neighbours of every row, the nearest first.

    Returns
    -------
    np.ndarray
        (n,) int64, row numbers in order.

    Examples
    --------
    >>> z = np.array([[0.0], [3.0], [1.0], [2.0]], np.float32)
    >>> similarity_line(z, np.array([[2, 3], [3, 2], [0, 3], [1, 2]])).tolist() in (
    ...     [0, 2, 3, 1], [1, 3, 2, 0])
    True
    """
    n = len(near)
    if n < 3:
        return np.arange(n)
    graph = _graph(z, near)
    place = _fiedler(graph)
    mean = np.mean(z, axis=0)
    odd = [np.linalg.norm(z[a : a + BLOCK] - mean, axis=1) for a in range(0, n, BLOCK)]
    first = z @ z[np.argmax(np.concatenate(odd))]
    return np.lexsort((first, np.round(place, 9)))


def _graph(z: np.ndarray, near: np.ndarray) -> csr_array:
    """Symmetric weights (n, n) of neighbours by their cosine."""
    from scipy.sparse import csr_array

    n, k = near.shape
    weight = np.empty((n, k))
    for a in range(0, n, BLOCK):
        mine = near[a : a + BLOCK]
        cosine = np.einsum("ij,ikj->ik", z[a : a + BLOCK], z[mine])
        weight[a : a + BLOCK] = np.exp(np.clip(cosine, -1, 1))
    rows = np.repeat(np.arange(n, dtype=np.int32), k)
    graph = csr_array((weight.ravel(), (rows, near.ravel().astype(np.int32))), (n, n))
    return (graph + graph.T).tocsr()


def _fiedler(graph: csr_array) -> np.ndarray:
    """The Fiedler vector (n,) of a graph (n, n), by its walk's largest eigenvectors."""
    from scipy.sparse import diags_array, eye_array
    from scipy.sparse.linalg import eigsh

    n = graph.shape[0]
    degree = np.asarray(graph.sum(1)).ravel()
    root = diags_array(1 / np.sqrt(degree))
    walk = root @ graph @ root + eye_array(n)  # which converges fast
    start = np.sqrt(degree) + 1e-3 * np.arange(n) / n
    _, vectors = eigsh(walk, k=min(2, n - 1), which="LA", v0=start)
    return np.asarray(vectors[:, 0] / np.sqrt(degree))
