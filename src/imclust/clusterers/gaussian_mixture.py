"""`gaussian-mixture`: clusters of their own width in every direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import Clustering
from imclust.spaces import Preparation, prepare

if TYPE_CHECKING:
    import numpy as np


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
    """z (n, d) float -> posteriors (n, k) of the mixture."""
    import numpy as np
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

    place = partial(_posteriors, solver, ready.apply)
    return Clustering(place(z), place, {"log_likelihood": round(float(solver.lower_bound_), 4)})


def _posteriors(solver: Any, apply: Callable[[Any], np.ndarray], new: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray(solver.predict_proba(apply(new).astype(np.float64)), np.float32)
