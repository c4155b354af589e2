"""How near each cluster of pairs came to being another, and what to ask somebody who knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imclust.clustering.pair_clustering import average_tree

TINY = 1e-4
SPENT = 0.25  # what a question is worth still when another one asks of one of its clusters


class Bond(NamedTuple):
    """What decides whether two sets of images are one cluster.

    Parameters
    ----------
    first, second : int
        Rows of the pair that speaks most for it.
    mean : float
        Mean P(same) between the two sets.
    """

    first: int
    second: int
    mean: float


@dataclass(frozen=True)
class Doubt:
    """Of one cluster.

    Parameters
    ----------
    hold : Bond, optional
        Between the two halves that were joined last; None for a single image.
    near : Bond, optional
        To the nearest other cluster; None where there is none that it may join.
    nearest : int
        That cluster; -1 where there is none.
    value : float
        In [0, 1]: how near the weaker of both lies to the threshold: 1 there, 0 where halves hold
        with P(same) 1 and no other cluster is near.
    """

    hold: Bond | None
    near: Bond | None
    nearest: int
    value: float


class Question(NamedTuple):
    """Are these two of one individual?

    Parameters
    ----------
    first, second : int
        Rows.
    together : bool
        Whether they share a cluster now.
    change : float
        In [0, 1], how likely the answer changes the clusters.
    pairs : int
        Pairs of images to cluster that change with them.
    worth : float
        `change` times the square root of `pairs`, less where other questions ask of the same
        clusters.
    """

    first: int
    second: int
    together: bool
    change: float
    pairs: int
    worth: float


def cluster_doubts(labels: np.ndarray, p: np.ndarray, threshold: float) -> list[Doubt]:
    """What decides each of the k clusters of a group.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64 in [0, k).
    p : np.ndarray
        (n, n) float, minus infinity where rows must not share a cluster.
    threshold : float
        On P(same), in (0, 1), that the clusters were cut at.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0.3], [0.9, 1, 0.3], [0.3, 0.3, 1]])
    >>> [round(d.value, 2) for d in cluster_doubts(np.array([0, 0, 1]), p, 0.5)]
    [0.6, 0.6]
    """
    means = between(labels, p)
    np.fill_diagonal(means, -1)
    out = []
    for c in range(len(means)):
        rows = np.flatnonzero(labels == c)
        halves = last_halves(rows, p)
        hold = _bond(halves, p) if halves else None
        nearest = int(means[c].argmax()) if len(means) > 1 else -1
        near = None
        if nearest >= 0 and means[c, nearest] > 0:
            near = _bond((rows, np.flatnonzero(labels == nearest)), p)
        held = (1 - hold.mean) / (1 - threshold) if hold else 0.0
        value = max(min(held, 1.0), min(near.mean / threshold, 1.0) if near else 0.0)
        out.append(Doubt(hold, near, nearest if near else -1, value))
    return out


def between(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Mean P(same) between clusters: (k, k) float64; minus infinity where one pair is forbidden.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64 in [0, k).
    p : np.ndarray
        (n, n) probabilities, minus infinity for forbidden pairs.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0.1], [0.9, 1, 0.3], [0.1, 0.3, 1]])
    >>> between(np.array([0, 0, 1]), p).round(2).tolist()
    [[0.95, 0.2], [0.2, 1.0]]
    """
    hot = np.eye(int(labels.max()) + 1)[labels]
    sizes = hot.sum(0)
    q = np.where(np.isfinite(p), p, 0).astype(np.float64)
    means = hot.T @ q @ hot / np.outer(sizes, sizes)
    means[(hot.T @ np.isneginf(p) @ hot) > 0] = -np.inf
    return means


