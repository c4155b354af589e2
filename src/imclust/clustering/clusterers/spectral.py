"""`spectral`: k-means on the leading eigenvectors of a nearest-neighbour graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.core.checks import in_range


@dataclass(frozen=True)
class SpectralConfig:
    """Spectral clustering; several --features become one graph."""

    prepare: Preparation = "power"
    """As for kmeans."""
    neighbours: int = 20
    """Of a row in the graph."""

    def __post_init__(self) -> None:
        in_range("spectral", "neighbours", self.neighbours, 2, 1000)


@CLUSTERERS.register(
    "spectral", SpectralConfig, paper="Ng, Jordan and Weiss 2001; Zelnik-Manor and Perona 2004"
)
@partition(20_000)
def spectral(
    views: list[np.ndarray], n_clusters: int, cfg: SpectralConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Spaces (n, d_v) -> clusters (n,).

    Deviation: the graph is one of nearest neighbours with scales of its own, not a full one.

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="spectral").labels)
    array([20, 20, 20])
    """
    from imclust.clustering.neighbor_graph import joint_graph, spectral_labels, top_eigenvectors

    values, vectors = top_eigenvectors(joint_graph(views, cfg.neighbours), n_clusters)
    gap = float(values[-2] - values[-1])
    return spectral_labels(vectors, n_clusters), {"last_gap": round(gap, 6)}
