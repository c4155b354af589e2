"""`gaussian-mixture`: clusters of their own width in every direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import Clustering
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.core.checks import in_range


@dataclass(frozen=True)
class GaussianMixtureConfig:
    """A mixture of Gaussians by expectation maximisation, from k-means starts."""

    prepare: Preparation = "pca"
    """As for kmeans."""
    dims: int = 32
    """Principal directions that are kept, where `prepare` takes any."""
    covariance: Literal["full", "tied", "diag", "spherical"] = "diag"
    """Shape of a cluster; `full` wants many rows a cluster."""
    restarts: int = 3
    """Starts; the likeliest wins."""

    def __post_init__(self) -> None:
        in_range("gaussian-mixture", "dims", self.dims, 1, 4096)
        in_range("gaussian-mixture", "restarts", self.restarts, 1, 1000)


@CLUSTERERS.register(
    "gaussian-mixture", GaussianMixtureConfig, paper="Dempster, Laird and Rubin 1977"
)
def gaussian_mixture(
    z: np.ndarray, n_clusters: int, cfg: GaussianMixtureConfig, seed: int
) -> Clustering:
    """z (n, d) float -> posteriors (n, k) of the mixture.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = gaussian_mixture(z.astype(np.float32), 3, GaussianMixtureConfig(), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    from sklearn.mixture import GaussianMixture

    ready = prepare(z, cfg.prepare, cfg.dims)
    # A thousandth of the mean variance keeps a cluster of equal rows from shrinking to a point.
    floor = max(1e-3 * float(ready.rows.var(0).mean()), 1e-9)
    solver = GaussianMixture(
        n_clusters,
        covariance_type=cfg.covariance,
        n_init=cfg.restarts,
        reg_covar=floor,
        random_state=seed,
    ).fit(ready.rows.astype(np.float64))

    predict = partial(_posteriors, solver, ready.apply)
    return Clustering(predict(z), predict, {"log_likelihood": round(float(solver.lower_bound_), 4)})


def _posteriors(solver: Any, apply: Callable[[Any], np.ndarray], new: np.ndarray) -> np.ndarray:

    return np.asarray(solver.predict_proba(apply(new).astype(np.float64)), np.float32)