def last_halves(rows: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The two parts of a cluster that average linkage joins last; None for a single image.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0.1], [0.9, 1, 0.3], [0.1, 0.3, 1]])
    >>> [half.tolist() for half in last_halves(np.arange(3), p)]
    [[2], [0, 1]]
    """
    from scipy.cluster.hierarchy import to_tree

    if len(rows) < 2:
        return None
    root = to_tree(average_tree(p[np.ix_(rows, rows)]))
    return rows[root.get_left().pre_order()], rows[root.get_right().pre_order()]


def _bond(sides: tuple[np.ndarray, np.ndarray], p: np.ndarray) -> Bond:
    """The pair that speaks most for two sets being one, and the mean of all.

    Pairs whose answer is known (P = 1, or forbidden) speak for nothing where others are there.
    """
    part = np.where(np.isfinite(p[np.ix_(*sides)]), p[np.ix_(*sides)], 0.0)
    open_ = np.where(part < 1, part, -1.0)
    a, b = np.unravel_index(int((open_ if (open_ >= 0).any() else part).argmax()), part.shape)
    return Bond(int(sides[0][a]), int(sides[1][b]), float(part.mean()))


def questions(
    labels: np.ndarray, p: np.ndarray, asked: np.ndarray, most: int = 20
) -> list[Question]:
    """What to ask: hard, representative and diverse pairs, the most worth asking first.

    A question is about two sets that are, or are not, one cluster: the halves that average
    linkage joined last, or two clusters. It is hard where the mean P(same) between both is far from
    what the clusters say. It is worth the images that change with it, the geometric mean of the
    two sets: their pairs would let two large sets outweigh ten doubts, and errors of one set are
    not independent. The two images are the ones that stand for their sets best, so that the answer
    holds for both. Another question about a cluster that was asked of counts a quarter.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64 in [0, k).
    p : np.ndarray
        (n, n) float, minus infinity where rows must not share a cluster, 1 where they must.
    asked : np.ndarray
        (n,) bool: images to cluster; others, of known identity, change no score.
    most : int
        Questions.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0.4], [0.9, 1, 0.4], [0.4, 0.4, 1]])
    >>> found = questions(np.array([0, 0, 1]), p, np.ones(3, bool), 1)
    >>> found[0].together, found[0].pairs
    (False, 2)
    """
    typical = _typical(labels, p)
    members = [np.flatnonzero(labels == c) for c in range(int(labels.max()) + 1)]
    found: list[tuple[float, tuple[int, ...], Question]] = []

    def offer(clusters: tuple[int, ...], sides: tuple[np.ndarray, np.ndarray], mean: float) -> None:
        """Take a question in, where its answer is open and changes a pair that is asked about."""
        pairs = int(asked[sides[0]].sum()) * int(asked[sides[1]].sum())
        pair = _open_pair(sides, p, typical)
        if pair is None or not pairs:
            return
        together = len(clusters) == 1
        change = 1 - mean if together else mean
        worth = change * float(np.sqrt(pairs))
        found.append((worth, clusters, Question(*pair, together, change, pairs, worth)))

    for c, rows in enumerate(members):
        halves = last_halves(rows, p)
        if halves:
            offer((c,), halves, float(np.where(np.isfinite(p[np.ix_(*halves)]),
                                               p[np.ix_(*halves)], 0).mean()))  # fmt: skip
    means = np.triu(between(labels, p), 1)
    near = np.argwhere(means > TINY)
    order = np.argsort(-means[near[:, 0], near[:, 1]], kind="stable")[: max(200, 20 * most)]
    for a, b in near[order].tolist():
        offer((a, b), (members[a], members[b]), float(means[a, b]))
    return _spread_out(found, most)


def _typical(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """How well each image stands for its cluster: (n,) mean P(same) with it."""
    q = np.where(np.isfinite(p), p, 0)
    hot = np.eye(int(labels.max()) + 1)[labels]
    return (q @ hot)[np.arange(len(labels)), labels] / hot.sum(0)[labels]


def _open_pair(
    sides: tuple[np.ndarray, np.ndarray], p: np.ndarray, typical: np.ndarray
) -> tuple[int, int] | None:
    """The pair of the most typical images of which nothing is known; None if all is."""
    part = p[np.ix_(*sides)]
    open_ = np.isfinite(part) & (part < 1)
    if not open_.any():
        return None
    worth = np.where(open_, typical[sides[0]][:, None] * typical[sides[1]][None], -1)
    a, b = np.unravel_index(int(worth.argmax()), part.shape)
    return int(sides[0][a]), int(sides[1][b])


def _spread_out(found: list[tuple[float, tuple[int, ...], Question]], most: int) -> list[Question]:
    """The best questions; one about a cluster that was asked of already is worth a quarter."""
    times: dict[int, int] = {}
    left, chosen = list(found), list[Question]()
    while left and len(chosen) < most:
        worth = [v * SPENT ** sum(times.get(c, 0) for c in clusters) for v, clusters, _ in left]
        best = int(np.argmax(worth))
        _, clusters, question = left.pop(best)
        chosen.append(question._replace(worth=worth[best]))
        for c in clusters:
            times[c] = times.get(c, 0) + 1
    return chosen
