"""`kmeans`: k-means on all rows at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import Clustering, centre_clustering, through
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.core.checks import in_range


@dataclass(frozen=True)
class KMeansConfig:
    """KMeans (Lloyd) with k-means++ starts."""

    restarts: int = 20
    """Starts; the one of lowest inertia wins."""
    prepare: Preparation = "raw"
    """Rows as they are, of unit length (spherical k-means but for the length of its centres),
    64 principal directions of those (pca; power: of their signed square roots), or whitened."""

    def __post_init__(self) -> None:
        in_range("kmeans", "restarts", self.restarts, 1, 100_000)


@CLUSTERERS.register("kmeans", KMeansConfig, paper="Lloyd 1982; Arthur and Vassilvitskii 2007")
def kmeans(z: np.ndarray, n_clusters: int, cfg: KMeansConfig, seed: int) -> Clustering:
    """z (n, d) float -> probabilities (n, k) of equal Gaussians at the k centres."""
    from sklearn.cluster import KMeans

    ready = prepare(z, cfg.prepare)
    solver = KMeans(n_clusters, n_init=cfg.restarts, random_state=seed)
    found = centre_clustering(solver, ready.rows)
    return replace(found, predict=partial(through, apply=ready.apply, predict=found.predict))
