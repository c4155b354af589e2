"""How far apart clusters lie, and which belong together."""

from __future__ import annotations

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
    return np.asarray(open_npy(artifact_file(assignment, "apart.npy")))


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


def tree(merges: list[list[float]]) -> dict[str, Any] | None:
    """The dendrogram of a `ClusterTree` as lines: `x` heights, `y` places, of four points
    a merge, and the clusters in `order` from the bottom on (places 5, 15, 25, ...).

    Examples
    --------
    >>> drawn = tree([[0, 1, 0.2, 2], [2, 3, 0.7, 3]])
    >>> drawn["order"], len(drawn["x"])
    ([2, 0, 1], 2)
    """
    from scipy.cluster.hierarchy import dendrogram

    if not merges:
        return None
    import sys

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 10 * len(merges) + 1000))  # scipy walks the tree so
    try:
        drawn = dendrogram(merges, no_plot=True)
    finally:
        sys.setrecursionlimit(before)
    return {"x": drawn["dcoord"], "y": drawn["icoord"], "order": list(map(int, drawn["leaves"]))}
