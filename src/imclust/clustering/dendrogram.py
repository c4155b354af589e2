"""A tree over the clusters of an answer, coarser answers from it, and evidence for every image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    merged first.

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

    p = readable(probabilities, z)
    c = p.argmax(1)
    rows = np.arange(len(p))
    others = p.copy()
    others[rows, c] = -1
    second = others.argmax(1)
    distance = centre_distances(z, c, p.shape[1])[rows, c]
    return Evidence(p[rows, c], second, np.maximum(others[rows, second], 0), distance)
