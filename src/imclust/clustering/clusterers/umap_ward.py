"""`umap-ward`: UMAP without crowding, then Ward's tree or k-means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import concatenate_views
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.clustering.umap_embedding import umap_embedding
from imclust.core.checks import in_range


@dataclass(frozen=True)
class UmapWardConfig:
    """UMAP to some ten dimensions, then Ward's agglomeration down to K."""

    prepare: Preparation = "raw"
    """As for kmeans."""
    neighbours: int = 30
    """Of a row; the paper's 30."""
    dims: int = 10
    """Of the embedding; the paper finds 5 to 100 equally good."""
    last: Literal["ward", "kmeans"] = "ward"
    """What cuts the embedding."""

    def __post_init__(self) -> None:
        in_range("umap-ward", "neighbours", self.neighbours, 2, 1000)
        in_range("umap-ward", "dims", self.dims, 2, 100)


@CLUSTERERS.register(
    "umap-ward", UmapWardConfig, paper="Lowe et al. 2024; McInnes, Healy and Melville 2018"
)
@partition(15_000)
def umap_ward(
    views: list[np.ndarray], n_clusters: int, cfg: UmapWardConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Spaces (n, d_v) -> clusters (n,).

    Deviation: distances are cosines, and 10 dimensions, not 50; the sample bounds Ward's n^2
    distances to 1 GiB.

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="umap-ward").labels)
    array([20, 20, 20])
    """
    embedding = umap_embedding(concatenate_views(views), cfg.neighbours, cfg.dims, seed)
    return layout_labels(embedding, n_clusters, cfg.last, seed), {}


def layout_labels(rows: np.ndarray, k: int, last: str, seed: int) -> np.ndarray:
    """Clusters (n,) of an embedding (n, d) by Ward's tree or by k-means.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float.
    k : int
        Clusters.
    last : str
        `ward`, or another word for k-means.
    seed : int
        Of k-means.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 30)
    >>> x = (9 * y[:, None] + rng.standard_normal((60, 4))).astype(np.float32)
    >>> sorted(np.bincount(layout_labels(x, 2, "ward", 0)).tolist())
    [30, 30]
    """
    from sklearn.cluster import AgglomerativeClustering, KMeans

    if last == "ward":
        return AgglomerativeClustering(k).fit_predict(rows)
    return KMeans(k, n_init=10, random_state=seed).fit_predict(rows)
