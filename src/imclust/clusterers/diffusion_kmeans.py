"""`diffusion-kmeans`: k-means on rows that were drawn towards their neighbours on a graph."""

from __future__ import annotations

from dataclasses import dataclass

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import (
    Clustering,
    Rows,
    beside,
    by_neighbours,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.spaces import Preparation


@dataclass(frozen=True)
class DiffusionKMeansConfig:
    """k-means after smoothing on the neighbour graph; several --features become one graph."""

    prepare: Preparation = "power"
    """As for kmeans."""
    neighbours: int = 20
    """Of a row in the graph."""
    steps: int = 5
    """Times that every row is drawn towards its neighbours' mean; 0 is k-means."""
    restarts: int = 10
    """Starts of k-means; the one of lowest inertia wins."""

    def __post_init__(self) -> None:
        in_range("diffusion-kmeans", "neighbours", self.neighbours, 2, 1000)
        in_range("diffusion-kmeans", "steps", self.steps, 0, 1000)
        in_range("diffusion-kmeans", "restarts", self.restarts, 1, 1000)


@CLUSTERERS.register(
    "diffusion-kmeans", DiffusionKMeansConfig, paper="Zhou et al. 2004, eq. 7, before k-means"
)
@several_spaces
@on_sample(20_000)
def diffusion_kmeans(z: Rows, n_clusters: int, cfg: DiffusionKMeansConfig, seed: int) -> Clustering:
    """z (n, d), or a list of them -> posteriors (n, k) by each row's neighbours."""
    from sklearn.cluster import KMeans

    from imclust.graph import diffused, joint_graph

    views, apply = prepared_views(z, cfg.prepare)
    rows = diffused(joint_graph(views, cfg.neighbours), beside(views), cfg.steps)
    solver = KMeans(n_clusters, n_init=cfg.restarts, random_state=seed).fit(rows)
    return by_neighbours(
        solver.labels_, n_clusters, views, apply, inertia=round(float(solver.inertia_), 4)
    )
