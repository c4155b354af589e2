"""Evidence for every image: how sure its cluster is, the second choice, the distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imclust.core.checks import shaped

CERTAIN = 1 - 1e-3  # a posterior above this says nothing about second choices


def readable(probabilities: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The posterior (n, k) float64, or where it is all but one-hot, that of `softened`.

    The median decides: a head that is certain of half its images has no say in their second
    choices. Parameters
    ----------
    probabilities : np.ndarray
        (n, k) float, rows sum to one.
    z : np.ndarray
        (n, d) float, of the same images.
    """

    n = shaped("probabilities", probabilities, "n k")["n"]
    shaped("z", z, "n d", n=n)
    p = np.asarray(probabilities, np.float64)
    return softened(p, z) if np.median(p.max(1)) > CERTAIN else p


def softened(probabilities: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Posterior (n, k) float64 from cosine distances to the centres; the argmax stays.

    softmax(-d / s), s the mean distance of an image to its own centre: the scale on which
    neighbouring clusters differ, so that rows come out neither one-hot nor flat. An image that
    lies nearer to another centre keeps its cluster, by a hair.
    """

    c = probabilities.argmax(1)
    d = centre_distances(z, c, probabilities.shape[1])
    own = np.arange(len(c)), c
    scale = max(float(d[own].mean()), 1e-12)
    d[own] = np.minimum(d[own], d.min(1) - 1e-9)
    p = np.exp(-(d - d[own][:, None]) / scale)
    return p / p.sum(1, keepdims=True)


def centre_distances(
    z: np.ndarray, c: np.ndarray, k: int, new: np.ndarray | None = None
) -> np.ndarray:
    """(n, k) float64 in [0, 2]: cosine distance of z (n, d) to the centres of clusters c (n,) int.

    A centre is the mean of unit rows; of a cluster without images it is as far as the farthest, 2.
    With further rows `new` (m, d) it is their distances (m, k) to the centres of z.
    """

    unit = _unit(z)
    centres = np.zeros((k, unit.shape[1]))
    np.add.at(centres, c, unit)
    centres = _unit(centres)
    distances = np.clip(1 - (unit if new is None else _unit(new)) @ centres.T, 0, 2)
    distances[:, np.bincount(c, minlength=k) == 0] = 2
    return distances


def _unit(z: np.ndarray) -> np.ndarray:
    """Rows (n, d) float64 of length 1."""

    z = np.asarray(z, np.float64)
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Evidence:
    """How well each image fits its cluster.

    Parameters
    ----------
    confidence : np.ndarray
        (n,) probability of its cluster.
    runner_up : np.ndarray
        (n,) int64 the second most probable cluster.
    runner_up_probability : np.ndarray
        (n,).
    distance : np.ndarray
        (n,) cosine distance in [0, 2] to the centre of its own cluster.
    """

    confidence: np.ndarray
    runner_up: np.ndarray
    runner_up_probability: np.ndarray
    distance: np.ndarray


def per_image(probabilities: np.ndarray, z: np.ndarray) -> Evidence:
    """Confidence, second choice and distance of every image.

    Probabilities all but one-hot have no second choice to tell; those of `softened` are used then.
    Arguments as in `readable`.
    """

    p = readable(probabilities, z)
    c = p.argmax(1)
    rows = np.arange(len(p))
    others = p.copy()
    others[rows, c] = -1
    second = others.argmax(1)
    distance = centre_distances(z, c, p.shape[1])[rows, c]
    return Evidence(p[rows, c], second, np.maximum(others[rows, second], 0), distance)
