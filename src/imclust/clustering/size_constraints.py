"""Sizes of clusters as a prior: one offset a cluster, added to every row's log posterior."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

ROUNDS = 20
LEVELS = 10
MOVES = 200
"""Rows that are moved one by one in the end; what is left before is a handful."""
SAMPLE = 5000
"""Rows on which clusters are matched to shares; more say no more about it."""


def offsets(log_p: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(k,) offsets b such that argmax of log_p + b gives cluster c about counts[c] rows.

    Optimal transport of rows to clusters: maximise sum q_ic log p_ic + e H(q) with rows summing to
    one and columns to counts. Its solution is q_ic ~ exp((log p_ic + b_c) / e), found by Sinkhorn's
    iteration b_c += e (log counts_c - log sum_i q_ic) (Cuturi 2013), with e falling from the spread
    of the log posteriors towards 0, where q is the argmax (Asano et al. 2020 assign labels so).
    Offsets are then set one by one to where that size is exact, while it helps, and the last rows
    moved along shortest paths between clusters, which is exact.

    A function of each row alone: the order of rows does not matter, equal rows stay together, and
    new rows are treated alike. A posterior of exactly 0 is a certainty that no offset overrules.
    Where that or ties leave the sizes out of reach, they come as near as they can.

    Parameters
    ----------
    log_p : np.ndarray
        (n, k) float64, -inf allowed, not in all of a row.
    counts : np.ndarray
        (k,) int, positive, sum n.

    Examples
    --------
    >>> log_p = np.log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> (log_p + offsets(log_p, np.array([2, 2]))).argmax(1)
    array([0, 0, 1, 1])
    """

    nothing = np.zeros(log_p.shape[1])
    found = [_nearer(log_p, counts, start) for start in (nothing, _sinkhorn(log_p, counts))]
    best = min(found, key=lambda b: _miss(log_p, counts, b))
    return min(best, _settled(log_p, counts, best), key=lambda b: _miss(log_p, counts, b))


def _sinkhorn(log_p: np.ndarray, counts: np.ndarray) -> np.ndarray:

    top = np.sort(log_p, axis=1)[:, -2:]
    spread = (top[:, 1] - top[:, 0])[np.isfinite(top[:, 0])]
    e = max(1.0, float(np.quantile(spread, 0.9))) if len(spread) else 1.0
    b = np.zeros(log_p.shape[1])
    for _ in range(LEVELS):
        for _ in range(ROUNDS):
            mass = softmax((log_p + b) / e).sum(0)
            step = e * (np.log(counts) - np.log(np.maximum(mass, 1e-9)))
            b = b + step - step.mean()
            if np.abs(mass - counts).max() < 0.1:
                break
        e /= 3
    return b


def softmax(log_p: np.ndarray) -> np.ndarray:
    """(n, k) float64 log weights, -inf allowed -> rows that sum to one.

    Examples
    --------
    >>> softmax(np.log(np.array([[1.0, 3.0]]))).round(2).tolist()
    [[0.25, 0.75]]
    """

    q = np.exp(log_p - log_p.max(1, keepdims=True))
    return q / q.sum(1, keepdims=True)


def _miss(log_p: np.ndarray, counts: np.ndarray, b: np.ndarray) -> float:
    """Kullback-Leibler divergence of the sizes from the counts: emptying a cluster is worst."""

    sizes = np.bincount((log_p + b).argmax(1), minlength=len(b))
    return float((counts * np.log(counts / np.maximum(sizes, 1e-9))).sum())


def _nearer(log_p: np.ndarray, counts: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Set single offsets to where that cluster's size is exact, while the sizes come nearer."""

    k = len(b)
    miss = _miss(log_p, counts, b)
    for _ in range(3 * k):
        sizes = np.bincount((log_p + b).argmax(1), minlength=k)
        for c in np.argsort(-np.abs(sizes - counts), kind="stable"):
            trial = b.copy()
            trial[c] = _offset_of(log_p, b, int(c), int(counts[c]))
            new = _miss(log_p, counts, trial)
            if new < miss - 1e-12:
                b, miss = trial, new
                break
        else:
            break
    return b


def _offset_of(log_p: np.ndarray, b: np.ndarray, c: int, count: int) -> float:
    """The offset of cluster c at which it holds `count` rows, or the nearest number ties allow."""

    others = np.delete(log_p + b, c, axis=1).max(1)
    with np.errstate(invalid="ignore"):
        need = np.where(np.isneginf(log_p[:, c]), np.inf, others - log_p[:, c])
    need = np.clip(need, -1e6, np.inf)  # no other cluster is possible
    values, rows = np.unique(need[np.isfinite(need)], return_counts=True)
    if not len(values):
        return float(b[c])
    edges = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2, [values[-1] + 1]])
    held = np.concatenate([[0], np.cumsum(rows)])
    return float(edges[np.abs(held - count).argmin()])


