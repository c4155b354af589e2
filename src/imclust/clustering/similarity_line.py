"""All rows in one line, like ones side by side: a one-dimensional map."""

from __future__ import annotations

import numpy as np


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
    from scipy.sparse import coo_matrix, diags, identity
    from scipy.sparse.linalg import eigsh

    n, k = near.shape
    if n < 3:
        return np.arange(n)
    rows = np.repeat(np.arange(n), k)
    cosine = np.einsum("ij,ij->i", z[rows], z[near.ravel()])
    weight = np.exp(np.clip(cosine, -1, 1))
    graph = coo_matrix((weight, (rows, near.ravel())), shape=(n, n))
    graph = (graph + graph.T).tocsr()
    degree = np.asarray(graph.sum(1)).ravel()
    root = diags(1 / np.sqrt(degree))
    walk = root @ graph @ root + identity(n)  # its largest eigenvectors, which converge fast
    start = np.sqrt(degree) + 1e-3 * np.arange(n) / n
    _, vectors = eigsh(walk, k=min(2, n - 1), which="LA", v0=start)
    fiedler = vectors[:, 0] / np.sqrt(degree)
    first = z @ z[np.argmax(np.linalg.norm(z - z.mean(0), axis=1))]
    return np.lexsort((first, np.round(fiedler, 9)))
