"""Row order as evidence: whether it carries any, blocks of rows, and posteriors smoothed along it.

Frames of one video and files that were written class by class lie in an order that says something
about their clusters. Nothing here is used unless it is asked for, except the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from imclust.core.errors import input_error

SIGNIFICANT = 1e-3
DISTINCT = 12
"""Clusters up to which every segment must be another one: there are 2^K sets of them."""
CELLS = 2**26
"""Numbers that a table of a dynamic program may have: 512 MiB. Longer inputs go in in blocks."""
BLOCKS = 2000
"""Blocks of rows that `feature_segments` compares in pairs: 32 MB a table."""
NOISE = 0.05
"""Share of rows whose posterior is taken to say nothing: bounds what one row can weigh."""


@dataclass(frozen=True)
class OrderSignal:
    """Whether neighbours in row order share a cluster more often than the sizes imply.

    Parameters
    ----------
    share : float
        Of the n - 1 neighbouring pairs that share a cluster, in [0, 1].
    expected : float
        That share if rows lay in random order.
    z : float
        Standard deviations between the two.
    p : float
        Of at least that many in random order.
    """

    share: float
    expected: float
    z: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether random order explains it with probability under 0.001."""
        return self.p < SIGNIFICANT

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        chance = f"p = {self.p:.1g}" if self.p > 1e-300 else "p < 1e-300"
        found = (
            f"{self.share:.1%} of neighbouring rows share a cluster, {self.expected:.1%} expected "
            f"of random order (z = {self.z:.1f}, {chance})"
        )
        if self.significant:
            return f"row order carries signal: {found}"
        return f"row order carries no signal: {found}"


def order_signal(labels: np.ndarray) -> OrderSignal:
    """Test whether rows of one cluster lie together: the number of runs against random order.

    With n_c rows of cluster c, random order has R = n - sum n_c (n_c - 1) / n runs on average, with
    the variance below (Wald and Wolfowitz 1940 for two kinds, Mood 1940 for more); normal
    approximation, one-sided. A single cluster, or a row each, says nothing: p = 1.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int, or posteriors (n, k) whose argmax is taken, in row order.

    Examples
    --------
    >>> bool(order_signal(np.repeat([0, 1, 2], 20)).p < 0.01)
    True
    """
    import math

    c = labels.argmax(1) if labels.ndim == 2 else labels
    n = float(len(c))
    sizes = np.unique(c, return_counts=True)[1].astype(np.float64) if n else np.zeros(0)
    if n < 3 or len(sizes) < 2:
        return OrderSignal(1.0, 1.0, 0.0, 1.0)
    equal = float((c[1:] == c[:-1]).sum())
    squares, cubes = float((sizes**2).sum()), float((sizes**3).sum())
    mean = (squares - n) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n * n * (n - 1))
    z = (equal - mean) / math.sqrt(variance) if variance > 1e-9 else 0.0
    return OrderSignal(equal / (n - 1), mean / (n - 1), z, 0.5 * math.erfc(z / math.sqrt(2)))


def sceptical(p: np.ndarray) -> np.ndarray:
    """log((1 - NOISE) p + NOISE / k): (n, k) float64 in which a wrong certainty costs little.

    Posteriors of one row each are overconfident: unbounded, a single outlier would outvote the
    hundred rows around it.

    Examples
    --------
    >>> np.exp(sceptical(np.array([[1.0, 0.0]]))).round(3)
    array([[0.975, 0.025]])
    """

    return np.log((1 - NOISE) * np.asarray(p, np.float64) + NOISE / p.shape[1])


