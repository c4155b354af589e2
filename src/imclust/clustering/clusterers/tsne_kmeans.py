"""`tsne-kmeans`: t-SNE to a plane, then k-means, the walkthroughs' favourite, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._partitions import partition
from imclust.clustering.preprocessing import Preparation
from imclust.core.checks import in_range

FEW = 2000  # rows; up to so many, threads wait for each other longer than they work


@dataclass(frozen=True)
class TsneKMeansConfig:
    """t-SNE to two dimensions, then k-means there."""

    prepare: Preparation = "pca"
    """As for kmeans."""
    perplexity: float = 30.0
    """Neighbours that a row's place depends on, about."""
    exaggeration: float = 4.0
    """Attraction in the last phase; above 1 it pulls groups into tight islands."""

    def __post_init__(self) -> None:
        in_range("tsne-kmeans", "perplexity", self.perplexity, 1, 1000)
        in_range("tsne-kmeans", "exaggeration", self.exaggeration, 1, 100)


@CLUSTERERS.register("tsne-kmeans", TsneKMeansConfig, paper="van der Maaten and Hinton 2008")
@partition(50_000, several=False)
def tsne_kmeans(
    views: list[np.ndarray], n_clusters: int, cfg: TsneKMeansConfig, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """One space (n, d) -> clusters (n,).

    Examples
    --------
    >>> from imclust.api import cluster_latents
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(cluster_latents(z, 3, method="tsne-kmeans").labels)
    array([20, 20, 20])
    """
    from openTSNE import TSNE
    from sklearn.cluster import KMeans

    plane = rows = views[0]
    n = len(rows)
    if n > 12:  # below, perplexity has nothing to choose from
        solver = TSNE(
            perplexity=min(cfg.perplexity, (n - 1) / 3),
            exaggeration=cfg.exaggeration,
            random_state=seed,
            n_jobs=-1 if n > FEW else 1,
        )
        plane = solver.fit(rows)
    labels = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(plane)
    return labels, {}
