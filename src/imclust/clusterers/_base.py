"""What every clusterer returns, and what centre-based ones share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Clustering:
    """A fitted clusterer: `clusterer(z, n_clusters, config, seed) -> Clustering`.

    Args:
        probabilities: (n, k) float32 of the fitted rows, rows sum to one.
        place: gives further rows (m, d) their probabilities (m, k).
        facts: what was found on the way, for the manifest.
    """

    probabilities: np.ndarray
    place: Callable[[np.ndarray], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> np.ndarray:
        """(n,) int64 in [0, k)."""
        return self.probabilities.argmax(1)


def centre_probabilities(distances: np.ndarray, dims: int, variance: float) -> np.ndarray:
    """Posterior (n, k) of equal spherical Gaussians at the centres; argmax = nearest centre.

    Args:
        distances: (n, k) Euclidean distance to each centre.
        dims: of the space. variance: mean squared distance of a row to its own centre.
    """
    import numpy as np

    scores = -0.5 * dims * distances.astype(np.float64) ** 2 / max(variance, 1e-12)
    scores -= scores.max(1, keepdims=True)
    p = np.exp(scores)
    return np.asarray(p / p.sum(1, keepdims=True), np.float32)


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


def unit_rows(z: np.ndarray) -> np.ndarray:
    """Rows (n, d) scaled to Euclidean length one; rows of zeros stay zeros."""
    import numpy as np

    length = np.linalg.norm(z, axis=1, keepdims=True)
    return np.asarray(z / np.where(length == 0, 1, length), z.dtype)
