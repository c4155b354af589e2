"""Which rows stand for their clusters: those nearest the centre, and some that are spread."""

from __future__ import annotations

import numpy as np

OF_CLUSTER = 32  # rows; names by these are as good as by all, by 16 a little worse
FEWEST = 8  # rows of a cluster below which they say too little
MOST = 400  # rows in all


def typical_rows(clusters: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Rows of each cluster, half of them the nearest to its centre, half in even steps from there
    to the farthest; none where there are so many clusters that FEWEST of each are more than MOST.

    Parameters
    ----------
    clusters : np.ndarray
        (n,) int.
    distance : np.ndarray
        (n,) float, of each row from its cluster's centre.

    Returns
    -------
    np.ndarray
        (m,) int64, ascending.

    Examples
    --------
    >>> typical_rows(np.zeros(100, int), np.arange(100.0))[12:20].tolist()
    [12, 13, 14, 15, 16, 22, 27, 33]
    """
    numbers = np.unique(clusters)
    few = min(OF_CLUSTER, MOST // max(1, len(numbers)))
    if few < FEWEST:
        return np.zeros(0, np.int64)
    found = []
    for c in numbers:
        mine = np.flatnonzero(clusters == c)
        mine = mine[np.argsort(distance[mine], kind="stable")]
        near, rest = mine[: few // 2], mine[few // 2 :]
        spread = np.linspace(0, len(rest) - 1, min(few - few // 2, len(rest))).round().astype(int)
        found += [near, rest[spread]]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
