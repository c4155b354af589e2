"""The neighbour graph of several spaces: its spectrum, cuts of it, and smoothing along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imclust.clustering.eigenpairs import leading_eigenpairs
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.preprocessing import unit_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NEIGHBOURS = 20
SCALE_NEIGHBOUR = 7  # whose distance is a row's own scale; Zelnik-Manor and Perona's choice
LEAST = 1e-6  # affinity of neighbours, however far, so that every row stays part of the graph


def joint_graph(spaces: list[np.ndarray], neighbours: int = NEIGHBOURS) -> csr_array:
    """Mean over spaces of the normalised affinities D^-1/2 A D^-1/2; symmetric, (n, n) sparse.

    A_ij = exp(-|z_i - z_j|^2 / (s_i s_j)) between nearest neighbours, s_i the distance of row i to
    its seventh (Zelnik-Manor and Perona 2004, eq. 3), made symmetric by its mean with A^T. The
    mean of normalised graphs lets every space count the same, whatever its scale.

    Parameters
    ----------
    spaces : list[np.ndarray]
        (n, d_v) float32 each, row i of the same image.
    neighbours : int, optional
        Of a row, at most n - 1 are taken.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 3))
    >>> graph = joint_graph([x], neighbours=5)
    >>> graph.shape, bool(abs(graph - graph.T).max() < 1e-12)
    ((30, 30), True)
    """
    graphs = [normalised_graph(_affinity(z, neighbours)) for z in spaces]
    return sum(graphs[1:], graphs[0]) / len(graphs)


def _affinity(z: np.ndarray, neighbours: int) -> csr_array:
    from scipy.sparse import csr_array

    n = len(z)
    neighbours = min(neighbours, n - 1)
    index, distance = nearest_neighbors(z, z, neighbours, same=True)
    scale = distance[:, min(SCALE_NEIGHBOUR, neighbours) - 1].astype(np.float64)
    spread = scale[:, None] * scale[index]
    weight = np.exp(-(distance.astype(np.float64) ** 2) / np.maximum(spread, 1e-12))
    weight = np.maximum(weight, LEAST)
    rows = np.repeat(np.arange(n), neighbours)
    a = csr_array((weight.ravel(), (rows, index.ravel())), (n, n))
    return (a + a.T) / 2


def normalised_graph(a: csr_array) -> csr_array:
    """D^-1/2 A D^-1/2 of symmetric affinities A, D the sums of its rows; (n, n) sparse.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> normalised_graph(csr_array([[0.0, 4.0], [4.0, 0.0]])).toarray()
    array([[0., 1.],
           [1., 0.]])
    """
    from scipy.sparse import diags_array

    root = diags_array(1 / np.sqrt(np.maximum(a.sum(1), 1e-12)))
    return (root @ a @ root).tocsr()


def top_eigenvectors(graph: csr_array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest eigenvalues, falling, and their vectors (n, count); count below n.

    Of the normalised Laplacian I - graph these are the smallest. The solver's start is fixed, so
    the same graph gives the same vectors. Each connected part is solved for itself: well
    separated groups share the eigenvalue 1, and Lanczos' method misses copies of one eigenvalue.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 3))
    >>> values, vectors = top_eigenvectors(joint_graph([x], neighbours=5), 3)
    >>> vectors.shape
    (30, 3)
    """
    from scipy.sparse.csgraph import connected_components

    _, part = connected_components(graph, directed=False)
    found = []
    for p in range(part.max() + 1):
        rows = np.flatnonzero(part == p)
        found += [(v, rows, u) for v, u in _connected(graph[rows][:, rows], count)]
    found.sort(key=lambda pair: -pair[0])
    vectors = np.zeros((graph.shape[0], count))
    for column, (_, rows, u) in enumerate(found[:count]):
        vectors[rows, column] = u
    return np.array([v for v, _, _ in found[:count]]), vectors


def _connected(graph: csr_array, count: int) -> list[tuple[float, np.ndarray]]:
    """Up to `count` leading eigenpairs of a connected graph."""
    from scipy.sparse.linalg import eigsh

    n = graph.shape[0]
    if n <= 4 * count:  # too few rows for Lanczos' method to be worth it
        values, vectors = leading_eigenpairs(graph.toarray(), count)
    else:
        start = np.random.default_rng(0).random(n) + 0.5
        values, vectors = eigsh(graph, count, which="LA", v0=start, tol=1e-6)
    return list(zip(values.tolist(), vectors.T, strict=True))


def spectral_labels(vectors: np.ndarray, k: int) -> np.ndarray:
    """Spectral clusters (n,) int64 in [0, k) from the first k columns of `vectors` (n, >= k).

    Ng, Jordan and Weiss 2001: k-means on rows of length one. Its start is not random but the
    pivoted QR of Damle, Minden and Ying 2019 ("cluster_qr"), so one run is enough.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 3)) + np.repeat([[0], [9]], 15, axis=0)
    >>> _, vectors = top_eigenvectors(joint_graph([x], neighbours=5), 2)
    >>> len(set(spectral_labels(vectors, 2)[:15].tolist()))
    1
    """
    from sklearn.cluster import KMeans

    u = vectors[:, :k]
    rows = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)
    first = _pivoted(u)
    sums = np.zeros((k, k))
    np.add.at(sums, first, rows)
    sizes = np.bincount(first, minlength=k)[:, None]
    empty = rows[np.linspace(0, len(rows) - 1, k).astype(int)]
    centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), empty)
    solver = KMeans(k, init=centres, n_init=1, max_iter=50)
    return solver.fit_predict(rows).astype(np.int64)


def _pivoted(u: np.ndarray) -> np.ndarray:
    """(n, k) -> part (n,) of every row: k rows that differ most span the parts."""
    from scipy.linalg import polar, qr

    pivots = qr(u.T, mode="r", pivoting=True)[1][: u.shape[1]]
    rotation = polar(u[pivots].T)[0]
    return np.abs(u @ rotation).argmax(1)


def smooth_features(
    graph: csr_array, x: np.ndarray, steps: int = 5, share: float = 0.8
) -> np.ndarray:
    """Rows drawn towards their neighbours' mean, `steps` times (after Zhou et al. 2004, eq. 7).

    x <- (1 - share) x + share P x, P = D^-1 W. Directions along which neighbours differ, noise
    most of the time, shrink; those along which groups differ stay.

    Parameters
    ----------
    x : np.ndarray
        (n, d) float.

    Returns
    -------
    np.ndarray
        (n, d) float32, rows of length 1.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    >>> bool(smooth_features(joint_graph([x], neighbours=5), x).std() < x.std())
    True
    """
    from scipy.sparse import diags_array

    walk = (diags_array(1 / graph.sum(1)) @ graph).tocsr()
    x = np.asarray(x, np.float64)
    for _ in range(steps):
        x = (1 - share) * x + share * (walk @ x)
    return unit_rows(x)
