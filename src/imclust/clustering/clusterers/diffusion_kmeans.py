"""`diffusion-kmeans`: k-means on rows that were drawn towards their neighbours on a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import concatenate_views
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.core.checks import in_range


@dataclass(frozen=True)
class DiffusionKMeansConfig:
    """k-means after smoothing on the neighbour graph; several --features become one graph."""

    prepare: Preparation = "power"
    """As for kmeans."""
    neighbours: int = 20
    """Of a row in the graph."""
    steps: int = 5
    """Times that every row is drawn towards its neighbours' mean; 0 is k-means."""
    restarts: int = 10
    """Starts of k-means; the one of lowest inertia wins."""

    def __post_init__(self) -> None:
        in_range("diffusion-kmeans", "neighbours", self.neighbours, 2, 1000)
        in_range("diffusion-kmeans", "steps", self.steps, 0, 1000)
        in_range("diffusion-kmeans", "restarts", self.restarts, 1, 1000)


@CLUSTERERS.register(
    "diffusion-kmeans", DiffusionKMeansConfig, paper="Zhou et al. 2004, eq. 7, before k-means"
)
@partition(20_000)
def diffusion_kmeans(
    views: list[np.ndarray], n_clusters: int, cfg: DiffusionKMeansConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Spaces (n, d_v) -> clusters (n,).

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="diffusion-kmeans").labels)
    array([20, 20, 20])
    """
    from sklearn.cluster import KMeans

    from imclust.clustering.neighbor_graph import joint_graph, smooth_features

    rows = smooth_features(joint_graph(views, cfg.neighbours), concatenate_views(views), cfg.steps)
    solver = KMeans(n_clusters, n_init=cfg.restarts, random_state=seed).fit(rows)
    return solver.labels_, {"inertia": round(float(solver.inertia_), 4)}
