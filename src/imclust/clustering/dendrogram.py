"""Evidence for every image: how sure its cluster is, the second choice, the distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imclust.clustering.blocks import BLOCK
from imclust.clustering.preprocessing import JoinedRows
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

    Examples
    --------
    >>> readable(np.array([[0.7, 0.3], [0.2, 0.8]]), np.eye(2))
    array([[0.7, 0.3],
           [0.2, 0.8]])
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

    Examples
    --------
    >>> softened(np.eye(2), np.eye(2)).round(2)
    array([[1., 0.],
           [0., 1.]])
    """

    c = probabilities.argmax(1)
    d = centre_distances(z, c, probabilities.shape[1])
    return _soft(d, c, float(d[np.arange(len(c)), c].mean()))


def _soft(d: np.ndarray, c: np.ndarray, mean: float) -> np.ndarray:
    """`softened` of distances d (n, k), which are changed, of images of clusters c (n,)."""
    own = np.arange(len(c)), c
    scale = max(mean, 1e-12)
    d[own] = np.minimum(d[own], d.min(1) - 1e-9)
    p = np.exp(-(d - d[own][:, None]) / scale)
    return p / p.sum(1, keepdims=True)


def centre_distances(
    z: np.ndarray | JoinedRows,
    c: np.ndarray,
    k: int,
    new: np.ndarray | JoinedRows | None = None,
) -> np.ndarray:
    """(n, k) float64 in [0, 2]: cosine distance of z (n, d) to the centres of clusters c (n,) int.

    A centre is the mean of unit rows; of a cluster without images it is as far as the farthest, 2.
    With further rows `new` (m, d) it is their distances (m, k) to the centres of z.

    Parameters
    ----------
    z : np.ndarray or JoinedRows
        (n, d) rows of length one.
    c : np.ndarray
        (n,) int in [0, k), their clusters.
    k : int
        Clusters, some of which may be empty.
    new : np.ndarray or JoinedRows, optional
        (m, d) further rows.

    Examples
    --------
    >>> centre_distances(np.eye(2), np.array([0, 1]), 2)
    array([[0., 1.],
           [1., 0.]])
    """

    centres = _Centres.of(z, c, k)
    further = z if new is None else new
    return np.concatenate([centres.distances(further[at]) for at in _pieces(len(further))])


def own_distances(
    z: np.ndarray | JoinedRows,
    c: np.ndarray,
    k: int,
    further: tuple[np.ndarray | JoinedRows, np.ndarray] | None = None,
) -> np.ndarray:
    """(n,) float64 in [0, 2]: cosine distance of z (n, d) to the centre of the own cluster.

    Of very many clusters, too: nothing of the others is computed.

    Parameters
    ----------
    z : np.ndarray or JoinedRows
        (n, d) rows.
    c : np.ndarray
        (n,) int in [0, k), their clusters.
    k : int
        Clusters.
    further : tuple, optional
        Rows (m, d) and their clusters (m,), of which it is told instead.

    Examples
    --------
    >>> own_distances(np.array([[1.0, 0], [0, 1], [0, 2]]), np.array([0, 1, 1]), 2)
    array([0., 0., 0.])
    """
    points = _Centres.of(z, c, k).points
    z, c = (z, c) if further is None else further
    found = [np.einsum("ij,ij->i", _unit(z[at]), points[c[at]]) for at in _pieces(len(z))]
    return np.clip(1 - np.concatenate(found), 0, 2)


@dataclass(frozen=True)
class _Centres:
    """Mean directions of clusters, (k, d) float64 of length 1, and which have no images (k,)."""

    points: np.ndarray
    empty: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray | JoinedRows, c: np.ndarray, k: int) -> _Centres:
        """Of images z (n, d) of clusters c (n,)."""
        points = np.zeros((k, z.shape[1]))
        for at in _pieces(len(z)):
            np.add.at(points, c[at], _unit(z[at]))
        return cls(_unit(points), np.bincount(c, minlength=k) == 0)

    def distances(self, z: np.ndarray) -> np.ndarray:
        """Cosine distances (m, k) of z (m, d)."""
        d = np.clip(1 - _unit(z) @ self.points.T, 0, 2)
        d[:, self.empty] = 2
        return d


def _pieces(n: int) -> list[slice]:
    """BLOCK rows each: what is made on the way is never as long as all of them."""
    return [slice(a, min(a + BLOCK, n)) for a in range(0, max(n, 1), BLOCK)]


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


def per_image(probabilities: np.ndarray, z: np.ndarray | JoinedRows) -> Evidence:
    """Confidence, second choice and distance of every image.

    Probabilities all but one-hot have no second choice to tell; those of `softened` are used then.
    Arguments as in `readable`.

    Examples
    --------
    >>> per_image(np.array([[0.7, 0.3], [0.2, 0.8]]), np.eye(2)).runner_up
    array([1, 0])
    """

    n = shaped("probabilities", probabilities, "n k")["n"]
    shaped("z", z, "n d", n=n)
    c = np.asarray(probabilities.argmax(1))
    confidence = np.asarray(probabilities.max(1), np.float64)
    soft = bool(np.median(confidence) > CERTAIN)
    centres = _Centres.of(z, c, probabilities.shape[1])
    own = [centres.distances(z[at])[_own(c[at])] for at in _pieces(n)]
    distance = np.concatenate(own)
    scale = float(distance.mean())
    second, chance = np.empty(n, np.int64), np.empty(n)
    for at in _pieces(n):
        p = np.array(probabilities[at], np.float64)
        if soft:
            p = _soft(centres.distances(z[at]), c[at], scale)
            confidence[at] = p[_own(c[at])]
        p[_own(c[at])] = -1
        second[at] = p.argmax(1)
        chance[at] = np.maximum(p.max(1), 0)
    return Evidence(confidence, second, chance, distance)


def _own(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of some rows has what is of its own cluster c (n,)."""
    return np.arange(len(c)), c
