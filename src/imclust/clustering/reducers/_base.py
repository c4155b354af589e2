"""What every reducer returns, and what spectral ones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Reduction:
    """A fitted reducer: `reducer(x, config, seed) -> Reduction`.

    Args:
        embedding: (n, k) float32 of the rows it was fitted on.
        place: puts further rows (m, d) into the same space: (m, k) float32.
        facts: what was chosen on the way, for the manifest.
    """

    embedding: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)


def fix_signs(vectors: np.ndarray) -> np.ndarray:
    """Columns (n, k) turned so that their largest entry by magnitude is positive.

    Eigenvectors are defined up to sign; without this, two solvers mirror each other's pictures.
    """

    peak = np.abs(vectors).argmax(0)
    signs = np.sign(vectors[peak, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1, signs).astype(vectors.dtype)
