"""How far apart clusters lie, and which belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.preprocessing import unit_rows
from imclust.core.records import Features, parts_of, rows_of_ids

CHUNK = 4096
WIDEST = 40  # clusters whose distances are shown as a matrix; of more, the nearest pairs alone
PAIRS = 200


def centre_distances(
    features: Sequence[Path], ids: np.ndarray, clusters: np.ndarray, k: int
) -> Any:
    """Cosine distance (k, k) float64 in [0, 2] between the centres of clusters.

    A centre is the mean of unit rows, of all spaces side by side; rows are read in chunks. NaN for
    a cluster without images.

    Parameters
    ----------
    features : Sequence[Path]
        Artefacts that the answer was made from.
    ids : np.ndarray
        (n,) str.
    clusters : np.ndarray
        (n,) int.
    """

    total = np.zeros((k, k))
    spaces = 0
    for path in features:
        space = Features.load(path)
        at = rows_of_ids(space.ids, ids)
        for part in parts_of(path, space.x):
            centres = np.zeros((k, part.shape[1]))
            for a in range(0, len(at), CHUNK):
                rows = slice(a, a + CHUNK)
                np.add.at(centres, clusters[rows], unit_rows(part[at[rows]]))
            total += centres @ centres.T
            spaces += 1
    length = np.sqrt(np.diag(total))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(1 - total / np.outer(length, length), 0, 2)


def farthest(distances: np.ndarray | None) -> float:
    """The largest distance between clusters, above 0: the scale of the table's colours."""

    if distances is None or not np.isfinite(distances).any():
        return 1.0
    return max(float(np.nanmax(distances)), 1e-9)


def nearest_pairs(distances: np.ndarray, most: int = PAIRS) -> list[tuple[int, int, float]]:
    """The pairs of clusters that lie nearest: (one, other, distance), nearest first."""

    one, other = np.triu_indices(len(distances), 1)
    found = distances[one, other]
    order = [i for i in np.argsort(found, kind="stable") if np.isfinite(found[i])][:most]
    return [(int(one[i]), int(other[i]), float(found[i])) for i in order]


def tree(merges: list[list[float]]) -> dict[str, Any] | None:
    """The dendrogram of `hierarchy.merge_order` as lines: `x` heights, `y` places, of four points
    a merge, and the clusters in `order` from the bottom on (places 5, 15, 25, ...)."""
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
