"""`minibatch-kmeans`: the baseline's k-means on small batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import Clustering, centre_clustering
from imclust.core.checks import in_range


@dataclass(frozen=True)
class MiniBatchKMeansConfig:
    """MiniBatchKMeans with k-means++ starts."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: batches of 100 and 3 starts, scikit-learn's defaults when the homework was
    written. `fast`: batches of 2048 and 20 starts, steadier at no noticeable cost."""
    restarts: int | None = None
    """Starts; the recipe's number unless given."""
    batch: int | None = None
    """Rows a step; the recipe's number unless given."""

    def __post_init__(self) -> None:
        for name in ("restarts", "batch"):
            if getattr(self, name) is not None:
                in_range("minibatch-kmeans", name, getattr(self, name), 1, 1_000_000)


@CLUSTERERS.register("minibatch-kmeans", MiniBatchKMeansConfig, paper="Sculley 2010")
def minibatch_kmeans(
    z: np.ndarray, n_clusters: int, cfg: MiniBatchKMeansConfig, seed: int
) -> Clustering:
    """z (n, d) float -> probabilities (n, k) of equal Gaussians at the k centres.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = minibatch_kmeans(z.astype(np.float32), 3, MiniBatchKMeansConfig(), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    from sklearn.cluster import MiniBatchKMeans

    literal = cfg.recipe == "literal"
    solver = MiniBatchKMeans(
        n_clusters,
        n_init=cfg.restarts or (3 if literal else 20),
        batch_size=cfg.batch or (100 if literal else 2048),
        random_state=seed,
    )
    return centre_clustering(solver, z)
