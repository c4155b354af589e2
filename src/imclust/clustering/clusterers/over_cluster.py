"""`over-cluster`: many small clusters, merged down to K."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.core.checks import in_range


@dataclass(frozen=True)
class OverClusterConfig:
    """k-means to many clusters, then Ward's merges down to K."""

    prepare: Preparation = "pca"
    """As for kmeans."""
    parts: int = 64
    """Small clusters; at least K and at most the number of rows are made."""

    def __post_init__(self) -> None:
        in_range("over-cluster", "parts", self.parts, 2, 4096)


@CLUSTERERS.register("over-cluster", OverClusterConfig, paper="Ward 1963, on k-means centres")
@partition(several=False)
def over_cluster(
    views: list[np.ndarray], n_clusters: int, cfg: OverClusterConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """One space (n, d) -> clusters (n,).

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="over-cluster").labels)
    array([20, 20, 20])
    """
    from sklearn.cluster import KMeans

    from imclust.clustering.ward import merge_to_k

    rows = views[0]
    parts = min(max(cfg.parts, n_clusters), len(rows))
    small = KMeans(parts, n_init=3, random_state=seed).fit_predict(rows)
    labels = merge_to_k(small, rows, n_clusters)
    return labels, {}
