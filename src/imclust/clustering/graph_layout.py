"""A layout of a neighbour graph in a few dimensions: UMAP's descent, compiled once a machine.

umap-learn compiles its own loop in every process, 18 s before the first result; this one is
compiled once and kept by numba on disk, and imports none of umap-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EPOCHS = 200  # umap-learn's own number for large data
MANY, FEWER = 5000, 120  # rows above which so many do: 5000 of 100 and 200 give trees alike
NEGATIVES = 5  # rows pushed away for each neighbour pulled
A, B = 1.9328084, 0.7904950  # of 1 / (1 + a d^2b), fitted to min_dist 0 and spread 1
START = 10.0  # half the width of the spectral start


def graph_layout(
    graph: csr_array, start: np.ndarray, seed: int, *, epochs: int | None = None
) -> np.ndarray:
    """Rows of a graph in a few dimensions, neighbours near each other.

    McInnes, Healy and Melville 2018 (section 4.2.1, eq. 17 and 18 of the descent): edges pull in
    proportion to their weight, random rows push. min_dist is 0, since groups and not pictures are
    wanted.

    Parameters
    ----------
    graph : csr_array of shape (n, n)
        Symmetric affinities.
    start : ndarray of shape (n, dims)
        Where the rows begin, such as the graph's leading eigenvectors; any scale.
    seed : int
        Of the jitter and of the rows that push.
    epochs : int, optional
        Passes over the heaviest edge; a lighter one is passed over less often. EPOCHS unless
        given, or FEWER above MANY rows.

    Returns
    -------
    ndarray of shape (n, dims), float32
        The layout. The same arguments give the same bytes on one machine.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 3))
    >>> x /= np.linalg.norm(x, axis=1, keepdims=True)
    >>> from imclust.clustering.umap_embedding import fuzzy_graph
    >>> graph_layout(fuzzy_graph(x, 5), x[:, :2].astype(np.float32), seed=0, epochs=5).shape
    (30, 2)
    """
    if epochs is None:
        epochs = EPOCHS if len(start) <= MANY else FEWER
    edges = graph.tocoo()
    weight = edges.data / max(float(edges.data.max(initial=0.0)), 1e-12)
    kept = weight * epochs >= 1  # what would never come up
    row, column = edges.coords
    heads, tails = row[kept].astype(np.int32), column[kept].astype(np.int32)
    rng = np.random.default_rng(seed)
    scale = START / max(float(np.abs(start).max(initial=0.0)), 1e-12)
    z = start * scale + rng.normal(0, 1e-2, start.shape)
    z = np.ascontiguousarray(z, np.float32)
    state = np.array([rng.integers(1, 2**62)], np.uint64)
    _descent()(z, heads, tails, 1 / weight[kept], epochs, state)
    return z


@cache
def _descent() -> Callable[..., None]:
    """The compiled loop; kept on disk where numba finds a place to write."""
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(_descend)
    except RuntimeError:  # no folder to keep it in, as with a read-only home
        return numba.njit(nogil=True)(_descend)


def _descend(
    z: Any, heads: Any, tails: Any, every: Any, epochs: int, state: Any
) -> None:  # pragma: no cover - compiled
    n, dims = z.shape
    due = every.copy()
    due_push = every / NEGATIVES
    s = state[0]
    for epoch in range(1, epochs + 1):
        rate = np.float32(1 - (epoch - 1) / epochs)
        for e in range(len(heads)):
            if due[e] > epoch:
                continue
            i, j = heads[e], tails[e]
            square = np.float32(0)
            for d in range(dims):
                square += (z[i, d] - z[j, d]) ** 2
            if square > 0:
                power = square**B
                pull = np.float32(-2 * A * B * power / square / (A * power + 1))
                for d in range(dims):
                    step = pull * (z[i, d] - z[j, d])
                    step = min(max(step, np.float32(-4)), np.float32(4)) * rate
                    z[i, d] += step
                    z[j, d] -= step
            due[e] += every[e]
            pushes = int((epoch - due_push[e]) / (every[e] / NEGATIVES))
            for _ in range(pushes):
                s ^= s << np.uint64(13)  # xorshift64, Marsaglia 2003
                s ^= s >> np.uint64(7)
                s ^= s << np.uint64(17)
                k = np.int64(s % np.uint64(n))
                if k == i:
                    continue
                square = np.float32(0)
                for d in range(dims):
                    square += (z[i, d] - z[k, d]) ** 2
                if square > 0:
                    push = np.float32(2 * B / ((0.001 + square) * (A * square**B + 1)))
                    for d in range(dims):
                        step = push * (z[i, d] - z[k, d])
                        z[i, d] += min(max(step, np.float32(-4)), np.float32(4)) * rate
            due_push[e] += pushes * every[e] / NEGATIVES
    state[0] = s
