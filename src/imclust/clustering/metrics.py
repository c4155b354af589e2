"""Numbers about an assignment: against labels, and without any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from imclust.core.errors import input_error

TABLE = 16_000_000  # numbers of a block of contingency tables: 128 MiB


def contingency(y: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Counts (classes, clusters) int64 of two labellings (n,) of the same rows.

    Examples
    --------
    >>> contingency(np.array([0, 0, 1]), np.array([1, 1, 0])).tolist()
    [[0, 2], [1, 0]]
    """

    if len(y) != len(c) or not len(y):
        raise input_error("labels", f"one a row ({len(c)} rows)", len(y), "check the labels file")
    classes, yi = np.unique(y, return_inverse=True)
    clusters, ci = np.unique(c, return_inverse=True)
    m = np.zeros((len(classes), len(clusters)), np.int64)
    np.add.at(m, (yi, ci), 1)
    return m


def hungarian_accuracy(y: np.ndarray, c: np.ndarray) -> float:
    """Accuracy in [0, 1] under the best one-to-one naming of clusters (Kuhn 1955).

    Examples
    --------
    >>> hungarian_accuracy(np.array([0, 0, 1]), np.array([1, 1, 0]))
    1.0
    """
    from scipy.optimize import linear_sum_assignment

    m = contingency(y, c)
    return float(m[linear_sum_assignment(m, maximize=True)].sum() / len(y))


def best_binary_accuracy(y: np.ndarray, c: np.ndarray) -> float:
    """max(acc, 1 - acc) in [0.5, 1] for labels 0/1: the better of submission and inverted twin.

    Examples
    --------
    >>> best_binary_accuracy(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]))
    0.75
    """

    for name, v in (("labels", y), ("clusters", c)):
        if not set(np.unique(v).tolist()) <= {0, 1}:
            raise input_error(
                name, "0 or 1 for max(acc, 1-acc)", np.unique(v)[:5].tolist(), "use K=2"
            )
    acc = float((y == c).mean())
    return max(acc, 1 - acc)


def nmi(y: np.ndarray, c: np.ndarray) -> float:
    """Normalised mutual information in [0, 1], arithmetic mean.

    Examples
    --------
    >>> nmi(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(y, c, average_method="arithmetic"))


def ari(y: np.ndarray, c: np.ndarray) -> float:
    """Adjusted Rand index in [-0.5, 1], 0 at chance (Hubert and Arabie 1985).

    Examples
    --------
    >>> ari(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(y, c))


def label_scores(y: np.ndarray, c: np.ndarray) -> dict[str, float]:
    """All numbers against labels. y, c: (n,) int; two classes and clusters 0/1 add `accuracy`.

    Examples
    --------
    >>> sorted(label_scores(np.array([0, 0, 1]), np.array([1, 1, 0])))
    ['accuracy', 'ari', 'hungarian', 'nmi']
    """

    scores = {"hungarian": hungarian_accuracy(y, c), "nmi": nmi(y, c), "ari": ari(y, c)}
    if set(np.unique(y).tolist()) | set(np.unique(c).tolist()) <= {0, 1}:
        scores = {"accuracy": best_binary_accuracy(y, c)} | scores
    return scores


def size_entropy(c: np.ndarray, n_clusters: int) -> float:
    """Entropy of the cluster sizes over log K, in [0, 1]; 1 when all are of one size.

    Examples
    --------
    >>> size_entropy(np.array([0, 0, 1, 1]), 2)
    1.0
    """

    p = np.bincount(c, minlength=n_clusters) / len(c)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum() / np.log(n_clusters))


