"""Rows that belong nowhere: far from all others, or among rows of other clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.preprocessing import prepare
from imclust.core.checks import in_range
from imclust.core.records import write_csv

NEAR = 10  # neighbours whose distance says how far off a row is
REFERENCE = 10_000  # rows that distances are taken to, at most
NOWHERE = -1  # the cluster of a row that belongs nowhere


def doubts(labels: np.ndarray, spaces: list[np.ndarray], seed: int = 0) -> np.ndarray:
    """How little each row belongs to its cluster, high is doubtful.

    The mean distance to the nearest rows over the median of that in the row's cluster (a row is
    compared with its own kind, as by Breunig et al. 2000, local outlier factor; the median makes
    it one number a cluster), times one plus the share of these rows that are of other clusters.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
        Clusters in [0, k).
    spaces : list of ndarray of shape (n, d_v), float
        The same rows; means over spaces.
    seed : int
        Of the rows that distances are taken to, where there are more than REFERENCE.

    Returns
    -------
    ndarray of shape (n,), float64
        At least 0.

    Examples
    --------
    >>> x = np.repeat(np.eye(2, 3), 25, axis=0) + 0.1 * np.random.default_rng(0).random((50, 3))
    >>> x[7] = [0.3, 0.3, 1]
    >>> int(doubts(np.repeat([0, 1], 25), [x]).argmax())
    7
    """
    n = len(labels)
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:REFERENCE])
    total = np.zeros(n)
    for space in spaces:
        ready = prepare(np.asarray(space[chosen]), "power")
        rows = ready.rows if len(chosen) == n else ready.apply(np.asarray(space))
        count = min(NEAR, len(chosen) - 1)
        if len(chosen) == n:
            near, far = nearest_neighbors(rows, rows, count, same=True)
        else:  # a row of the sample is its own nearest
            near, far = (a[:, 1:] for a in nearest_neighbors(rows, ready.rows, count + 1))
        apart = far.mean(1, dtype=np.float64)
        usual = np.array([np.median(apart[labels == c]) if (labels == c).any() else 1.0
                          for c in range(int(labels.max()) + 1)])  # fmt: skip
        other = (labels[chosen][near] != labels[:, None]).mean(1)
        total += apart / np.maximum(usual[labels], 1e-12) * (1 + other)
    return total / len(spaces)


def without_doubtful(labels: np.ndarray, doubt: np.ndarray, rate: float) -> np.ndarray:
    """The clusters (n,) with NOWHERE for the share `rate` of rows of the most doubt.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int.
    doubt : np.ndarray
        (n,) float, as `doubts` gives it.
    rate : float
        In [0, 0.9].

    Raises
    ------
    InputError
        The rate is not in [0, 0.9].

    Examples
    --------
    >>> without_doubtful(np.array([0, 0, 1, 1]), np.array([0.1, 0.9, 0.2, 0.3]), rate=0.25)
    array([ 0, -1,  1,  1])
    """
    in_range("cluster", "unclustered", rate, 0.0, 0.9)
    out = np.asarray(labels).copy()
    out[np.argsort(-doubt, kind="stable")[: round(rate * len(out))]] = NOWHERE
    return out


def write_unclustered(
    folder: Path, ids: np.ndarray, labels: np.ndarray, doubt: np.ndarray, rate: float
) -> dict[str, Any]:
    """unclustered.csv: the cluster of every row, NOWHERE for those of the most doubt; for a
    manifest how many these are.

    Parameters
    ----------
    folder : Path
        Of the assignment.
    ids : np.ndarray
        (n,) str.
    labels, doubt, rate : np.ndarray, np.ndarray, float
        As for `without_doubtful`.

    Examples
    --------
    >>> import tempfile
    >>> rows = np.array(["a", "b"]), np.array([0, 1]), np.array([0.1, 0.7])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_unclustered(Path(folder), *rows, rate=0.5)
    {'unclustered': 1}
    """
    clusters = without_doubtful(labels, doubt, rate)
    table = zip(ids, clusters, (f"{d:.4f}" for d in doubt), strict=True)
    write_csv(folder / "unclustered.csv", ("id", "cluster", "doubt"), table)
    return {"unclustered": int((clusters < 0).sum())}
