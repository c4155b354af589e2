"""Reducers: vectors to fewer numbers. One file each."""

from collections.abc import Callable
from typing import Any

from imclust.clustering.reducers._base import Reduction
from imclust.core.registry import Registry

REDUCERS: Registry[Callable[[Any, Any, int], Reduction]] = Registry(
    "reducer", "imclust.clustering.reducers"
)
