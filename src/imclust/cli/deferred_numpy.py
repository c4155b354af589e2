"""NumPy imported at its first use: `--help` uses none of it, and it is a third of the wait."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def defer_numpy() -> None:
    """Put a module in NumPy's place that becomes NumPy when one of its names is asked for.

    Where NumPy is imported already, nothing happens.

    Examples
    --------
    >>> import numpy
    >>> defer_numpy()
    >>> sys.modules["numpy"] is numpy
    True
    """
    sys.modules.setdefault("numpy", _Deferred("numpy"))


class _Deferred(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what importing itself looks at
            raise AttributeError(name)
        if sys.modules.get("numpy") is self:
            del sys.modules["numpy"]
        vars(self).update(vars(importlib.import_module("numpy")))
        return vars(self)[name]
