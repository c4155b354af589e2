"""Several answers of one clusterer as one: what they say on average, in common names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from imclust.clustering.clusterers._base import Clustering, Rows
from imclust.clustering.ensembles import aligned_names, coassociation_consensus


def average_clusterings(found: Sequence[Clustering], k: int, seed: int) -> Clustering:
    """The mean of the probabilities of some clusterings of the same rows.

    Clusters have the names of the consensus of all (Fred and Jain 2005) that they share most rows
    with. Facts and candidates are those of the clustering that is nearest to the mean; it is the
    answer itself where the mean would leave a cluster without rows.

    Parameters
    ----------
    found : sequence of Clustering
        Of K clusters each.
    k : int
        K.
    seed : int
        Of the consensus.

    Examples
    --------
    >>> from imclust.clustering.clusterers._base import Clustering
    >>> sure = np.eye(2)[[0, 0, 1, 1]]
    >>> one, other = Clustering(sure, lambda new: sure), Clustering(1 - sure, lambda new: 1 - sure)
    >>> average_clusterings([one, other], 2, seed=0).probabilities.max(1)
    array([1., 1., 1., 1.])
    """
    if len(found) == 1:
        return found[0]
    runs = [each.labels for each in found]
    reference = coassociation_consensus(runs, k, seed)
    places = [np.argsort(aligned_names(run, reference, k)) for run in runs]
    mean = np.mean([each.probabilities[:, at] for each, at in zip(found, places, strict=True)], 0)
    labels = mean.argmax(1)
    alike = [(at[labels] == run).mean() for at, run in zip(places, runs, strict=True)]
    nearest = found[int(np.argmax(alike))]
    if np.bincount(labels, minlength=k).min() == 0:
        return nearest
    parts = [(each.predict, at) for each, at in zip(found, places, strict=True)]
    agreement = {"agreement_of_searches": [round(float(share), 4) for share in alike]}
    return replace(
        nearest,
        probabilities=mean,
        predict=partial(_mean_of, parts=parts),
        facts={**nearest.facts, **agreement},
    )


def _mean_of(
    new: Rows, parts: Sequence[tuple[Callable[[Any], np.ndarray], np.ndarray]]
) -> np.ndarray:
    return np.asarray(np.mean([predict(new)[:, at] for predict, at in parts], 0))
