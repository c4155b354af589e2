"""UMAP, as clustering wants it: groups pulled together, nothing crowded apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imclust.clustering.graph_layout import graph_layout
from imclust.clustering.neighbor_graph import normalised_graph, top_eigenvectors
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.preprocessing import unit_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FEWEST = 15  # distinct rows up to which they stay as they are
BISECTIONS = 64
LEAST_SCALE = 1e-3  # of the mean distance of a row to its neighbours, as umap-learn has it


def umap_embedding(rows: np.ndarray, neighbours: int, dims: int, seed: int) -> np.ndarray:
    """UMAP with min_dist 0, by cosine.

    McInnes, Healy and Melville 2018: the fuzzy graph of section 3.1, laid out from its leading
    eigenvectors. Deviation: neighbours are exact, where umap-learn's are approximate above 4096
    rows. Equal rows are one row of the graph, since copies would be each other's only neighbours.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Any scale.
    neighbours : int
        Of a row, itself included; at most the distinct rows are taken.
    dims : int
        Of the embedding.
    seed : int
        Of the layout.

    Returns
    -------
    ndarray of shape (n, dims), float32
        The embedding; the rows themselves, (n, d), where few are distinct.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(60, 8))
    >>> umap_embedding(rows, 10, 2, seed=0).shape
    (60, 2)
    """
    distinct, copy_of = np.unique(np.asarray(rows, np.float32), axis=0, return_inverse=True)
    if len(distinct) <= max(dims + 2, FEWEST):
        return np.asarray(rows, np.float32)
    graph = fuzzy_graph(unit_rows(distinct), min(neighbours, len(distinct)))
    _, vectors = top_eigenvectors(normalised_graph(graph), dims + 1)
    return graph_layout(graph, vectors[:, 1:], seed)[copy_of]


def fuzzy_graph(rows: np.ndarray, neighbours: int) -> csr_array:
    """Fuzzy union of the neighbourhoods of unit rows, by cosine distance.

    McInnes, Healy and Melville 2018, algorithms 2 and 3: a_ij = exp(-(d_ij - rho_i) / sigma_i)
    with rho_i the distance of the nearest row that is not at distance zero and sigma_i such that
    row i sums to log2(neighbours); the union is A + A^T - A * A^T.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Of length 1.
    neighbours : int
        Of a row, itself included, in [2, n].

    Returns
    -------
    csr_array of shape (n, n)
        Symmetric, in [0, 1].

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(30, 3))
    >>> rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    >>> fuzzy_graph(rows, 5).shape
    (30, 30)
    """
    from scipy.sparse import csr_array

    n = len(rows)
    index, euclidean = nearest_neighbors(rows, rows, neighbours - 1, same=True)
    distance = euclidean.astype(np.float64) ** 2 / 2
    nearest = np.where(distance > 0, distance, np.inf).min(1)
    beyond = np.maximum(distance - np.where(np.isinf(nearest), 0, nearest)[:, None], 0)
    scale = _scales(beyond, np.log2(neighbours))
    scale = np.maximum(scale, np.maximum(LEAST_SCALE * distance.mean(1), 1e-12))
    weight = np.exp(-beyond / scale[:, None])
    heads = np.repeat(np.arange(n), neighbours - 1)
    a = csr_array((weight.ravel(), (heads, index.ravel())), (n, n))
    return (a + a.T - a.multiply(a.T)).tocsr()


def _scales(beyond: np.ndarray, target: float) -> np.ndarray:
    """sigma (n,) such that exp(-beyond / sigma), (n, k), sums to `target` in each row."""
    low, high = np.zeros(len(beyond)), np.full(len(beyond), np.inf)
    scale = np.ones(len(beyond))
    for _ in range(BISECTIONS):
        above = np.exp(-beyond / scale[:, None]).sum(1) > target
        high, low = np.where(above, scale, high), np.where(above, low, scale)
        scale = np.where(np.isinf(high), 2 * scale, (low + high) / 2)
    return scale
