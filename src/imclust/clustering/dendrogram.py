"""A tree over the clusters of an answer, coarser answers from it, and evidence for every image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imclust.clustering.blocks import LARGE, sample_rows
from imclust.core.checks import shaped
from imclust.core.errors import input_error

CERTAIN = 1 - 1e-3  # a posterior above this says nothing about second choices


def merge_order(probabilities: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Which clusters belong together: (k - 1, 4) float64 that scipy's `dendrogram` draws.

    L2H (arXiv 2410.07858): take the group of clusters whose images are least confident, mask it
    out of the softmax, see which group then receives the most of these images, and merge the two.
    Repeat until one group is left. A posterior that is one-hot, or nearly, has no second choices;
    distances to the centres then stand in for it, see `softened`.

    Rows are as in `scipy.cluster.hierarchy.linkage`: the two nodes merged (clusters are
    0 ... k - 1, row i makes node k + i), the height, how many clusters lie beneath. The height is
    the step, 1 ... k - 1, as L2H orders merges and measures none. A cluster without images is
    merged first. Of more than LARGE images, that many at random say it.

    Parameters
    ----------
    probabilities : np.ndarray
        (n, k) float, rows sum to one.
    z : np.ndarray
        (n, d) float, of the same images.

    Raises
    ------
    InputError
        The shapes do not fit, or there is but one cluster.
    """

    shaped("z", z, "n d", n=shaped("probabilities", probabilities, "n k")["n"])
    if len(z) > LARGE:
        chosen = sample_rows(len(z), LARGE, 0)
        probabilities, z = probabilities[chosen], z[chosen]
    p = readable(probabilities, z)
    k = p.shape[1]
    if k < 2:
        raise input_error("a tree of clusters", "of at least 2 clusters", k, "set K to 2 or more")
    own = p.argmax(1)
    node = np.arange(k)  # of the tree, to which each cluster belongs by now
    tree = np.zeros((k - 1, 4))
    for step in range(k - 1):
        weak = _least_confident(p, own, node)
        pair = sorted((weak, _receiver(p[node[own] == weak], node, weak)))
        merged = np.isin(node, pair)
        tree[step] = *pair, step + 1, merged.sum()
        node = np.where(merged, k + step, node)
    return tree


def _least_confident(p: np.ndarray, own: np.ndarray, node: np.ndarray) -> int:
    """The node that its own images give the least mass on average; empty ones first."""

    nodes = np.unique(node)
    mass = [p[node[own] == g][:, node == g].sum(1) for g in nodes]
    return int(nodes[np.argmin([m.mean() if len(m) else 0.0 for m in mass])])


def _receiver(p: np.ndarray, node: np.ndarray, weak: int) -> int:
    """The node to which most of the images with posteriors p (m, k) go when theirs is masked out.

    Each goes to its best cluster, not to the best sum over a node: sums favour what is large, and
    the tree becomes a chain.
    """

    others = np.flatnonzero(node != weak)
    goes = node[others[p[:, others].argmax(1)]]
    if not len(goes):  # no images, no evidence: any node will do
        return int(node[others[0]])
    return int(np.bincount(goes).argmax())


def readable(probabilities: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The posterior (n, k) float64, or where it is all but one-hot, that of `softened`.

    The median decides: a head that is certain of half its images has no say in their second
    choices. Arguments as in `merge_order`.
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
    return _soft(d, c, float(d[np.arange(len(c)), c].mean()))


def _soft(d: np.ndarray, c: np.ndarray, mean: float) -> np.ndarray:
    """`softened` of distances d (n, k), which are changed, of images of clusters c (n,)."""
    own = np.arange(len(c)), c
    scale = max(mean, 1e-12)
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

    centres = _Centres.of(z, c, k)
    further = z if new is None else new
    return np.concatenate([centres.distances(further[at]) for at in _pieces(len(further))])


@dataclass(frozen=True)
class _Centres:
    """Mean directions of clusters, (k, d) float64 of length 1, and which have no images (k,)."""

    points: np.ndarray
    empty: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, c: np.ndarray, k: int) -> _Centres:
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
    """Up to LARGE rows each: what is made on the way is never as long as all of them."""
    return [slice(a, min(a + LARGE, n)) for a in range(0, max(n, 1), LARGE)]


def _unit(z: np.ndarray) -> np.ndarray:
    """Rows (n, d) float64 of length 1."""

    z = np.asarray(z, np.float64)
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)


def names_at(tree: np.ndarray, k: int) -> np.ndarray:
    """The group (clusters,) int64 in [0, k) of every cluster when the tree is cut at k groups.

    Groups are numbered by their lowest cluster; `names_at(tree, k)[labels]` is the coarser answer.

    Parameters
    ----------
    tree : np.ndarray
        (clusters - 1, 4) of `merge_order`.
    k : int
        From 1 to the number of clusters.
    """

    n = len(tree) + 1
    if not 1 <= k <= n:
        raise input_error(
            "the number of groups", f"from 1 to the {n} clusters", k, "choose another"
        )
    node = np.arange(n)
    for step in range(n - k):
        node[np.isin(node, tree[step, :2])] = n + step
    _, first, group = np.unique(node, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)


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
    Arguments as in `merge_order`.
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
