"""UMAP, as clustering wants it: groups pulled together, nothing crowded apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EPOCHS = 200  # of the layout; UMAP's own number for large data


def umap_embedding(rows: np.ndarray, neighbours: int, dims: int, seed: int) -> np.ndarray:
    """(n, d) -> (n, dims) float32 with min_dist 0, by cosine; rows as they are where n is tiny."""
    import warnings

    distinct = len(np.unique(rows, axis=0))
    if distinct <= max(dims + 2, 15):  # its spectral start needs more rows than dimensions
        return np.asarray(rows, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its one thread, which the seed asks for
        import umap

        solver = umap.UMAP(
            n_neighbors=min(neighbours, distinct - 1),
            n_components=dims,
            min_dist=0.0,
            metric="cosine",
            random_state=seed,
            unique=distinct < len(rows),  # copies are each other's only neighbours otherwise
        )
        return np.asarray(solver.fit_transform(rows), np.float32)


def layout(graph: csr_array, rows: np.ndarray, dims: int, seed: int) -> np.ndarray:
    """UMAP's layout of a graph made elsewhere: (n, dims) float32, from a spectral start.

    Parameters
    ----------
    graph : csr_array
        (n, n) symmetric affinities.
    rows : np.ndarray
        (n, d) that they were made of, for the start where the graph falls apart.
    """
    import warnings

    if len(rows) <= max(dims + 2, 15):
        return np.asarray(rows, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its spectral start, which falls back by itself
        from umap.umap_ import find_ab_params, simplicial_set_embedding

        a, b = find_ab_params(1.0, 0.0)
        found, _ = simplicial_set_embedding(
            rows,
            (graph / graph.max()).tocoo(),
            n_components=dims,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=EPOCHS,
            init="spectral",
            random_state=np.random.RandomState(seed),
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
        )
    return np.asarray(found, np.float32)
