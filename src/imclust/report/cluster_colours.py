"""Which colour a cluster has, on the page and in pictures: near hues for clusters near in the tree,
and for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The 24 colours of the palette (`ON_LIGHT`) around the circle of hues, which are about the same in
# light and in dark; grey, which has none, last.
BY_HUE = (4, 14, 1, 18, 6, 9, 12, 20, 13, 2, 21, 23, 5, 15, 0, 19, 10, 8, 22, 16, 11, 3, 17, 7)
GREY = BY_HUE[-1]
EASIEST = 8  # numbers below it are told apart most easily; a new cluster gets one while it can


def dealt_colours(
    merges: Sequence[Sequence[float]], k: int, kept: Sequence[int | None] = ()
) -> list[int]:
    """The number of its colour for each of k clusters.

    At first the numbers from 0 on, the easiest to tell apart, dealt in the order of their hues to
    the leaves of the tree: clusters of one branch have near hues, and no two colours are nearer
    than those of the same numbers dealt in any other way. Of more than 24, each further 24 are
    dealt alike; marks of other shapes tell them apart. What is kept stays; a new cluster takes the
    free colour whose hue is nearest to that of its nearest relative.

    Parameters
    ----------
    merges : sequence of sequence of float
        Rows (one, other, height, leaves) of the tree, as scipy has them; none where there is none.
    k : int
        Clusters.
    kept : sequence of int or None, optional
        Colours that the first clusters have; None for one that is new.

    Examples
    --------
    >>> merges = [[0, 2, 0.2, 2], [1, 3, 0.3, 2], [4, 5, 0.9, 4]]  # 0 is like 2, and 1 like 3
    >>> dealt_colours(merges, 4)  # orange and green, blue and pink
    [1, 0, 2, 3]
    >>> dealt_colours([[0, 2, 0.2, 2], [3, 1, 0.9, 3]], 3, kept=[4, 0])
    [4, 0, 1]
    """
    order = _leaves(merges, k)
    found = [*kept, *[None] * (k - len(kept))]
    if not any(colour is not None for colour in kept):
        for first in range(0, k, len(BY_HUE)):
            mine = [c for c in order if first <= c < first + len(BY_HUE)]
            numbers = [number for number in BY_HUE if number < len(mine)]
            for c, number in zip(mine, numbers, strict=True):
                found[c] = number
    for c in (c for c in range(k) if found[c] is None):
        found[c] = _beside(_relative(merges, k, c, found), found, k)
    return [number for number in found if number is not None]


def shown_colours(doc: Mapping[str, Any]) -> list[int]:
    """The number of its colour for each cluster of an assignment: as dealt, or else, of an earlier
    version's and of very many clusters, one after another.

    Examples
    --------
    >>> shown_colours({"n_clusters": 2, "colours": [4, 0]}), shown_colours({"n_clusters": 2})
    ([4, 0], [0, 1])
    """
    return [*doc.get("colours", ())] or [c % len(BY_HUE) for c in range(doc["n_clusters"])]


def kept_colours(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[int | None]:
    """Colours that clusters have from before they grew or were corrected, None of those that are
    new. Of several that became one, the lowest gives its colour.

    Parameters
    ----------
    before : mapping
        Facts of the assignment before: `n_clusters` and, where they were dealt, `colours`; else
        they are those that its page showed, by number.
    now : mapping
        Facts of it now: `n_clusters` and, where it was corrected, what became of each cluster.

    Examples
    --------
    >>> before = {"n_clusters": 3, "colours": [4, 0, 1]}
    >>> kept_colours(before, {"n_clusters": 3, "corrections": {"was": [0, 0, 1]}})
    [4, 1, None]
    """
    colours = shown_colours(before)
    kept: list[int | None] = [None] * now["n_clusters"]
    was = (now.get("corrections") or {}).get("was", range(len(colours)))
    for colour, c in reversed([*zip(colours, was, strict=True)]):
        kept[c] = colour
    return kept


def _leaves(merges: Sequence[Sequence[float]], k: int) -> list[int]:
    """Clusters as a drawn tree has them, like ones side by side."""
    nodes = [[c] for c in range(k)]
    for one, other, *_ in merges:
        nodes.append(nodes[int(one)] + nodes[int(other)])
    return nodes[-1] if len(nodes[-1]) == k else list(range(k))


def _relative(
    merges: Sequence[Sequence[float]], k: int, cluster: int, found: Sequence[int | None]
) -> int | None:
    """The colour of the cluster that the tree joins first with one, of those that have any."""
    nodes = [[c] for c in range(k)]
    for one, other, *_ in merges:
        nodes.append(nodes[int(one)] + nodes[int(other)])
        if cluster in nodes[-1]:
            for near in nodes[-1]:
                if found[near] is not None:
                    return found[near]
    return None


def _beside(colour: int | None, found: Sequence[int | None], k: int) -> int:
    """The free colour next to one on the circle of hues; the next of all where none is free."""
    most = min(len(BY_HUE), -(-k // EASIEST) * EASIEST)
    free = [number for number in BY_HUE if number < most and number not in found]
    free = free or [number for number in BY_HUE if number not in found] or list(BY_HUE)
    if colour is None or colour == GREY:
        return min(free)
    circle = [number for number in BY_HUE if number != GREY]

    def steps(number: int) -> int:
        if number == GREY:
            return len(circle)
        apart = abs(circle.index(number) - circle.index(colour))
        return min(apart, len(circle) - apart)

    return min(free, key=steps)
