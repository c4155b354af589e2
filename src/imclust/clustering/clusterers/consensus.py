"""`consensus`: what a set of runs agrees on, and a classifier learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    as_views,
    clusterer_input,
    concatenate_views,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.clustering.clusterers._partitions import by_neighbours
from imclust.core.checks import in_range


@dataclass(frozen=True)
class ConsensusConfig:
    """Several methods, several seeds, one answer."""

    methods: tuple[str, ...] = ("kmeans", "spectral", "diffusion-kmeans", "over-cluster")
    """Whose runs are joined, each with its own defaults."""
    runs: int = 3
    """Seeds of each."""
    join: Literal["groups", "votes"] = "groups"
    """By how often two images share a cluster, or by votes on each image."""
    retrain: bool = True
    """Learn a discriminant classifier on what is agreed on and let it decide all rows."""

    def __post_init__(self) -> None:
        in_range("consensus", "runs", self.runs, 1, 1000)
        in_range("consensus", "number of methods", len(self.methods), 1, 100)


@CLUSTERERS.register(
    "consensus",
    ConsensusConfig,
    paper="Fred and Jain 2005; Fern and Brodley 2004; ICCE (arXiv 2511.16213) for retraining",
)
@several_spaces
@on_sample(20_000)
def consensus(z: Rows, n_clusters: int, cfg: ConsensusConfig, seed: int) -> Clustering:
    """z (n, d), or a list of them -> posteriors (n, k) by each row's neighbours.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(consensus(z.astype(np.float32), 3, ConsensusConfig(), seed=0).labels)
    array([20, 20, 20])
    """

    from imclust.clustering.ensembles import (
        align_labels,
        coassociation_consensus,
        lda_self_training,
        vote_shares,
    )
    from imclust.clustering.metrics import mean_pairwise_ari, pairwise_ari

    runs = []
    for name in cfg.methods:
        entry = CLUSTERERS[name]
        rows = clusterer_input(entry.method, as_views(z))
        runs += [
            entry.method(rows, n_clusters, entry.config(), seed + s).labels for s in range(cfg.runs)
        ]
    middle = runs[int(pairwise_ari(runs).sum(1).argmax())]
    share = vote_shares(runs, middle, n_clusters)
    labels = share.argmax(1)
    if cfg.join == "groups":
        labels = align_labels(coassociation_consensus(runs, n_clusters, seed), labels, n_clusters)
    views, apply = prepared_views(z, "power")
    if cfg.retrain and len(np.unique(labels)) == n_clusters:
        trust = share[np.arange(len(labels)), labels]
        labels = lda_self_training(concatenate_views(views), labels, n_clusters, trust)
    facts = {"agreement": round(mean_pairwise_ari(runs), 4) if len(runs) > 1 else 1.0}
    return by_neighbours(labels, n_clusters, views, apply, **facts)
