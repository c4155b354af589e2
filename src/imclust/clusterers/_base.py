"""What every clusterer returns, and what centre-based ones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np


M = TypeVar("M", bound=Callable[..., Any])
Rows: TypeAlias = "np.ndarray | list[np.ndarray]"
"""Rows (n, d) of one space, or of several spaces (n, d1), (n, d2), ..., side by side."""


def several_spaces(method: M) -> M:
    """Decorator of a clusterer that takes a list of spaces as they are; it must take one array too.

    All others are given one array, see `as_input`.
    """
    method.several_spaces = True  # type: ignore[attr-defined]
    return method


def as_input(method: Callable[..., Any], spaces: list[np.ndarray]) -> Rows:
    """What a clusterer is given of `spaces`, each (n, d_v), row i of the same image in each.

    A single space goes through unchanged. Several go as they are to methods that take several;
    for others they stand side by side, (n, d_1 + d_2 + ...), rows brought to length
    1 / sqrt(number of spaces) in each, so that every space counts the same and rows are of length
    one in all.
    """
    import numpy as np

    if len(spaces) == 1:
        return spaces[0]
    if getattr(method, "several_spaces", False):
        return spaces
    return np.hstack([unit_rows(s) for s in spaces]) / np.float32(len(spaces) ** 0.5)


def unit_rows(z: np.ndarray) -> np.ndarray:
    """(n, d) float32 with rows of length 1; rows of zeros stay."""
    import numpy as np

    z = np.asarray(z, np.float32)
    norm = np.linalg.norm(z, axis=1, keepdims=True)
    return z / np.where(norm == 0, np.float32(1), norm)


@dataclass(frozen=True)
class Clustering:
    """A fitted clusterer: `clusterer(z, n_clusters, config, seed) -> Clustering`.

    z is an array (n, d) float32; methods marked `@several_spaces` may be given a list of them.

    Args:
        probabilities: (n, k) float of the fitted rows, rows sum to one; float64 where float32
            would make certain ones equal, since priors move the least certain rows first.
        place: gives further rows (m, d), or lists of them as z was one, probabilities (m, k).
        facts: what was found on the way, for the manifest.
    """

    probabilities: np.ndarray
    place: Callable[[Any], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> np.ndarray:
        """(n,) int64 in [0, k)."""
        return self.probabilities.argmax(1)


def centre_probabilities(distances: np.ndarray, dims: int, variance: float) -> np.ndarray:
    """Posterior (n, k) float64 of equal spherical Gaussians at the centres; argmax = the nearest.

    Differences of more than 600 in the logarithm count by their own logarithm beyond it: in
    thousands of dims all others would be exactly 0, and which row is the less certain be lost.

    Args:
        distances: (n, k) Euclidean distance to each centre.
        dims: of the space. variance: mean squared distance of a row to its own centre.
    """
    import numpy as np

    scores = -0.5 * dims * distances.astype(np.float64) ** 2 / max(variance, 1e-12)
    scores -= scores.max(1, keepdims=True)
    p = np.exp(np.maximum(scores, -600) - 10 * np.log1p(np.maximum(-600 - scores, 0) / 10))
    return np.asarray(p / p.sum(1, keepdims=True))


def centre_clustering(solver: Any, z: np.ndarray) -> Clustering:
    """Fit one of scikit-learn's k-means family to z (n, d) and wrap what it found."""
    import numpy as np

    distances = solver.fit(np.asarray(z)).transform(z)
    variance = float((distances.min(1) ** 2).mean())

    def probabilities(distances: np.ndarray) -> np.ndarray:
        return centre_probabilities(distances, z.shape[1], variance)

    return Clustering(
        probabilities(distances),
        lambda new: probabilities(solver.transform(new)),
        {"inertia": round(float(solver.inertia_), 4)},
    )
