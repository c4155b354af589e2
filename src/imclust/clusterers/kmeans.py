"""`kmeans`: k-means on all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import Clustering, centre_clustering

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class KMeansConfig:
    """KMeans (Lloyd) with k-means++ starts."""

    restarts: int = 20
    """Starts; the one of lowest inertia wins."""

    def __post_init__(self) -> None:
        in_range("kmeans", "restarts", self.restarts, 1, 100_000)


@CLUSTERERS.register("kmeans", KMeansConfig, paper="Lloyd 1982; Arthur and Vassilvitskii 2007")
def kmeans(z: np.ndarray, n_clusters: int, cfg: KMeansConfig, seed: int) -> Clustering:
    """z (n, d) float -> probabilities (n, k) of equal Gaussians at the k centres."""
    from sklearn.cluster import KMeans

    return centre_clustering(KMeans(n_clusters, n_init=cfg.restarts, random_state=seed), z)