def _settled(log_p: np.ndarray, counts: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Offsets of the assignment in which the last MOVES rows, too, are where the counts want them.

    Each goes from a cluster with too many to one with too few along the path of clusters that
    loses the least, so the assignment stays the best of its sizes (successive shortest paths).
    """

    labels = (log_p + b).argmax(1)
    for _ in range(MOVES):
        surplus = np.bincount(labels, minlength=len(b)) - counts
        if not surplus.any():
            break
        loss, cheapest = _losses(log_p, labels)
        far, back = _paths(loss, np.where(surplus > 0, 0.0, np.inf))
        c = int(np.where(surplus < 0, far, np.inf).argmin())
        if not np.isfinite(far[c]):
            break
        for _ in range(len(b)):  # a path is no longer
            a = int(back[c])
            if a < 0:
                break
            labels[cheapest[a, c]] = c
            c = a
    loss, _ = _losses(log_p, labels)
    loss = np.where(np.isfinite(loss), loss, loss[np.isfinite(loss)].max(initial=0.0) + 1)
    # Rows of a stay there if b_c - b_a <= loss[a, c]. Paths from and to any cluster are such b, at
    # the edge of what is possible; their mean is inside.
    for m in range(len(b)):  # Floyd and Warshall
        loss = np.minimum(loss, loss[:, m, None] + loss[m])
    return (loss.mean(0) - loss.mean(1)) / 2


def _losses(log_p: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, k) least log posterior that a row of cluster a loses by going to c, and which row."""

    k = log_p.shape[1]
    loss, row = np.full((k, k), np.inf), np.zeros((k, k), np.int64)
    for a in range(k):
        mine = np.flatnonzero(labels == a)
        if len(mine):
            cost = log_p[mine, a][:, None] - log_p[mine]
            row[a] = mine[cost.argmin(0)]
            loss[a] = cost.min(0)
    np.fill_diagonal(loss, 0)
    return loss, row


def _paths(loss: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length of the shortest path to each cluster, (k,), and the one before it, -1 at a start."""

    far, back = start.copy(), np.full(len(start), -1)
    for _ in range(len(start)):
        through = far[:, None] + loss
        new = through.min(0)
        shorter = new < far - 1e-9
        back = np.where(shorter, through.argmin(0), back)
        far = np.where(shorter, new, far)
    return far, back


def matched(log_p: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shares (k,) without names, given to the clusters that they fit: the j-th of the result is of
    cluster j.

    By size first, which moves the fewest rows; then neighbours in size are swapped where
    transport to the swapped sizes keeps more log posterior, for two clusters of about one size.

    Examples
    --------
    >>> log_p = np.log([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    >>> matched(log_p, np.array([0.7, 0.3]))
    array([0.3, 0.7])
    """

    n, k = log_p.shape
    rows = log_p[:: max(1, n // SAMPLE)]
    sizes = np.bincount(rows.argmax(1), minlength=k) + softmax(rows).mean(0)
    by_size = np.argsort(-sizes, kind="stable")
    given = np.empty(k)
    given[by_size] = np.sort(shares)[::-1]
    kept = _kept(rows, given)
    for a, b in pairwise(by_size):
        if given[a] == given[b]:
            continue
        trial = given.copy()
        trial[[a, b]] = trial[[b, a]]
        new = _kept(rows, trial)
        if new > kept + 1e-9 * abs(kept):
            given, kept = trial, new
    return given


def _kept(log_p: np.ndarray, shares: np.ndarray) -> float:
    """Sum of log posteriors after transport to the shares; -inf where that is out of reach."""

    counts = whole(shares, len(log_p))
    b = offsets(log_p, counts)
    if _miss(log_p, counts, b) > 0.01 * len(log_p):
        return -np.inf
    return float((log_p + b).max(1).sum() - counts @ b)


def whole(shares: np.ndarray, n: int) -> np.ndarray:
    """Shares (k,) of n >= k rows as whole numbers of at least 1 (largest remainders): (k,) int.

    Examples
    --------
    >>> whole(np.array([0.5, 0.3, 0.2]), 7)
    array([4, 2, 1])
    """

    exact = shares / shares.sum() * n
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    for c in np.flatnonzero(counts == 0):
        counts[counts.argmax()] -= 1
        counts[c] = 1
    return counts


def spread_to(shares: np.ndarray, n: int, effective: float) -> tuple[np.ndarray, float]:
    """Mix shares with equal ones as little as brings exp(entropy of the sizes) to `effective`.

    Returns
    -------
    tuple[np.ndarray, float]
        Counts (k,) int of n rows, and the weight of the equal shares in [0, 1]. Where n rows cannot
        reach it (k does not divide n), the evenest counts.

    Examples
    --------
    >>> spread_to(np.array([0.9, 0.1]), 100, effective=2.0)[0]
    array([50, 50])
    """

    from imclust.clustering.metrics import effective_clusters

    k = len(shares)

    def counts(weight: float) -> np.ndarray:
        return whole((1 - weight) * shares / shares.sum() + weight / k, n)

    def enough(weight: float) -> bool:
        return effective_clusters(np.repeat(np.arange(k), counts(weight)), k) >= effective

    if enough(0.0):
        return counts(0.0), 0.0
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return counts(high), high
