"""Clusters of a group after somebody said of pairs whether they are of one individual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from imclust.clustering.corrections import Corrections
from imclust.clustering.linked_groups import Linked, kept
from imclust.clustering.pair_clustering import clusters_at
from imclust.clustering.pairwise_constraints import Pairs, must_link_groups
from imclust.core.errors import input_error


def carried(p: np.ndarray, labels: np.ndarray, same: Pairs) -> np.ndarray:
    """Probabilities after answers "same": if a and b are one, so are their clusters, as far as each
    is one.

    For x in the cluster of a and y in that of b, P(x, y) is at least P(x, a) P(b, y), each that of
    the best way over one other image of the cluster: not every pair was looked at. What is in
    neither cluster stays as likely: one high score of a stranger would spread to all.

    Parameters
    ----------
    p : np.ndarray
        (n, n) float, symmetric, minus infinity where rows must not share a cluster.
    labels : np.ndarray
        (n,) int, clusters so far.
    same : tuple of (int, int)
        Pairs of rows of one individual.

    Returns
    -------
    np.ndarray
        (n, n) float32.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], np.float32)
    >>> bool(carried(p, np.array([0, 0, 1]), ((0, 2),))[1, 2] > 0.89)
    True
    """
    p = p.copy()
    for a, b in same:
        q = np.where(np.isfinite(p), p, 0)
        reach = []
        for row in (a, b):
            inside = np.flatnonzero(labels == labels[row])
            to = np.zeros(len(q), np.float32)
            to[inside] = (q[np.ix_(inside, inside)] * q[inside, row]).max(1)
            to[row] = 1
            reach.append(to)
        both = np.outer(reach[0], reach[1])
        p = np.where(np.isfinite(p), np.maximum(p, np.maximum(both, both.T)), p)
    return p.astype(np.float32)


def relinked(
    before: Linked, held: Pairs, must: Pairs, cannot: Pairs, names: list[str], seed: int = 0
) -> Linked:
    """Cluster a group again with answers, by the method and threshold that it had.

    Parameters
    ----------
    before : Linked
        The group. Pairs that are known to be apart are minus infinity in its matrix.
    held : tuple of (int, int)
        Pairs of rows that were known to be of one individual already.
    must, cannot : tuple of (int, int)
        Pairs of rows that are of one individual, and that are not.
    names : list of str
        (n,) of the images, for refusals.
    seed : int
        Of Leiden.

    Raises
    ------
    InputError
        Answers contradict each other, or what was known before.

    Examples
    --------
    >>> from imclust.clustering.pair_thresholds import Cut
    >>> p = np.array([[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]], np.float32)
    >>> before = Linked(np.array([0, 0, 1]), p, Cut("average", 0.5))
    >>> relinked(before, held=(), must=((1, 2),), cannot=((0, 1),), names=[*"abc"]).labels.tolist()
    [0, 1, 1]
    """
    n = len(before.labels)
    group = must_link_groups(n, (*held, *must))
    p = carried(before.matrix, before.labels, must)
    one, other = np.nonzero(np.isneginf(before.matrix))
    apart = np.zeros((int(group.max()) + 1,) * 2, bool)
    apart[group[one], group[other]] = True
    for a, b in cannot:
        apart[group[a], group[b]] = apart[group[b], group[a]] = True
    odd = np.flatnonzero(apart.diagonal())
    if len(odd):
        _refuse(group, int(odd[0]), before.matrix, cannot, names)
    p[group[:, None] == group[None]] = 1
    p[apart[group[:, None], group[None]]] = -np.inf
    np.fill_diagonal(p, 1)
    labels = clusters_at(p, before.cut.method, seed)(before.cut.threshold)
    return Linked(kept(labels, p, (*held, *must), before.cut.threshold), p, before.cut)


def _refuse(group: np.ndarray, odd: int, p: np.ndarray, cannot: Pairs, names: list[str]) -> None:
    rows = np.flatnonzero(group == odd)
    said = [(a, b) for a, b in cannot if group[a] == group[b] == odd]
    known = [
        (int(rows[i]), int(rows[j])) for i, j in np.argwhere(np.isneginf(p[np.ix_(rows, rows)]))
    ]
    a, b = (said + known)[0]
    got = f"images {names[a]} and {names[b]}, of which answers or what is known say both"
    do = "take one of the answers back"
    raise input_error("images that must not share a cluster", "free to differ", got, do)


def as_pairs(
    said: Corrections, ids: np.ndarray, clusters: np.ndarray, confidence: np.ndarray
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """All that a file of corrections says of images, as pairs of ids: together, and apart.

    A merged cluster is held together whole. A moved image goes with the images of its new cluster
    that were not moved and apart from the surest image of its old one; one that was pinned stays
    with the surest of its own. Images moved to a new cluster hold together, apart from all others.

    Parameters
    ----------
    said : Corrections
        Checked against these images and clusters.
    ids : np.ndarray
        (n,) str.
    clusters : np.ndarray
        (n,) int, the assignment that it speaks of.
    confidence : np.ndarray
        (n,) float, how sure each image is of its cluster.

    Examples
    --------
    >>> from pathlib import Path
    >>> said = Corrections(Path("c.json"), 64 * "0", {}, (), {"b": 1}, (), ())  # b goes to 1
    >>> ids, clusters = np.array([*"abcd"]), np.array([0, 0, 1, 1])
    >>> as_pairs(said, ids, clusters, confidence=np.ones(4))
    ([('c', 'd'), ('d', 'b')], [('b', 'a')])
    """
    must, cannot = list(said.must_link), list(said.cannot_link)
    where = {i: r for r, i in enumerate(ids.tolist())}
    moved = {where[i] for i, c in said.move.items() if clusters[where[i]] != c}

    def members(cluster: int) -> list[str]:
        rows = [r for r in np.flatnonzero(clusters == cluster).tolist() if r not in moved]
        return [str(ids[r]) for r in sorted(rows, key=lambda r: -confidence[r])]

    for merged in said.merge:
        whole = [i for c in merged for i in members(c)]
        must += pairwise(whole)
    homes: dict[int, list[str]] = {}
    for image, c in said.move.items():
        own = int(clusters[where[image]])
        stay = [i for i in members(own) if i != image]
        if c == own:
            must += [(image, stay[0])] if stay else []
            continue
        cannot += [(image, stay[0])] if stay else []
        home = homes.setdefault(c, members(c))
        must += pairwise([*home, image])
        home.append(image)
    k = int(clusters.max()) + 1
    new = [home[0] for c, home in homes.items() if c >= k]
    stand = [first for c in range(k) if new for first in members(c)[:1]]
    cannot += [(a, b) for a in new for b in stand if (a, b) not in cannot]
    cannot += combinations(new, 2)
    return must, cannot


IdPairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answered:
    """An assignment of pairs, and all that was said of it so far.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    first : mapping of str to (np.ndarray, Linked)
        Group -> its rows (m,) among `ids`, and its clusters before anything was said.
    held : mapping of str to tuple of (int, int)
        Group -> pairs of its rows, numbered within it, that are known to be of one individual.
    linked : mapping of str to (np.ndarray, Linked), optional
        The same as `first` by now.
    rounds : tuple of (tuple of (str, str), tuple of (str, str))
        Pairs of ids that each file says to be one individual, and not to be.
    named : tuple of (tuple of int, str)
        Rows that were a cluster when it was called so.
    told : mapping of str to int
        How much was said.
    """

    ids: np.ndarray
    first: Mapping[str, tuple[np.ndarray, Linked]]
    held: Mapping[str, Pairs]
    linked: Mapping[str, tuple[np.ndarray, Linked]] = field(default_factory=dict)
    rounds: tuple[tuple[IdPairs, IdPairs], ...] = ()
    named: tuple[tuple[tuple[int, ...], str], ...] = ()
    told: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.linked:
            object.__setattr__(self, "linked", dict(self.first))

    def after(
        self, said: Corrections, clusters: np.ndarray, confidence: np.ndarray, seed: int
    ) -> Answered:
        """The same with one more file of corrections, which speaks of this assignment.

        What was said last of an image's place, or of a pair, stands: earlier files are heard again
        without it.

        Parameters
        ----------
        said : Corrections
            The file.
        clusters, confidence : np.ndarray
            (n,) int and float of the assignment.
        seed : int
            Of Leiden.

        Raises
        ------
        InputError
            It names an image or cluster that is none, says two of different groups are one, or
            contradicts itself or what is known.
        """
        said.check(self.ids.tolist(), int(clusters.max()) + 1)
        must, cannot = (tuple(pairs) for pairs in as_pairs(said, self.ids, clusters, confidence))
        rounds = tuple(
            (_without(one, said.move, cannot), _without(other, said.move, must, chain=False))
            for one, other in self.rounds
        )
        rounds += ((must, cannot),)
        linked, held = dict(self.first), dict(self.held)
        for together, apart in rounds:
            for group, pairs in self._by_group(said, together, apart).items():
                rows, before = linked[group]
                names = self.ids[rows].tolist()
                again = relinked(before, held[group], pairs[0], pairs[1], names, seed)
                linked[group], held[group] = (rows, again), (*held[group], *pairs[0])
        named = [(tuple(np.flatnonzero(clusters == c).tolist()), name)
                 for c, name in said.names.items()]  # fmt: skip
        told = {k: n + self.told.get(k, 0) for k, n in _tell(said, clusters, self.ids).items()}
        return replace(self, linked=linked, rounds=rounds, named=(*self.named, *named), told=told)

    def _by_group(
        self, said: Corrections, must: IdPairs, cannot: IdPairs
    ) -> dict[str, tuple[Pairs, Pairs]]:
        """Group -> pairs of its rows, together and apart, of groups of which something is said."""
        home: dict[str, tuple[str, int]] = {}
        for group, (rows, _) in self.first.items():
            home |= {i: (group, n) for n, i in enumerate(self.ids[rows].tolist())}
        found: dict[str, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}
        for kind, pairs in enumerate((must, cannot)):
            for a, b in pairs:
                (one, i), (other, j) = home[a], home[b]
                if one == other:
                    found.setdefault(one, ([], []))[kind].append((i, j))
                elif kind == 0:
                    got = f"{a!r} of {one!r} and {b!r} of {other!r}"
                    raise said.refused("what shares a cluster", "of one group", got)
        return {group: (tuple(m), tuple(c)) for group, (m, c) in found.items()}

    def names(self, clusters: np.ndarray, names: list[str]) -> list[str]:
        """What the clusters are called: (k,), as somebody called most of their images, else as they
        are.

        Raises
        ------
        InputError
            Two clusters would have one name: to a submission they would be one.
        """
        out = list(names)
        for rows, name in self.named:
            if name:
                out[int(np.bincount(clusters[list(rows)]).argmax())] = name
        twice = next((n for i, n in enumerate(out) if n in out[:i]), None)
        if twice is not None:
            do = "choose another name, or merge them"
            raise input_error("names of clusters", "one each", f"{twice!r} for two", do)
        return out

    def facts(self) -> dict[str, Any]:
        """For the manifest, as `cluster` writes them."""
        named = {str(n): name for n, (_, name) in enumerate(self.named)}
        return {"corrections": {"merged": [], **self.told, "names": named}, "suggested": 0}


def _without(
    pairs: IdPairs, moved: Mapping[str, int], against: IdPairs, *, chain: bool = True
) -> IdPairs:
    """Pairs of ids without those of images that were moved since, and those said otherwise since.

    `chain`: what an image held together holds together without it.
    """
    taken_back = {frozenset(pair) for pair in against}
    kept = [pair for pair in pairs if frozenset(pair) not in taken_back]
    for image in moved:
        ends = [b if a == image else a for a, b in kept if image in (a, b)]
        kept = [pair for pair in kept if image not in pair]
        kept += pairwise(ends) if chain else ()
    return tuple(kept)


def _tell(said: Corrections, clusters: np.ndarray, ids: np.ndarray) -> dict[str, int]:
    """How much a file of corrections says: moved, pinned, new, must_link, cannot_link."""
    where = dict(zip(ids.tolist(), clusters.tolist(), strict=True))
    stay = sum(where[i] == c for i, c in said.move.items())
    k = int(clusters.max()) + 1
    return {
        "moved": len(said.move) - stay, "pinned": stay,
        "new": len({c for c in said.move.values() if c >= k}),
        "must_link": len(said.must_link), "cannot_link": len(said.cannot_link),
    }  # fmt: skip
