"""Pairs of rows that must, or must not, share a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from imclust.core.errors import input_error

Pairs: TypeAlias = tuple[tuple[int, int], ...]

STEPS = 20_000
"""Steps of the search for cannot-link pairs; exact where a group of them needs no more."""


def apply_pairs(
    log_p: np.ndarray, must_link: Pairs, cannot_link: Pairs, names: Sequence[str] | None = None
) -> tuple[np.ndarray, bool]:
    """Log posteriors under which every row's argmax keeps all pairs.

    Rows that must share a cluster, directly or through others, share the product of their
    posteriors (as Shental et al. 2004, and COP-KMeans' transitive closure, Wagstaff et al. 2001).
    Among rows with cannot-link pairs, the most probable assignment that keeps all is searched for
    by branch and bound; each then keeps its posterior but for the clusters of its opponents.

    Parameters
    ----------
    log_p : np.ndarray
        (n, k) float64; -inf forbids a cluster, one at least is left to every row.
    must_link, cannot_link : Pairs
        Pairs of row numbers.
    names : Sequence[str] | None, optional
        (n,) what refusals call the rows, unless by their numbers.

    Returns
    -------
    tuple[np.ndarray, bool]
        (n, k) float64, -inf where forbidden, and whether that assignment is the most probable one
        for certain (a large group of pairs may end the search first).

    Raises
    ------
    InputError
        The pairs contradict each other, or k clusters are too few for them.

    Examples
    --------
    >>> log_p = np.log([[0.9, 0.1], [0.4, 0.6]])
    >>> held, _ = apply_pairs(log_p, must_link=[(0, 1)], cannot_link=[])
    >>> held.argmax(1)
    array([0, 0])
    """

    n, k = log_p.shape
    group = must_link_groups(n, must_link)
    shared = np.zeros((int(group.max()) + 1, k))
    np.add.at(shared, group, log_p)
    _refuse_impossible(log_p, group, shared, cannot_link, names)
    exact = True
    for members, opponents in _conflicts(group, cannot_link):
        labels, sure = _assignment(shared[members], opponents)
        exact &= sure
        shared[members] = _without_opponents(shared[members], opponents, labels)
    return shared[group], exact


def must_link_groups(n: int, pairs: Pairs) -> np.ndarray:
    """(n,) int64: the number, from 0, of the group of rows that pairs connect each row to.

    Examples
    --------
    >>> must_link_groups(4, [(0, 2)])
    array([0, 1, 0, 2])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a), bool), (a, b)), (n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _refuse_impossible(
    log_p: np.ndarray,
    group: np.ndarray,
    shared: np.ndarray,
    cannot_link: Pairs,
    names: Sequence[str] | None,
) -> None:
    """Refuse what two rows are enough to show: a search would say only that there is no answer."""

    do = "take one of them away"
    for a, b in cannot_link:
        if group[a] == group[b]:
            got = f"{_both(a, b, names)}, which must-link pairs hold together"
            raise input_error("a cannot-link pair", "of rows that may differ", got, do)
        open_to = np.isfinite(shared[group[[a, b]]])
        if open_to.any(0).sum() == 1:
            got = f"{_both(a, b, names)}, which are fixed to one and the same cluster"
            raise input_error("a cannot-link pair", "of rows that may differ", got, do)
    impossible = np.flatnonzero(~np.isfinite(shared).any(1))
    if len(impossible):
        rows = np.flatnonzero(group == impossible[0])
        fixed = rows[np.isfinite(log_p[rows]).sum(1) == 1]
        at = log_p[fixed].argmax(1)
        a, b = fixed[0], fixed[int((at != at[0]).argmax())]
        got = f"{_both(a, b, names)}, which must-link pairs hold together"
        raise input_error("what is fixed to different clusters", "free to differ", got, do)


def _both(a: int, b: int, names: Sequence[str] | None) -> str:
    return f"rows {a} and {b}" if names is None else f"images {names[a]!r} and {names[b]!r}"


def _conflicts(group: np.ndarray, pairs: Pairs) -> list[tuple[np.ndarray, list[list[int]]]]:
    """Sets of groups that pairs connect: their numbers (m,), and of each its opponents' places."""

    edges = {(int(group[a]), int(group[b])) for a, b in pairs}
    names = sorted({g for edge in edges for g in edge})
    place = {g: i for i, g in enumerate(names)}
    whole = must_link_groups(len(names), tuple((place[a], place[b]) for a, b in edges))
    found = []
    for w in range(int(whole.max()) + 1 if names else 0):
        mine = np.flatnonzero(whole == w)
        at = {int(i): j for j, i in enumerate(mine)}
        opponents: list[set[int]] = [set() for _ in mine]
        for a, b in edges:
            if place[a] in at:
                i, j = at[place[a]], at[place[b]]
                opponents[i].add(j)
                opponents[j].add(i)
        found.append((np.array(names)[mine], [sorted(o) for o in opponents]))
    return found


def _assignment(scores: np.ndarray, opponents: list[list[int]]) -> tuple[np.ndarray, bool]:
    """Clusters (m,) of largest total score (m, k) in which no opponents share one; and whether the
    search was complete. What is most constrained goes first, so two clusters need no search."""

    m, k = scores.shape
    labels = np.full(m, -1)
    blocked = np.zeros((m, k), np.int64)
    degree = np.array([len(o) for o in opponents])
    best: np.ndarray | None = None
    value = -np.inf

    def choices() -> tuple[int, list[int]]:
        """The next group and its open clusters, best last; none where nothing better can come."""
        room = np.where(blocked == 0, scores, -np.inf)
        free = labels < 0
        hope = scores[~free, labels[~free]].sum() + room[free].max(1).sum()
        i = int(np.lexsort((-degree, (blocked == 0).sum(1), ~free))[0])
        if not hope > value + 1e-9:
            return i, []
        return i, [int(c) for c in np.argsort(room[i], kind="stable") if blocked[i, c] == 0]

    path, steps = [choices()], max(STEPS, 4 * m)
    while path and steps:
        i, clusters = path[-1]
        if labels[i] >= 0:
            blocked[opponents[i], labels[i]] -= 1
            labels[i] = -1
        if not clusters:
            path.pop()
            continue
        steps -= 1
        labels[i] = clusters.pop()
        blocked[opponents[i], labels[i]] += 1
        if (labels >= 0).all():
            total = float(scores[np.arange(m), labels].sum())
            if total > value:
                best, value = labels.copy(), total
        elif (further := choices())[1]:
            path.append(further)
    if best is None:
        why = f"for which {STEPS} steps found no place" if path else f"that need more than {k}"
        got = f"pairs of {m} groups of rows {why}"
        raise input_error(
            "cannot-link pairs", f"possible to keep with {k} clusters", got, "drop some"
        )
    return best, not path


def _without_opponents(
    scores: np.ndarray, opponents: list[list[int]], labels: np.ndarray
) -> np.ndarray:
    """Scores (m, k) with -inf at the clusters of opponents, and argmax = labels."""

    scores = scores.copy()
    for i, others in enumerate(opponents):
        scores[i, labels[others]] = -np.inf
        # Equal to another cluster, or found by a search that was cut short: make it the largest.
        rest = np.delete(scores[i], labels[i]).max(initial=-np.inf)
        scores[i, labels[i]] = max(scores[i, labels[i]], rest + 1e-3)
    return scores
