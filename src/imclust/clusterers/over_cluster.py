"""`over-cluster`: many small clusters, merged down to K."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._partitions import partition
from imclust.spaces import Preparation

if TYPE_CHECKING:
    import numpy as np


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
    """One space (n, d) -> clusters (n,)."""
    from sklearn.cluster import KMeans

    from imclust.merging import merged

    rows = views[0]
    parts = min(max(cfg.parts, n_clusters), len(rows))
    small = KMeans(parts, n_init=3, random_state=seed).fit_predict(rows)
    labels = merged(small, rows, n_clusters)
    return labels, {}
