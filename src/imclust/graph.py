"""Graphs of nearest neighbours: affinities, their fusion, their spectrum, and smoothing on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imclust.neighbors import nearest
from imclust.spaces import unit_rows

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix

NEIGHBOURS = 20
SCALE = 7  # the neighbour whose distance is a row's own scale (Zelnik-Manor and Perona, sec. 2)
DENSE = 400  # up to so many rows the whole spectrum is computed


def knn_graph(x: np.ndarray, k: int = NEIGHBOURS) -> csr_matrix:
    """Affinities of every row to its k nearest by cosine, symmetric.

    exp(-d_ij^2 / (s_i s_j)), s_i the distance of row i to its 7th neighbour (Zelnik-Manor and
    Perona 2004, eq. 2), kept where either is among the other's nearest. Every row gets at least
    the affinity 1e-6 to each neighbour, so that far away rows stay part of the graph.

    Args:
        x: (n, d) float. k: at most n - 1 are taken.

    Returns:
        (n, n) float64, zero diagonal. Time n^2 d, memory 1024 n.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    n = len(x)
    k = min(k, n - 1)
    rows = unit_rows(x)
    near, distance = nearest(rows, rows, k, same=True)
    scale = np.maximum(distance[:, min(SCALE, k) - 1], 1e-6).astype(np.float64)
    weight = np.exp(-(distance.astype(np.float64) ** 2) / (scale[:, None] * scale[near]))
    at = (np.repeat(np.arange(n), k), near.ravel())
    one_way = csr_matrix((np.maximum(weight, 1e-6).ravel(), at), (n, n))
    return one_way.maximum(one_way.T).tocsr()


def normalised(graph: csr_matrix) -> csr_matrix:
    """D^-1/2 W D^-1/2 (Ng, Jordan and Weiss 2001, step 2)."""
    import numpy as np
    from scipy.sparse import diags

    scale = diags(1 / np.sqrt(np.asarray(graph.sum(1)).ravel()))
    return (scale @ graph @ scale).tocsr()


def fused(views: list[np.ndarray], k: int = NEIGHBOURS) -> csr_matrix:
    """One graph of several views: the mean of their normalised affinities; every view counts same.

    Args:
        views: (n, d_v) float each, row i of the same image in each.
    """
    graphs = [normalised(knn_graph(view, k)) for view in views]
    total = graphs[0]
    for graph in graphs[1:]:
        total = total + graph
    return (total / len(graphs)).tocsr()


def spectrum(graph: csr_matrix, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The m largest eigenvalues (m,) of D^-1/2 W D^-1/2, descending, and eigenvectors (n, m).

    The eigenvector of a value v of this matrix is that of 1 - v of the normalised Laplacian.
    """
    import numpy as np
    from scipy.sparse.linalg import eigsh

    matrix, n = normalised(graph), graph.shape[0]
    m = min(m, n)
    if n <= max(DENSE, 2 * m):
        values, vectors = np.linalg.eigh(matrix.toarray())
        return values[::-1][:m], vectors[:, ::-1][:, :m]
    start = np.random.default_rng(seed).standard_normal(n)
    values, vectors = eigsh(matrix, k=m, v0=start, which="LA", tol=1e-5)
    order = np.argsort(-values)
    return values[order], vectors[:, order]


def diffused(graph: csr_matrix, x: np.ndarray, steps: int = 5, share: float = 0.8) -> np.ndarray:
    """Rows drawn towards their neighbours' mean, `steps` times (after Zhou et al. 2004, eq. 7).

    x <- (1 - share) x + share P x, P = D^-1 W. Directions along which neighbours differ, noise
    most of the time, shrink; those along which groups differ stay.

    Args:
        x: (n, d) float.

    Returns:
        (n, d) float32, rows of length 1.
    """
    import numpy as np
    from scipy.sparse import diags

    walk = (diags(1 / np.asarray(graph.sum(1)).ravel()) @ graph).tocsr()
    x = np.asarray(x, np.float64)
    for _ in range(steps):
        x = (1 - share) * x + share * (walk @ x)
    return unit_rows(x)
