"""UMAP, as clustering wants it: groups pulled together, nothing crowded apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def umap_embedding(rows: np.ndarray, neighbours: int, dims: int, seed: int) -> np.ndarray:
    """(n, d) -> (n, dims) float32 with min_dist 0, by cosine; rows as they are where n is tiny."""
    import warnings

    import numpy as np

    if len(rows) <= max(dims + 2, 15):  # its spectral start needs more rows than dimensions
        return np.asarray(rows, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its one thread, which the seed asks for
        import umap

        solver = umap.UMAP(
            n_neighbors=min(neighbours, len(rows) - 1),
            n_components=dims,
            min_dist=0.0,
            metric="cosine",
            random_state=seed,
        )
        return np.asarray(solver.fit_transform(rows), np.float32)
