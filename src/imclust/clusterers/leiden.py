"""`leiden`: communities of a nearest-neighbour graph, at the resolution that gives K of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import (
    Clustering,
    Rows,
    beside,
    by_neighbours,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.spaces import Preparation

TRIES = 14  # halvings of the range of resolutions


@dataclass(frozen=True)
class LeidenConfig:
    """Leiden communities on the neighbour graph; several --features become one graph."""

    prepare: Preparation = "power"
    """As for kmeans."""
    neighbours: int = 20
    """Of a row in the graph."""

    def __post_init__(self) -> None:
        in_range("leiden", "neighbours", self.neighbours, 2, 1000)


@CLUSTERERS.register(
    "leiden", LeidenConfig, paper="Traag, Waltman and van Eck 2019; Reichardt and Bornholdt 2006"
)
@several_spaces
@on_sample(50_000)
def leiden(z: Rows, n_clusters: int, cfg: LeidenConfig, seed: int) -> Clustering:
    """z (n, d), or a list of them -> posteriors (n, k) by each row's neighbours.

    The resolution is halved in until it gives K communities. Where none does, the least number
    above K is merged, each time the two of the closest means of unit rows.
    """
    from imclust.graph import joint_graph
    from imclust.merging import merged

    views, apply = prepared_views(z, cfg.prepare)
    graph = joint_graph(views, cfg.neighbours)
    low, high = 0.01, 20.0
    best: Any = None
    for _ in range(TRIES):
        resolution = (low * high) ** 0.5
        labels = _communities(graph, resolution, seed)
        found = int(labels.max()) + 1
        if found >= n_clusters and (best is None or found <= best[0]):
            best = found, resolution, labels
        if found == n_clusters:
            break
        low, high = (resolution, high) if found < n_clusters else (low, resolution)
    if best is None:  # fewer groups than K at any resolution: every row by itself
        import numpy as np

        best = graph.shape[0], high, np.arange(graph.shape[0])
    found, resolution, labels = best
    labels = merged(labels, beside(views), n_clusters)
    return by_neighbours(
        labels, n_clusters, views, apply, resolution=round(resolution, 4), communities=found
    )


def _communities(graph: Any, resolution: float, seed: int) -> Any:
    import ctypes
    import os

    from scipy.sparse import csr_matrix
    from sknetwork.clustering import Leiden

    graph = csr_matrix(graph)  # it does not know the newer csr_array
    if os.name == "posix":  # its core draws from C's rand(), which random_state does not reach
        ctypes.CDLL(None).srand(seed % 2**32)
    return Leiden(resolution=resolution, random_state=seed).fit_predict(graph)
