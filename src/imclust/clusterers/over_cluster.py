"""`over-cluster`: many small clusters, merged down to K."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import Clustering, by_neighbours, in_list
from imclust.spaces import Preparation, prepare

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
def over_cluster(z: np.ndarray, n_clusters: int, cfg: OverClusterConfig, seed: int) -> Clustering:
    """z (n, d) float -> posteriors (n, k) by each row's neighbours."""
    from sklearn.cluster import KMeans

    from imclust.merging import merged

    ready = prepare(z, cfg.prepare)
    parts = min(max(cfg.parts, n_clusters), len(ready.rows))
    small = KMeans(parts, n_init=3, random_state=seed).fit_predict(ready.rows)
    labels = merged(small, ready.rows, n_clusters)
    return by_neighbours(labels, n_clusters, [ready.rows], partial(in_list, apply=ready.apply))
