"""How far the answers of several seeds agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imclust.clustering.blocks import LARGE, sample_rows
from imclust.clustering.clusterers._base import Clustering, run_head
from imclust.clustering.metrics import mean_pairwise_ari

SEEDS = 5
ROWS = 10_000  # of more than LARGE, that the other seeds are run on


def stability(
    method: Callable[..., Any],
    config: Any,
    k: int,
    seed: int,
    spaces: list[np.ndarray],
    found: Clustering,
) -> float:
    """Mean agreement of runs from several seeds, on a sample of many rows; `auto` has made some.

    Parameters
    ----------
    method : Callable
        The clusterer.
    config : Any
        Its settings.
    k : int
        Clusters.
    seed : int
        Of `found`; the others follow it.
    spaces : list of np.ndarray
        (n, d_v) each, the rows that were fitted.
    found : Clustering
        What was found.

    Examples
    --------
    >>> from imclust.clustering.clusterers.kmeans import KMeansConfig, kmeans
    >>> x = np.repeat(9 * np.eye(3, dtype=np.float32), 20, axis=0)
    >>> stability(kmeans, KMeansConfig(2), 3, 0, [x], kmeans(x, 3, KMeansConfig(2), 0))
    1.0
    """
    runs = [found.labels]
    if found.candidates:  # which know the rows that they were compared on, of many rows a sample
        runs = [found.labels[found.compared_rows]]
        runs += [c.labels for c in found.candidates if c.whole is not None and c.repeats]
    else:
        n = len(found.labels)
        chosen = sample_rows(n, ROWS if n > LARGE else n, seed)
        runs = [found.labels[chosen]]
        few = [np.asarray(x[chosen]) for x in spaces]
        runs += [
            run_head(method, few, k, config, other).labels
            for other in range(seed + 1, seed + SEEDS)
        ]
    return round(mean_pairwise_ari(runs), 4)
