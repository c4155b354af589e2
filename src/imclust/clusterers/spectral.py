"""`spectral`: k-means on the leading eigenvectors of a nearest-neighbour graph."""

from __future__ import annotations

from dataclasses import dataclass

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import (
    Clustering,
    Rows,
    by_neighbours,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.spaces import Preparation


@dataclass(frozen=True)
class SpectralConfig:
    """Spectral clustering; several --features become one graph."""

    prepare: Preparation = "power"
    """As for kmeans."""
    neighbours: int = 20
    """Of a row in the graph."""

    def __post_init__(self) -> None:
        in_range("spectral", "neighbours", self.neighbours, 2, 1000)


@CLUSTERERS.register(
    "spectral", SpectralConfig, paper="Ng, Jordan and Weiss 2001; Zelnik-Manor and Perona 2004"
)
@several_spaces
@on_sample(20_000)
def spectral(z: Rows, n_clusters: int, cfg: SpectralConfig, seed: int) -> Clustering:
    """z (n, d), or a list of them -> posteriors (n, k) by each row's neighbours.

    Deviation: the graph is one of nearest neighbours with scales of its own, not a full one.
    """
    from imclust.graph import cut, joint_graph, leading

    views, apply = prepared_views(z, cfg.prepare)
    values, vectors = leading(joint_graph(views, cfg.neighbours), n_clusters)
    gap = float(values[-2] - values[-1])
    labels = cut(vectors, n_clusters)
    return by_neighbours(labels, n_clusters, views, apply, last_gap=round(gap, 6))
