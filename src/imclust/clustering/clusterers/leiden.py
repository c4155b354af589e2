"""`leiden`: communities of a nearest-neighbour graph, at the resolution that gives K of them."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import concatenate_views
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.core.checks import in_range

TRIES = 14  # halvings of the range of resolutions
ONE_AT_A_TIME = Lock()


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
@partition(50_000)
def leiden(
    views: list[np.ndarray], n_clusters: int, cfg: LeidenConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Spaces (n, d_v) -> clusters (n,).

    The resolution is halved in until it gives K communities. Where none does, the least number
    above K is merged, each time the two of the closest means of unit rows.

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="leiden").labels)
    array([20, 20, 20])
    """
    from imclust.clustering.neighbor_graph import joint_graph
    from imclust.clustering.ward import merge_to_k

    graph = joint_graph(views, cfg.neighbours)
    low, high = 0.01, 20.0
    best: Any = None
    for _ in range(TRIES):
        resolution = (low * high) ** 0.5
        labels = communities(graph, resolution, seed)
        found = int(labels.max()) + 1
        if found >= n_clusters and (best is None or found <= best[0]):
            best = found, resolution, labels
        if found == n_clusters:
            break
        low, high = (resolution, high) if found < n_clusters else (low, resolution)
    if best is None:  # fewer groups than K at any resolution: every row by itself
        best = graph.shape[0], high, np.arange(graph.shape[0])
    found, resolution, labels = best
    labels = merge_to_k(labels, concatenate_views(views), n_clusters)
    return labels, {"resolution": round(resolution, 4), "communities": found}


def communities(graph: Any, resolution: float, seed: int) -> Any:
    """Leiden communities (n,) of a symmetric sparse graph (n, n) of weights; more at a higher
    resolution.

    Examples
    --------
    >>> from scipy.sparse import block_diag
    >>> two = block_diag([1 - np.eye(4)] * 2, format="csr")
    >>> communities(two, 1.0, seed=0)
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """
    import ctypes
    import os

    from scipy.sparse import csr_matrix
    from sknetwork.clustering import Leiden

    graph = csr_matrix(graph)  # it does not know the newer csr_array
    # Its core draws from C's rand(), which random_state does not reach and all threads share.
    with ONE_AT_A_TIME:
        if os.name == "posix":
            ctypes.CDLL(None).srand(seed % 2**32)
        return Leiden(resolution=resolution, random_state=seed).fit_predict(graph)
