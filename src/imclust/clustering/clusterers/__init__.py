"""Clusterers: vectors to clusters. One file each."""

from collections.abc import Callable
from typing import Any

from imclust.clustering.clusterers._base import Clustering
from imclust.core.registry import Registry

CLUSTERERS: Registry[Callable[[Any, int, Any, int], Clustering]] = Registry(
    "clusterer", "imclust.clustering.clusterers"
)
