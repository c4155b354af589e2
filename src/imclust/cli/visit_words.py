"""What became of a folder's pictures since the last visit, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imclust.core.wording import counted
from imclust.report.results import printable

SHOWN = 8  # clusters or pictures that a sentence names


def told(
    before: Mapping[str, int],
    after: Mapping[str, int],
    names: list[str],
    k: int,
    digests: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> list[str]:
    """What became of a folder's clusters since the last visit, in plain words.

    Parameters
    ----------
    before, after : Mapping[str, int]
        Image -> cluster.
    names : list[str]
        Of the clusters now, "" where one has none.
    k : int
        Clusters at the last visit.
    digests : tuple of mapping, optional
        Digest of every image then and now, by id: what was renamed or replaced is told by them.

    Examples
    --------
    >>> after = {"a": 0, "c": 1, "d": 1, "e": 1}
    >>> told({"a": 0, "b": 1, "c": 1}, after, ["", "sea"], 2)[:2]  # doctest: +NORMALIZE_WHITESPACE
    ['the clusters are those of the last visit: 2 new pictures, 1 gone, 2 where they were',
     'placed among them: 2 in cluster 1 (sea)']
    """
    then = {i: digest for i, digest in digests[0].items() if i in before}
    now = {i: digest for i, digest in digests[1].items() if i in after}
    renamed = _renamed(then, now)
    came = [i for i in after if i not in before and i not in renamed]
    went = {i for i in before if i not in after or i in renamed} - set(renamed.values())
    was = {i: before[renamed.get(i, i)] for i in after if renamed.get(i, i) in before}
    changed = {i for i in after if i in before and then.get(i, "") != now.get(i, "")}
    replaced = changed - set(renamed)
    moved = [i for i, c in was.items() if after[i] != c and i not in replaced]
    stay = len(after) - len(came) - len(moved) - len(replaced)
    parts = [counted(len(came), "new picture")] if came else ["no new pictures"]
    parts += [f"{len(renamed)} renamed"] if renamed else []
    parts += [f"{len(replaced)} replaced by others"] if replaced else []
    parts += [f"{len(went)} gone"] if went else []
    lines = [
        f"the clusters are those of the last visit: {', '.join(parts)}, {stay} where they were"
    ]
    new = list(range(k, len(names)))
    placed = [after[i] for i in [*came, *sorted(replaced)] if after[i] < k]
    if placed:
        lines.append(f"placed among them: {_counted(placed, names)}")
    if replaced:
        lines.append(f"replaced: {_listed(replaced)}")
    for c in new:
        n = sum(v == c for v in after.values())
        name = f" ({names[c]})" if names[c] else ""
        lines.append(
            f"new cluster {c}{name}: {counted(n, 'picture')}, too unlike all that was there; "
            "merge it on the page if you do not want it"
        )
    if moved:
        n = len(moved)
        lines.append(
            f"{counted(n, 'picture')} of an earlier visit changed place, because of what came "
            f"or went: {_counted([after[i] for i in moved], names)}: "
            f"{_listed(moved)}"
        )
    return [*lines, "to cluster all pictures afresh, add --fresh"]


def _counted(clusters: list[int], names: list[str]) -> str:
    """`3 in cluster 0 (sea), 1 in cluster 2`."""
    found = sorted({c: clusters.count(c) for c in clusters}.items(), key=lambda f: (-f[1], f[0]))
    parts = [f"{n} in cluster {c}{f' ({names[c]})' if names[c] else ''}" for c, n in found[:SHOWN]]
    more = len(found) - SHOWN
    return ", ".join(parts) + (f" and {counted(more, 'more cluster')}" if more > 0 else "")


def _listed(images: Iterable[str]) -> str:
    """The first few of them."""
    found = sorted(images)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(map(printable, found[:SHOWN])) + more


def _renamed(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Images whose bytes lay under another name -> that name, where these bytes lie no more."""
    left: dict[str, list[str]] = {}
    for i in sorted(then, reverse=True):
        if now.get(i) != then[i]:
            left.setdefault(then[i], []).append(i)
    fresh = [i for i in sorted(now) if then.get(i) != now[i]]
    return {i: left[now[i]].pop() for i in fresh if left.get(now[i])}
