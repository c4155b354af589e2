"""How far apart clusters lie, and which belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.npy import open_npy

WIDEST = 40  # clusters whose distances are shown as a matrix; of more, the nearest pairs alone
PAIRS = 200


def distances_of(assignment: Path) -> np.ndarray | None:
    """How far apart the clusters of an assignment are: (k, k) float32 in [0, 1], see `ClusterTree`.

    None of an assignment that has none, such as one by `predict` or `link`.

    Examples
    --------
    >>> distances_of(Path("run/clusters")).shape
    (2, 2)
    """
    if "apart.npy" not in read_manifest(assignment)["files"]:
        return None
    return np.array(open_npy(artifact_file(assignment, "apart.npy")))


def without_empty(
    merges: list[list[float]], sizes: Sequence[int]
) -> tuple[list[list[float]], list[int]]:
    """The merges of a `ClusterTree` among clusters that have images, and which these are.

    Parameters
    ----------
    merges : list of list of float
        Rows (one, other, height, leaves), as scipy has them.
    sizes : sequence of int
        (k,) images of each cluster.

    Examples
    --------
    >>> without_empty([[0, 1, 0.2, 2], [2, 3, 0.7, 3]], [4, 0, 9])
    ([[1, 0, 0.7, 2]], [0, 2])
    """
    there = [c for c, size in enumerate(sizes) if size]
    # Of each node its new number, and how many leaves it has.
    at = {c: (n, 1) for n, c in enumerate(there)}
    kept: list[list[float]] = []
    for n, (one, other, height, _) in enumerate(merges):
        both = [at[int(c)] for c in (one, other) if int(c) in at]
        if len(both) == 2:
            leaves = both[0][1] + both[1][1]
            at[len(sizes) + n] = (len(there) + len(kept), leaves)
            kept.append([both[0][0], both[1][0], height, leaves])
        elif both:
            at[len(sizes) + n] = both[0]
    return kept, there


def farthest(distances: np.ndarray | None) -> float:
    """The largest distance between clusters, above 0: the scale of the table's colours.

    Examples
    --------
    >>> farthest(np.array([[0, 0.5], [0.5, 0]]))
    0.5
    """

    if distances is None or not np.isfinite(distances).any():
        return 1.0
    return max(float(np.nanmax(distances)), 1e-9)


def nearest_pairs(distances: np.ndarray, most: int = PAIRS) -> list[tuple[int, int, float]]:
    """The pairs of clusters that lie nearest: (one, other, distance), nearest first.

    Examples
    --------
    >>> nearest_pairs(np.array([[0, 0.5, 0.2], [0.5, 0, 0.9], [0.2, 0.9, 0]]), most=2)
    [(0, 2, 0.2), (0, 1, 0.5)]
    """

    one, other = np.triu_indices(len(distances), 1)
    found = distances[one, other]
    order = [i for i in np.argsort(found, kind="stable") if np.isfinite(found[i])][:most]
    return [(int(one[i]), int(other[i]), float(found[i])) for i in order]


def tree(merges: list[list[float]], sizes: Sequence[int]) -> dict[str, Any] | None:
    """The dendrogram of a `ClusterTree` as lines: `x` heights, `y` places, of four points
    a merge, and the clusters in `order` from the bottom on (places 5, 15, 25, ...). Clusters
    without images are not in it.

    Examples
    --------
    >>> drawn = tree([[0, 1, 0.2, 2], [2, 3, 0.7, 3]], [5, 5, 5])
    >>> drawn["order"], len(drawn["x"])
    ([2, 0, 1], 2)
    """
    from scipy.cluster.hierarchy import dendrogram

    merges, there = without_empty(merges, sizes)
    if not merges:
        return None
    import sys

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 10 * len(merges) + 1000))  # scipy walks the tree so
    try:
        drawn = dendrogram(merges, no_plot=True)
    finally:
        sys.setrecursionlimit(before)
    return {
        "x": drawn["dcoord"],
        "y": drawn["icoord"],
        "order": [there[n] for n in drawn["leaves"]],
    }