def cosine_silhouette(x: np.ndarray, c: np.ndarray, *, chunk: int = 4096) -> float:
    """Mean silhouette in [-1, 1] under cosine distance, exact, in O(n k d) instead of O(n^2 d).

    The mean cosine distance of a row to a cluster is 1 minus its product with the sum of that
    cluster's unit vectors over the cluster's size, so the k sums suffice (Rousseeuw 1987 for the
    silhouette). Rows of single-member clusters count 0, as in scikit-learn.

    Parameters
    ----------
    x : np.ndarray
        (n, d) float, read `chunk` rows at a time; rows of zeros count as orthogonal to all.
    c : np.ndarray
        (n,) int in [0, k).

    Examples
    --------
    >>> cosine_silhouette(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 1, 1]))
    1.0
    """

    n, k = len(x), int(c.max()) + 1
    sizes = np.bincount(c, minlength=k).astype(np.float64)
    sums = np.zeros((k, x.shape[1]))
    for rows, u in _unit_blocks(x, chunk):
        np.add.at(sums, c[rows], u)
    total = 0.0
    for rows, u in _unit_blocks(x, chunk):
        own = np.arange(len(u)), c[rows]
        dot = u @ sums.T
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = 1 - dot / sizes
            self_product = (u * u).sum(1)
            a = 1 - (dot[own] - self_product) / (sizes[c[rows]] - 1)
        mean[:, sizes == 0] = np.inf
        mean[own] = np.inf
        b = mean.min(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            s = (b - a) / np.maximum(a, b)
        total += float(np.where(sizes[c[rows]] > 1, np.nan_to_num(s), 0).sum())
    return total / n


def _unit_blocks(x: np.ndarray, chunk: int) -> Iterator[tuple[slice, np.ndarray]]:

    for a in range(0, len(x), chunk):
        block = np.asarray(x[a : a + chunk], np.float64)
        norm = np.linalg.norm(block, axis=1, keepdims=True)
        yield slice(a, a + len(block)), block / np.where(norm == 0, 1, norm)


def pairwise_ari(runs: list[np.ndarray]) -> np.ndarray:
    """Adjusted Rand index of every two labellings (n,) of the same rows: (m, m), ones inside.

    All contingency tables at once, as blocks of products of one-hot labels.

    Examples
    --------
    >>> pairwise_ari([np.array([0, 0, 1]), np.array([1, 1, 0])]).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    from scipy.sparse import csr_array

    n, m, sizes = len(runs[0]), len(runs), [int(c.max()) + 1 for c in runs]
    starts = np.cumsum([0, *sizes])
    columns = np.concatenate([c + a for c, a in zip(runs, starts, strict=False)])
    rows = np.tile(np.arange(n), m)
    hot = csr_array((np.ones(len(rows)), (rows, columns)), (n, starts[-1])).tocsc()
    together = np.empty((m, m))
    most = max(1, TABLE // max(int(starts[-1]), 1))  # columns at a time
    low = 0
    while low < m:
        high = max(low + 1, int(np.searchsorted(starts, starts[low] + most, "right")) - 1)
        pairs = _pairs((hot[:, starts[low] : starts[high]].T @ hot).toarray())
        first = starts[low:high] - starts[low]
        together[low:high] = np.add.reduceat(np.add.reduceat(pairs, starts[:-1], 1), first, 0)
        low = high
    alone = np.array([_pairs(np.bincount(c)).sum() for c in runs])
    chance = np.outer(alone, alone) / max(_pairs(n), 1)
    largest = (alone[:, None] + alone[None]) / 2
    room = largest - chance
    return np.where(room > 0, (together - chance) / np.where(room > 0, room, 1), 1.0)


def _pairs(count: Any) -> Any:
    return count * (count - 1) / 2


def mean_pairwise_ari(runs: list[np.ndarray]) -> float:
    """Stability: mean adjusted Rand index over all pairs of labellings (n,) of the same rows.

    Examples
    --------
    >>> mean_pairwise_ari([np.array([0, 0, 1]), np.array([1, 1, 0])])
    1.0
    """

    return float(pairwise_ari(runs)[np.triu_indices(len(runs), 1)].mean())


def effective_clusters(clusters: np.ndarray, n_clusters: int) -> float:
    """exp(entropy of the sizes), in [1, k]: k for equal clusters, 1 when one holds everything.

    Parameters
    ----------
    clusters : np.ndarray
        (n,) int in [0, k).

    Examples
    --------
    >>> round(effective_clusters(np.array([0, 0, 1, 1]), 2), 6)
    2.0
    """

    return float(np.exp(size_entropy(clusters, n_clusters) * np.log(n_clusters)))
