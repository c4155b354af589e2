"""Reducers: vectors to fewer numbers. One file each."""

from collections.abc import Callable
from typing import Any

from imclust.reducers._base import Reduction
from imclust.registry import Registry

REDUCERS: Registry[Callable[[Any, Any, int], Reduction]] = Registry("reducer", "imclust.reducers")