def segments(log_p: np.ndarray) -> np.ndarray:
    """The best cut of the rows into exactly k contiguous segments, a cluster each: labels (n,).

    Maximises the sum of log posteriors by dynamic programming. Up to 12 clusters, every segment is
    of another one: F[S, i] = max over c in S and j < i of F[S - c, j] + sum log_p[j:i, c], in
    O(n k 2^k). Above, only neighbouring segments differ, in O(n k^2). A table holds 2^k n or
    k^2 n numbers; where those exceed 2^26, rows go in in equal blocks and cuts lie between blocks.

    Parameters
    ----------
    log_p : np.ndarray
        (n, k) float, finite, n >= k.

    Examples
    --------
    >>> segments(np.log([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]))
    array([0, 0, 0, 1, 1])
    """

    n, k = log_p.shape
    if not 1 <= k <= n:
        raise input_error("rows", f"at least as many as segments ({k})", n, "take a smaller K")
    states = 2**k if k <= DISTINCT else k * k
    block = max(1, min(n // k, -(-n * states // CELLS)))
    edges = np.append(np.arange(0, n - block + 1, block), n)
    total = np.zeros((len(edges), k))
    np.cumsum(np.add.reduceat(log_p.astype(np.float64), edges[:-1], axis=0), axis=0, out=total[1:])
    cuts = _distinct_cuts(total) if k <= DISTINCT else _layered_cuts(total)
    labels = np.empty(n, np.int64)
    for start, stop, c in cuts:
        labels[edges[start] : edges[stop]] = c
    return labels


def _reach(before: np.ndarray, total: np.ndarray) -> np.ndarray:
    """best[i] = total[i] + max over j < i of before[j] - total[j]; -inf where there is no j."""

    best = np.full_like(total, -np.inf)
    best[1:] = total[1:] + np.maximum.accumulate(before - total, axis=0)[:-1]
    return best


def _distinct_cuts(total: np.ndarray) -> list[tuple[int, int, int]]:
    """(start, stop, cluster) of segments that use every cluster once; total: (m + 1, k) sums."""

    m, k = len(total) - 1, total.shape[1]
    best = np.full((2**k, m + 1), -np.inf)
    best[0, 0] = 0
    for s in range(1, 2**k):
        for c in range(k):
            if s >> c & 1:
                np.maximum(best[s], _reach(best[s ^ 1 << c], total[:, c]), out=best[s])
    cuts, s, stop = [], 2**k - 1, m
    while s:
        options = [((best[s ^ 1 << c, :stop] - total[:stop, c]), c) for c in range(k) if s >> c & 1]
        gain, c = max(options, key=lambda o: o[0].max() + total[stop, o[1]])
        start = int(gain.argmax())
        cuts.append((start, stop, c))
        s, stop = s ^ 1 << c, start
    return cuts


def _layered_cuts(total: np.ndarray) -> list[tuple[int, int, int]]:
    """The same for k segments of which only neighbours must differ."""

    m, k = len(total) - 1, total.shape[1]
    best = np.full((k, m + 1, k), -np.inf)  # [segments - 1, rows, cluster of the last one]
    before = np.where(np.arange(m + 1)[:, None] == 0, 0.0, np.full((m + 1, k), -np.inf))
    for s in range(k):
        best[s] = _reach(before, total)
        before = _best_other(best[s])
    stop, c = m, int(best[k - 1, m].argmax())
    cuts = []
    for s in range(k - 1, 0, -1):
        start = int((_best_other(best[s - 1])[:stop, c] - total[:stop, c]).argmax())
        cuts.append((start, stop, c))
        others = best[s - 1, start].copy()
        others[c] = -np.inf
        stop, c = start, int(others.argmax())
    return [*cuts, (0, stop, c)]


def _best_other(best: np.ndarray) -> np.ndarray:
    """(m, k): the largest value of each row outside of each column."""

    top = best.argmax(1)
    rows = np.arange(len(best))
    rest = best.copy()
    rest[rows, top] = -np.inf
    out = np.repeat(best[rows, top][:, None], best.shape[1], axis=1)
    out[rows, top] = rest.max(1)
    return out


def feature_segments(x: np.ndarray, k: int) -> np.ndarray:
    """Cut the rows into k contiguous segments of least squared error around their means: (n,).

    The least-squares partition of a sequence (Fisher 1958), which needs no clusterer. Exact for
    n <= 2000 by dynamic programming in O(n^2 (d + k)); longer inputs are cut between blocks first,
    and every cut is then moved to its best row within a block's length until none moves.

    Parameters
    ----------
    x : np.ndarray
        (n, d) float, in row order; memory-mapped or not.
    k : int
        Segments, 1 <= k <= n.

    Returns
    -------
    np.ndarray
        The number of each row's segment, 0 to k - 1, ascending.

    Examples
    --------
    >>> feature_segments(np.array([[0.0], [0.1], [5.0], [5.1], [9.0]]), 3)
    array([0, 0, 1, 1, 2])
    """

    n = len(x)
    if not 1 <= k <= n:
        raise input_error("rows", f"at least as many as segments ({k})", n, "take a smaller K")
    block = min(n // k, -(-n // BLOCKS))
    edges = np.append(np.arange(0, n - block + 1, block), n)
    sums = np.array([np.sum(x[a:b], axis=0, dtype=np.float64) for a, b in pairwise(edges)])
    centre = sums.sum(0) / n
    prefix = np.zeros((len(edges), x.shape[1]))
    np.cumsum(sums - np.diff(edges)[:, None] * centre, axis=0, out=prefix[1:])
    cuts = edges[_least_squares_cuts(prefix, edges, k)]
    if block > 1:
        cuts = _to_the_row(x, centre, cuts, block)
    return np.repeat(np.arange(k), np.diff(cuts))


def _least_squares_cuts(prefix: np.ndarray, edges: np.ndarray, k: int) -> np.ndarray:
    """Positions (k + 1,) among edges. prefix: (m + 1, d) sums of centred rows before each edge.

    A segment's squared error is the sum of its squared rows, which no cut changes, less
    |sum|^2 / length: that is maximised.
    """

    m = len(edges) - 1
    square = (prefix**2).sum(1)
    gain = square[:, None] + square - 2 * prefix @ prefix.T
    length = edges[None, :] - edges[:, None]
    gain = np.where(length > 0, gain / np.maximum(length, 1), -np.inf)
    best, came = gain[0], []
    for _ in range(k - 1):
        reach = best[:, None] + gain
        came.append(reach.argmax(0))
        best = reach.max(0)
    cuts = [m]
    for back in reversed(came):
        cuts.append(int(back[cuts[-1]]))
    return np.array([0, *cuts[::-1]] if k > 1 else [0, m])


def _to_the_row(x: np.ndarray, centre: np.ndarray, cuts: np.ndarray, block: int) -> np.ndarray:
    """Move each cut to its best row within `block` rows of where it is, until none moves."""

    cuts = cuts.copy()

    def total(a: int, b: int) -> np.ndarray:
        return np.sum(x[a:b], axis=0, dtype=np.float64) - (b - a) * centre

    for _ in range(20):
        old = cuts.copy()
        for i in range(1, len(cuts) - 1):
            a, b, c = (int(v) for v in cuts[i - 1 : i + 2])
            lo, hi = max(a + 1, b - block), min(c - 1, b + block)
            left = total(a, lo) + np.vstack(
                [np.zeros_like(centre), np.cumsum(x[lo:hi] - centre, axis=0)]
            )
            right = left[-1] + total(hi, c) - left
            at = np.arange(lo, hi + 1)
            gain = (left**2).sum(1) / (at - a) + (right**2).sum(1) / (c - at)
            cuts[i] = at[gain.argmax()]
        if np.array_equal(old, cuts):
            break
    return cuts


@dataclass(frozen=True)
class Smoothed:
    """Posteriors given all rows of the sequence.

    Parameters
    ----------
    probabilities : np.ndarray
        (n, k) float64, rows sum to one.
    stay : float
        Estimated probability that a row is of the cluster of the one before by necessity.
    noise : float
        Estimated share of rows whose own posterior says nothing.
    log_likelihood : float
        Of the posteriors as a sequence, against independent rows.
    """

    probabilities: np.ndarray
    stay: float
    noise: float
    log_likelihood: float


def smooth(p: np.ndarray, *, rounds: int = 50, tolerance: float = 1e-4) -> Smoothed:
    """Forward-backward over the rows of p (n, k), with what it needs to know estimated from p.

    A hidden Markov chain that keeps its cluster with probability s and else draws a new one from
    the mean posterior m: A = s I + (1 - s) 1 m'. A row's evidence is (1 - e) p / m + e: with
    probability e it says nothing, which bounds what overconfident posteriors weigh. s and e are
    fitted by expectation maximisation (Baum et al. 1970; Rabiner 1989 for the scaling). At s = 0
    and e = 0 the assignment is p itself. O(n k) a round, one row after the other.

    Parameters
    ----------
    p : np.ndarray
        (n, k) float, rows sum to one, in row order.
    rounds : int, optional
        At most.
    tolerance : float, optional
        Stop when neither s nor e changes by more.

    Examples
    --------
    >>> p = np.tile([[0.9, 0.1]], (20, 1))
    >>> p[10:] = [0.1, 0.9]
    >>> p[3] = [0.4, 0.6]
    >>> smooth(p).probabilities.argmax(1)[:5]
    array([0, 0, 0, 0, 0])
    """

    p = np.asarray(p, np.float64)
    mean = np.maximum(p.mean(0), 1e-12)
    ratio = p / mean
    stay, noise = 0.5, NOISE
    for _ in range(rounds):
        gamma, stayed, fit = _forward_backward((1 - noise) * ratio + noise, mean, stay)
        odd = float((gamma * (noise / ((1 - noise) * ratio + noise))).sum() / len(p))
        change = max(abs(stayed - stay), abs(odd - noise))
        # e below any row's share or s at exactly one would never be left again.
        noise, stay = min(max(odd, 1e-6), 0.9), min(max(stayed, 0.0), 1 - 1e-9)
        if change < tolerance:
            break
    gamma, _, fit = _forward_backward((1 - noise) * ratio + noise, mean, stay)
    return Smoothed(gamma, stay, noise, fit)


def _forward_backward(
    evidence: np.ndarray, mean: np.ndarray, stay: float
) -> tuple[np.ndarray, float, float]:
    """Posteriors (n, k), expected share of steps that stayed by necessity, log likelihood.

    evidence: (n, k) likelihood of each row in each cluster, up to a factor a row.
    """

    n, _ = evidence.shape
    forward, scale = np.empty_like(evidence), np.empty(n)
    ahead = mean
    for i in range(n):
        a = ahead * evidence[i]
        scale[i] = a.sum()
        forward[i] = a / scale[i]
        ahead = stay * forward[i] + (1 - stay) * mean
    backward = np.ones_like(evidence)
    for i in range(n - 1, 0, -1):
        b = evidence[i] * backward[i]
        backward[i - 1] = (stay * b + (1 - stay) * (mean @ b)) / scale[i]
    gamma = forward * backward
    kept = stay * (forward[:-1] * evidence[1:] * backward[1:]).sum(1) / scale[1:]
    share = float(kept.mean()) if n > 1 else 0.0
    return gamma / gamma.sum(1, keepdims=True), share, float(np.log(scale).sum())
