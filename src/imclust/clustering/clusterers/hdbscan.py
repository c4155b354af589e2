"""`hdbscan`: groups denser than what lies between them; what belongs to none is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import concatenate_views
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.clustering.umap_embedding import umap_embedding
from imclust.core.checks import enough_distinct_rows, in_range


@dataclass(frozen=True)
class HdbscanConfig:
    """HDBSCAN in a UMAP embedding; too many groups are merged, noise joins its neighbours."""

    prepare: Preparation = "raw"
    """As for kmeans."""
    neighbours: int = 30
    """Of a row in UMAP."""
    least: float = 0.01
    """A group has at least this share of all rows."""

    def __post_init__(self) -> None:
        in_range("hdbscan", "neighbours", self.neighbours, 2, 1000)
        in_range("hdbscan", "least", self.least, 1e-4, 0.5)


@CLUSTERERS.register("hdbscan", HdbscanConfig, paper="Campello, Moulavi and Sander 2013")
@partition(15_000)
def hdbscan(
    views: list[np.ndarray], n_clusters: int, cfg: HdbscanConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Spaces (n, d_v) -> clusters (n,), noise -1; its share is among the facts.

    Deviation: K is asked for, so more groups are merged as Ward does, and where there are fewer
    the widest is split by k-means.

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="hdbscan").labels)
    array([20, 20, 20])
    """
    rows = umap_embedding(concatenate_views(views), cfg.neighbours, 5, seed)
    groups = _groups(rows, max(2, int(cfg.least * len(rows))))
    noise, found = float((groups < 0).mean()), int(groups.max()) + 1
    labels = _exactly(groups, rows, n_clusters, seed)
    return labels, {"groups": found, "noise": round(noise, 4)}


def _groups(rows: np.ndarray, least: int) -> np.ndarray:
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(
        min_cluster_size=least, min_samples=5 if len(rows) > 5 else 1, copy=True
    ).fit_predict(rows)


def _exactly(groups: np.ndarray, rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Exactly k groups (n,), noise still -1."""
    from sklearn.cluster import KMeans

    from imclust.clustering.ward import merge_to_k

    labels = groups.copy()
    if labels.max() < 0 or (labels >= 0).sum() < k:
        labels[:] = 0
    known = labels >= 0
    labels[known] = merge_to_k(labels[known], rows[known], k)
    while (found := int(labels.max()) + 1) < k:
        spread = [_spread(rows[labels == c]) for c in range(found)]
        if max(spread) == 0:
            enough_distinct_rows(k, found)
        widest = labels == int(np.argmax(spread))
        halves = KMeans(2, n_init=3, random_state=seed).fit_predict(rows[widest])
        labels[np.flatnonzero(widest)[halves == 1]] = found
    return labels


def _spread(rows: np.ndarray) -> float:
    return float(((rows - rows.mean(0)) ** 2).sum())
