"""`co-kmeans`: spherical k-means on several views of the same items, each teaching the next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    as_views,
    centre_probabilities,
    several_spaces,
)
from imclust.clustering.preprocessing import unit_rows
from imclust.core.checks import in_range

PATIENCE = 4  # rounds over all views without a better objective in any; then it ends


@dataclass(frozen=True)
class CoKMeansConfig:
    """Multi-view spherical k-means: takes several --features; with one it is spherical k-means."""

    restarts: int = 10
    """Starts; the one of highest mean cosine to its cluster's means over all views wins."""
    rounds: int = 100
    """Most rounds over all views of a start."""

    def __post_init__(self) -> None:
        in_range("co-kmeans", "restarts", self.restarts, 1, 100_000)
        in_range("co-kmeans", "rounds", self.rounds, 1, 100_000)


@CLUSTERERS.register(
    "co-kmeans", CoKMeansConfig, paper="Bickel and Scheffer 2004, Multi-View Clustering"
)
@several_spaces
def co_kmeans(z: Rows, n_clusters: int, cfg: CoKMeansConfig, seed: int) -> Clustering:
    """Table 2 of the paper: the partition of one view gives the centres of the next.

    Deviations: starts are seeded as in k-means++ on all views, instead of at random on one; more
    than two views teach each other in a ring (with one, that is spherical k-means). The consensus
    means and the seeds themselves are led to a local maximum of the objective over all views at
    once, and the highest is kept: where each view confuses other groups, a view that is taught by
    one other alone forgets what it told apart, and rounding decided. Probabilities are those of
    equal Gaussians at the means.

    Parameters
    ----------
    z : Rows
        (n, d), or a list of v views (n, d_v), float; rows are brought to length one.

    Returns
    -------
    Clustering
        Probabilities (n, k) float32, and `objective`, the mean cosine in -1..1.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> np.bincount(co_kmeans(z.astype(np.float32), 3, CoKMeansConfig(), seed=0).labels)
    array([20, 20, 20])
    """

    views = _views(z)
    rng = np.random.default_rng(seed)
    best, means = -np.inf, views
    for _ in range(cfg.restarts):
        seeds = _seeds(views, n_clusters, rng)
        centres = [view[seeds] for view in views]
        taught = _taught(views, centres, cfg.rounds)
        for start in (taught, centres):
            found = _refined(views, start, cfg.rounds)
            score = float(_agreement(views, found).max(1).mean())
            if score > best:
                best, means = score, found
    variance = float((_distances(views, means).min(1) ** 2).mean())
    predict = partial(_predict, means, variance)
    return Clustering(predict(z), predict, {"objective": round(best, 4)})


def _predict(means: list[np.ndarray], variance: float, rows: Rows) -> np.ndarray:
    """Probabilities (m, k) of rows at the consensus means (k, d_v) of every view."""
    dims = sum(m.shape[1] for m in means)
    return centre_probabilities(_distances(_views(rows), means), dims, variance)


def _views(z: Rows) -> list[np.ndarray]:
    return [unit_rows(v) for v in as_views(z)]


def _agreement(views: list[np.ndarray], means: list[np.ndarray]) -> np.ndarray:
    """Mean over the views of the cosine to each mean: (n, k)."""
    return sum(v @ m.T for v, m in zip(views, means, strict=True)) / len(views)


def _distances(views: list[np.ndarray], means: list[np.ndarray]) -> np.ndarray:
    """Distance (n, k) of rows to means with all views side by side, scaled to length one in all."""

    return np.sqrt(np.maximum(2 - 2 * _agreement(views, means), 0))


def _taught(views: list[np.ndarray], centres: list[np.ndarray], rounds: int) -> list[np.ndarray]:
    """Table 2 from these centres (k, d_v) on: the consensus means (k, d_v) of every view."""
    k, centres = len(centres[0]), list(centres)
    partitions = [_agreement(views, centres).argmax(1)] * len(views)
    best, idle = [-2.0] * len(views), 0
    for _ in range(rounds):
        idle += 1
        for v, view in enumerate(views):
            centres[v] = _centres(view, partitions[v - 1], k)
            cosines = view @ centres[v].T
            partitions[v] = cosines.argmax(1)
            objective = float(cosines.max(1).mean())
            if objective > best[v] + 1e-6:
                best[v], idle = objective, 0
        if idle == PATIENCE:
            break
    return _consensus(views, partitions, centres)


def _refined(views: list[np.ndarray], means: list[np.ndarray], rounds: int) -> list[np.ndarray]:
    """Lloyd's rounds on all views at once, from `means` to a local maximum of `_agreement`."""

    k, before = len(means[0]), None
    for _ in range(rounds):
        together = _agreement(views, means).argmax(1)
        if before is not None and np.array_equal(together, before):
            break
        means, before = [_centres(view, together, k) for view in views], together
    return means


def _seeds(views: list[np.ndarray], k: int, rng: np.random.Generator) -> list[int]:
    """k rows, each drawn with odds of its cosine distance to the nearest before it (k-means++)."""

    n = len(views[0])
    chosen = [int(rng.integers(n))]
    far = np.full(n, np.inf)
    for _ in range(k - 1):
        last = [view[chosen[-1:]] for view in views]
        far = np.minimum(far, np.maximum(1 - _agreement(views, last)[:, 0].astype(np.float64), 0))
        far[chosen] = 0
        odds = far / far.sum() if far.sum() > 0 else np.full(n, 1 / n)
        chosen.append(int(rng.choice(n, p=odds)))
    return chosen


def _sums(view: np.ndarray, rows: np.ndarray, clusters: np.ndarray, k: int) -> np.ndarray:
    """Sum (k, d) of the given rows by cluster."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(rows), np.float32)
    return csr_matrix((ones, (clusters, rows)), shape=(k, len(view))) @ view


def _centres(view: np.ndarray, partition: np.ndarray, k: int) -> np.ndarray:
    """Unit means (k, d); an empty cluster takes the row that fits its own centre worst."""

    centres = unit_rows(_sums(view, np.arange(len(view)), partition, k))
    empty = np.flatnonzero(np.bincount(partition, minlength=k) == 0)
    if len(empty):
        fit = (view * centres[partition]).sum(1)
        centres[empty] = view[np.argsort(fit, kind="stable")[: len(empty)]]
    return centres


def _consensus(
    views: list[np.ndarray], partitions: list[np.ndarray], centres: list[np.ndarray]
) -> list[np.ndarray]:
    """Unit means of the rows on which all views agree; a cluster without one keeps its centre."""

    k = len(centres[0])
    agreed = np.flatnonzero(np.all([p == partitions[0] for p in partitions], axis=0))
    clusters = partitions[0][agreed]
    some = np.bincount(clusters, minlength=k)[:, None] > 0
    return [
        np.where(some, unit_rows(_sums(view, agreed, clusters, k)), c)
        for view, c in zip(views, centres, strict=True)
    ]
