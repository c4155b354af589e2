"""One clustering out of many: shared groups of the runs, aligned votes, and a retrained head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imclust.clustering.eigenpairs import leading_eigenpairs

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SHRINKAGE = 0.3  # of the covariance within clusters towards a multiple of the identity


def coassociation_consensus(runs: list[np.ndarray], k: int, seed: int) -> np.ndarray:
    """Consensus by co-association: (n,) int64 in [0, k).

    Spectral clustering of the n x n matrix that counts how often two rows share a cluster (Fred
    and Jain 2005), each time over the cluster's size, by way of the bipartite graph of rows and
    clusters (Fern and Brodley 2004), which has the same eigenvectors at a cost linear in n.

    Parameters
    ----------
    runs : list[np.ndarray]
        (n,) int each.

    Examples
    --------
    >>> runs = [np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 0, 2, 2])]
    >>> coassociation_consensus(runs, 3, seed=0)
    array([2, 2, 0, 0, 1, 1])
    """
    from scipy.sparse import csr_array
    from sklearn.cluster import KMeans

    from imclust.clustering.preprocessing import unit_rows

    n, sizes = len(runs[0]), [int(c.max()) + 1 for c in runs]
    starts = np.cumsum([0, *sizes])
    columns = np.concatenate([c + a for c, a in zip(runs, starts, strict=False)])
    counts = np.maximum(np.bincount(columns, minlength=starts[-1]), 1)
    entries = 1 / np.sqrt(counts[columns])
    hot = csr_array((entries, (np.tile(np.arange(n), len(runs)), columns)), (n, starts[-1]))
    left = _left_vectors(hot, k, seed)
    return KMeans(k, n_init=10, random_state=seed).fit_predict(unit_rows(left)).astype(np.int64)


def _left_vectors(hot: csr_array, k: int, seed: int) -> np.ndarray:
    """The k leading left singular vectors (n, k) of rows times clusters."""
    from scipy.sparse.linalg import ArpackError, svds

    if k >= min(hot.shape) - 1:
        return np.asarray(np.linalg.svd(hot.toarray(), full_matrices=False)[0][:, :k])
    start = np.random.default_rng(seed).standard_normal(min(hot.shape))
    try:
        return np.asarray(svds(hot, k=k, v0=start)[0])
    except (
        ArpackError
    ):  # Lanczos' method may end where runs agree in nearly all; few columns do not
        values, right = leading_eigenpairs((hot.T @ hot).toarray(), k)
        return np.asarray(hot @ right / np.sqrt(np.maximum(values, np.finfo(float).tiny)))


def align_labels(labels: np.ndarray, reference: np.ndarray, k: int) -> np.ndarray:
    """The same clusters under the names of the reference's that they share most rows with.

    Parameters
    ----------
    labels, reference : np.ndarray
        (n,) int in [0, k).
    k : int
        Clusters.

    Examples
    --------
    >>> align_labels(np.array([1, 1, 0]), np.array([0, 0, 1]), 2).tolist()
    [0, 0, 1]
    """
    return aligned_names(labels, reference, k)[labels]


def aligned_names(labels: np.ndarray, reference: np.ndarray, k: int) -> np.ndarray:
    """The reference's cluster (k,) that each cluster shares most rows with, one each.

    Examples
    --------
    >>> aligned_names(np.array([1, 1, 0]), np.array([0, 0, 1]), 2).tolist()
    [1, 0]
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (labels, reference), 1)
    return np.asarray(linear_sum_assignment(counts, maximize=True)[1])


def vote_shares(runs: list[np.ndarray], reference: np.ndarray, k: int) -> np.ndarray:
    """Share (n, k) float64 of runs that put a row into each cluster, aligned to the reference.

    Parameters
    ----------
    runs : list of np.ndarray
        (n,) int in [0, k) each.
    reference : np.ndarray
        (n,) int in [0, k), whose names count.
    k : int
        Clusters.

    Examples
    --------
    >>> vote_shares([np.array([0, 1]), np.array([1, 0])], np.array([0, 1]), 2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    return np.mean([np.eye(k)[align_labels(run, reference, k)] for run in runs], axis=0)


def lda_self_training(
    rows: np.ndarray, labels: np.ndarray, k: int, trust: np.ndarray | None = None, rounds: int = 4
) -> np.ndarray:
    """Labels that a light adapter, trained on them, makes of themselves: (n,) int64.

    The adapter is a discriminant projection to k - 1 directions with shrunk covariance (Fisher
    1936; Ledoit and Wolf 2004 for shrinkage); rows join the nearest cluster mean there, and the
    adapter learns again (adaptive dimension reduction of Ding and Li 2007).

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float.
    labels : np.ndarray
        (n,) int, all of [0, k) used.
    trust : np.ndarray | None, optional
        (n,) of each label; the adapter learns from the better half of every cluster first, and from
        all rows in the later rounds. All count at once unless given.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([[0], [9]], 20, axis=0)
    >>> wrong = np.repeat([0, 1], 20)
    >>> wrong[0] = 1
    >>> lda_self_training(x, wrong, 2)[:3]
    array([0, 0, 0])
    """
    from sklearn.cluster import KMeans
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    from imclust.clustering.preprocessing import principal, unit_rows

    if len(rows) <= 3 * k:
        return labels
    shrinkage, width = SHRINKAGE, rows.shape[1]
    if len(rows) < width:  # all that differs lies in fewer directions than there are columns
        mean, axes, _ = principal(rows, width)
        rows = (rows - mean) @ axes
        # The same share of the mean variance, which is a mean over all columns.
        odds = SHRINKAGE / (1 - SHRINKAGE) * rows.shape[1] / width
        shrinkage = odds / (1 + odds)
    for turn in range(rounds):
        taught = _trusted(labels, trust, k) if trust is not None and turn == 0 else slice(None)
        adapter = LinearDiscriminantAnalysis(
            solver="eigen", shrinkage=shrinkage, n_components=min(k - 1, rows.shape[1])
        )
        try:
            projected = adapter.fit(rows[taught], labels[taught]).transform(rows)
        except np.linalg.LinAlgError:  # clusters without any width: there is nothing to learn
            return labels
        if k > 2:  # with one direction, lengths are all there is
            projected = unit_rows(projected)
        means = np.array([projected[labels == c].mean(0) for c in range(k)])
        found = KMeans(k, init=means, n_init=1).fit_predict(projected)
        if len(np.unique(found)) < k or (found == labels).all():
            return labels
        labels = found.astype(np.int64)
    return labels


def _trusted(labels: np.ndarray, trust: np.ndarray, k: int) -> np.ndarray:
    """(n,) bool: rows of at least the median trust of their cluster."""

    keep = np.zeros(len(labels), bool)
    for c in range(k):
        mine = labels == c
        keep |= mine & (trust >= np.median(trust[mine]))
    return keep
