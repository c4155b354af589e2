"""`scan`: a row and its neighbours get the same answer, and all answers are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    concatenate_views,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.clustering.preprocessing import Preparation
from imclust.clustering.scan_heads import Scanned, ScanPlan, scan_heads


@dataclass(frozen=True)
class ScanConfig(ScanPlan):
    """SCAN's clustering step and its self-labelling, on fixed features."""

    prepare: Preparation = "pca"
    """As for kmeans."""


@CLUSTERERS.register("scan", ScanConfig, paper="Van Gansbeke et al. 2020, eq. 2 and section 2.3")
@several_spaces
@on_sample(100_000)
def scan(z: Rows, n_clusters: int, cfg: ScanConfig, seed: int) -> Clustering:
    """z (n, d), or a list of them -> probabilities (n, k) of the head of lowest loss.

    Deviations: see `imclust.scanning`.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = scan(z.astype(np.float32), 3, ScanConfig(heads=4, steps=200), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    views, apply = prepared_views(z, cfg.prepare)
    found = scan_heads(concatenate_views(views), n_clusters, cfg, seed)
    predict = partial(_predict, apply=apply, found=found)
    facts = {"loss": round(found.loss, 4), "steps": found.steps, "heads": cfg.heads}
    return Clustering(predict(z), predict, facts)


def _predict(new: Rows, apply: Callable[[Any], Any], found: Scanned) -> np.ndarray:
    return found.posteriors(concatenate_views(apply(new)))
