"""All rows in one line, like ones side by side: a one-dimensional map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imclust.core.shards import one_thread_each

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK = 1024  # rows whose neighbours are held at once
FEW = 500  # rows whose eigenvectors are all found
SHRUNK = 0.9  # share of groups among rows, above which taking first neighbours together ends
PASSES, TOLERANCE = 30, 1e-5
ROUNDING = 1e-6  # share of the largest number below which a direction is none
PIVOTS = 4  # rows that the others are projected on, to start from
EQUAL = 1e-10  # eigenvalues that differ by less are one: those of parts that nothing connects


def similarity_line(z: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Order of the rows by the Fiedler vector of their graph of nearest neighbours, as near as a
    few passes come to it.

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
    start = _projections(z)
    with one_thread_each():  # the same sums, whatever the number of cores
        place = _slow(_graph(z, near), start)[:, 0]
    return np.lexsort((start[:, 0], np.round(place, 9)))


def _projections(z: np.ndarray) -> np.ndarray:
    """Rows (n, d) along those (n, PIVOTS) that are farthest from the mean and from one another."""
    mean = np.mean(z, axis=0)
    odd = [np.linalg.norm(z[a : a + BLOCK] - mean, axis=1) for a in range(0, len(z), BLOCK)]
    along = [z @ z[np.argmax(np.concatenate(odd))]]
    while len(along) < PIVOTS:
        along.append(z @ z[np.argmin(np.max(along, axis=0))])
    return np.stack(along, axis=1).astype(np.float64)


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


def _slow(graph: csr_array, start: np.ndarray) -> np.ndarray:
    """Functions (n, q) that change least along a graph (n, n), the slowest first: eigenvectors of
    its normalised Laplacian after the constant one (Barnard and Simon 1994).

    On a chain of n rows, such as the frames of a film, passes over all rows are needed in
    proportion to n. So first neighbours are taken together until few groups are left; what is slow
    among these is spread over their rows, and improved by as many passes on every level. Where
    nothing connects parts of the graph, all that are constant on them are as slow: of these, the
    ones like `start` (n, q).
    """
    from scipy.sparse import csr_array

    n = graph.shape[0]
    if n <= FEW:
        return _slow_of_few(graph, start)
    group = _first_neighbours(graph)
    sizes = np.bincount(group)
    if len(sizes) > SHRUNK * n:
        return _improved(graph, start)
    join = csr_array((np.ones(n), (np.arange(n), group)), (n, len(sizes)))
    slow = _slow((join.T @ graph @ join).tocsr(), (join.T @ start) / sizes[:, None])
    return _improved(graph, slow[group])


def _first_neighbours(graph: csr_array) -> np.ndarray:
    """Groups (n,) of rows, each with the row that its heaviest edge leads to, if any."""
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.csgraph import connected_components

    n = graph.shape[0]
    others = (graph - diags_array(graph.diagonal())).tocsr()
    alone = others.max(1).toarray().ravel() <= 0
    first = np.where(alone, np.arange(n), np.asarray(others.argmax(1)).ravel())
    return connected_components(csr_array((np.ones(n), (np.arange(n), first)), (n, n)))[1]


def _normalised(graph: csr_array) -> tuple[csr_array, np.ndarray]:
    """A graph by the roots of its degrees, and these (n, 1)."""
    from scipy.sparse import diags_array

    root = np.sqrt(np.asarray(graph.sum(1)).ravel())
    inverse = diags_array(1 / root)
    return (inverse @ graph @ inverse).tocsr(), root[:, None]


def _slow_of_few(graph: csr_array, start: np.ndarray) -> np.ndarray:
    """`_slow` by all eigenvectors."""
    walk, root = _normalised(graph)
    constant = root / np.linalg.norm(root)
    values, vectors = np.linalg.eigh(walk.toarray() - constant @ constant.T)
    return _first_like(root * start, values[::-1], vectors[:, ::-1])[:, : start.shape[1]] / root


def _first_like(wanted: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Eigenvectors (n, m), largest value first; where several values are equal to the largest, what
    these vectors have of the wanted ones (n, q) instead."""
    equal = values > values[0] - EQUAL
    if equal.sum() == 1:
        return vectors
    among = vectors[:, equal]
    return among @ (among.T @ wanted)


def _improved(graph: csr_array, start: np.ndarray) -> np.ndarray:
    """`_slow`, by passes of LOBPCG (Knyazev 2001) from (n, q) on."""
    import warnings

    from scipy.sparse import eye_array
    from scipy.sparse.linalg import lobpcg

    walk, root = _normalised(graph)
    constant = root / np.linalg.norm(root)
    rows = root * start
    basis, kept = np.linalg.qr(rows - constant @ (constant.T @ rows))
    able = np.abs(np.diag(kept)) > ROUNDING * np.abs(rows).max()
    if not able.any():
        return start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that passes ran out, as they are meant to
        values, vectors = lobpcg(
            walk + eye_array(len(root)), basis[:, able], Y=constant, maxiter=PASSES, tol=TOLERANCE
        )
    order = np.argsort(-values, kind="stable")
    return _first_like(rows, values[order], vectors[:, order]) / root
