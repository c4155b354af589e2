"""`kmeans`: k-means on all rows at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from imclust.clustering.block_kmeans import Apply, Centres, kmeans_in_blocks
from imclust.clustering.blocks import LARGE, each_block, sample_rows
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    centre_clustering,
    centre_probabilities,
    reads_blocks,
    through,
)
from imclust.clustering.hierarchical_kmeans import hierarchical_kmeans
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.core.checks import in_range


@dataclass(frozen=True)
class KMeansConfig:
    """KMeans (Lloyd) with k-means++ starts."""

    restarts: int = 20
    """Starts; the one of lowest inertia wins. Of more than 50 000 rows they are tried on a sample,
    and the best goes on over all rows."""
    prepare: Preparation = "raw"
    """Rows as they are, of unit length (spherical k-means but for the length of its centres),
    64 principal directions of those (pca; power: of their signed square roots), or whitened."""

    levels: Literal[1, 2] = 1
    """2, for K of some thousands: coarse cells first, which are cut on their own, then passes in
    which rows are compared with the centres of neighbouring cells only."""

    def __post_init__(self) -> None:
        in_range("kmeans", "restarts", self.restarts, 1, 100_000)


@CLUSTERERS.register("kmeans", KMeansConfig, paper="Lloyd 1982; Arthur and Vassilvitskii 2007")
@reads_blocks
def kmeans(z: np.ndarray, n_clusters: int, cfg: KMeansConfig, seed: int) -> Clustering:
    """z (n, d) float -> probabilities (n, k) of equal Gaussians at the k centres.

    Above LARGE rows z is read in blocks and may be memory-mapped; see `block_kmeans`.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(kmeans(z.astype(np.float32), 3, KMeansConfig(), seed=0).labels)
    array([20, 20, 20])
    """
    if len(z) > LARGE or cfg.levels == 2:
        return _of_many(z, n_clusters, cfg, seed)
    from sklearn.cluster import KMeans

    ready = prepare(z, cfg.prepare)
    solver = KMeans(n_clusters, n_init=cfg.restarts, random_state=seed)
    found = centre_clustering(solver, ready.rows)
    return replace(found, predict=partial(through, apply=ready.apply, predict=found.predict))


def _of_many(z: np.ndarray, k: int, cfg: KMeansConfig, seed: int) -> Clustering:
    """The preparation is learned from LARGE rows, the centres from all."""
    few = np.asarray(z[sample_rows(len(z), LARGE, seed)])
    apply = prepare(few, cfg.prepare).apply
    if cfg.levels == 2:
        centres = hierarchical_kmeans(z, k, seed, apply)
    else:
        centres = kmeans_in_blocks(z, k, cfg.restarts, seed, apply)
    variance = centres.inertia / len(z)
    predict = partial(_at_centres, centres=centres, variance=variance, apply=apply)
    facts = {"inertia": round(centres.inertia, 4), "passes": centres.passes}
    return Clustering(predict(z), predict, facts)


def _at_centres(rows: np.ndarray, centres: Centres, variance: float, apply: Apply) -> np.ndarray:
    """Probabilities (m, k) float64 of rows (m, d) at centres."""
    k, dims = centres.points.shape

    def work(block: np.ndarray) -> np.ndarray:
        apart = np.sqrt(centres.squared_distances(apply(block)))
        return centre_probabilities(apart, dims, variance)

    out = np.empty((len(rows), k))
    for place, p in each_block(rows, work):
        out[place] = p
    return out
