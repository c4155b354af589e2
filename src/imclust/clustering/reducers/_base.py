"""What every reducer returns, and what spectral ones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imclust.core.errors import input_error


@dataclass(frozen=True)
class Reduction:
    """A fitted reducer: `reducer(x, config, seed) -> Reduction`.

    Parameters
    ----------
    embedding : np.ndarray or None
        (n, k) float32 of the rows it was fitted on; None of very many, which `predict` places.
    predict : Callable
        Puts further rows (m, d) into the same space: (m, k) float32.
    facts : dict[str, Any]
        What was chosen on the way, for the manifest.
    """

    embedding: np.ndarray | None
    predict: Callable[[np.ndarray], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)

    def of_fitted(self, x: np.ndarray) -> np.ndarray:
        """The rows x (n, d) that it was fitted on, in the new space: (n, k) float32."""
        return self.predict(x) if self.embedding is None else self.embedding


def component_count(wanted: int | None, default: int, possible: int) -> int:
    """How many components to take.

    Parameters
    ----------
    wanted : int or None
        As it was given; None for the default, or for all that there are where those are fewer.
    default, possible : int
        The method's own number, and the largest that the data allow.

    Raises
    ------
    InputError
        More are wanted than possible.

    Examples
    --------
    >>> component_count(None, 64, 20)
    20
    """
    if wanted is None:
        return min(default, possible)
    if wanted > possible:
        allowed = f"at most {possible}, the rows or columns that there are"
        raise input_error("--components", allowed, wanted, "lower it or leave it out")
    return wanted


def fix_signs(vectors: np.ndarray) -> np.ndarray:
    """Columns (n, k) turned so that their largest entry by magnitude is positive.

    Eigenvectors are defined up to sign; without this, two solvers mirror each other's pictures.
    """

    peak = np.abs(vectors).argmax(0)
    signs = np.sign(vectors[peak, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1, signs).astype(vectors.dtype)
