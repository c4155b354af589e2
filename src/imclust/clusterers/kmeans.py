"""`kmeans`: k-means on all rows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import Clustering, centre_clustering, unit_rows

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class KMeansConfig:
    """KMeans (Lloyd) with k-means++ starts."""

    restarts: int = 20
    """Starts; the one of lowest inertia wins."""
    unit: bool = False
    """Scale every row to unit length first, so that directions are compared and lengths are not
    (spherical k-means but for the length of its centres)."""

    def __post_init__(self) -> None:
        in_range("kmeans", "restarts", self.restarts, 1, 100_000)


@CLUSTERERS.register("kmeans", KMeansConfig, paper="Lloyd 1982; Arthur and Vassilvitskii 2007")
def kmeans(z: np.ndarray, n_clusters: int, cfg: KMeansConfig, seed: int) -> Clustering:
    """z (n, d) float -> probabilities (n, k) of equal Gaussians at the k centres."""
    from sklearn.cluster import KMeans

    solver = KMeans(n_clusters, n_init=cfg.restarts, random_state=seed)
    if not cfg.unit:
        return centre_clustering(solver, z)
    found = centre_clustering(solver, unit_rows(z))
    return replace(found, place=partial(_placed_by_direction, found.place))


def _placed_by_direction(place: Callable[[Any], np.ndarray], rows: np.ndarray) -> np.ndarray:
    return place(unit_rows(rows))
