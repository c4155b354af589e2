"""The vote on K in plain words: the same on the terminal, on the page and in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imclust.clustering.n_clusters import COUNTED, CRITERIA, KVote

NEAR = 0.4  # standard deviations below the highest vote within which another K does nearly as well
AGREED = 0.7  # mean adjusted Rand index at K from which ways to cluster are said to agree
ENOUGH = 8  # the largest K tried, from where one may be well supported: 24 images
ASIDE = 0.5  # of the median K that criteria favour alone, from where K is not well supported
ASKS = {
    "silhouette": "do images lie nearer to their own cluster than to the next?",
    "modularity": "do images that are neighbours share a cluster?",
    "separation": "do clusters lie apart on a map of the images?",
    "agreement": "do different ways to cluster find the same clusters?",
}


def k_words(vote: KVote) -> dict[str, Any]:
    """What a person is told of a vote.

    Parameters
    ----------
    vote : KVote
        As `estimate_k` gives it.

    Returns
    -------
    dict
        `k`; `sure`, how sure it is, one sentence; `criteria`, a list of (name, what it asks, the K
        it favours, whether it counts).

    Examples
    --------
    >>> table = [{"k": k, "vote": -abs(k - 3), **dict.fromkeys(CRITERIA, 0.5)} for k in (2, 3, 4)]
    >>> said = k_words(KVote(3, table, dict.fromkeys(CRITERIA, 3), clear=True))
    >>> said["k"], said["criteria"][0]
    (3, ['silhouette', 'do images lie nearer to their own cluster than to the next?', 3, True])
    """
    criteria = [[name, ASKS[name], vote.favourites[name], name in COUNTED] for name in CRITERIA]
    sure = _sure(vote)
    sure += "" if "alone they favour" in sure else _against(vote)
    return {"k": vote.k, "sure": sure, "criteria": criteria}


def k_sentence(words: Mapping[str, Any]) -> str:
    """`K = 4 by vote, sure: ...`.

    Examples
    --------
    >>> k_sentence({"k": 4, "sure": "not sure: 5 does nearly as well"})
    'K = 4 by vote, not sure: 5 does nearly as well'
    """
    return f"K = {words['k']} by vote, {words['sure']}"


def k_lines(words: Mapping[str, Any]) -> list[str]:
    """A line a criterion: the K that it favours, what it asks, and whether it counts.

    Examples
    --------
    >>> k_lines({"criteria": [["agreement", "do they agree?", 7, False]]})[0]
    '   agreement favours   7: do they agree? (does not count)'
    """
    note = (
        "(each against its own trend, as it rises or falls with K whatever the images; the vote "
        "weighs the whole curves, not these K)"
    )
    return [
        f"{name:>12} favours {k:>3}: {asks}{'' if counts else ' (does not count)'}"
        for name, asks, k, counts in words["criteria"]
    ] + [f"{'':>12} {note}"]


def _against(vote: KVote) -> str:
    """What to add where every criterion that counts stands out at one and the same other K."""
    alone = {vote.favourites[name] for name in COUNTED}
    if len(alone) > 1 or alone <= {vote.k, *_near(vote)}:
        return ""
    return (
        f"; each criterion alone stands out most at {alone.pop()}, against its own trend, and all "
        f"together are highest at {vote.k}: look at both"
    )


def _near(vote: KVote) -> list[int]:
    """Other K that do nearly as well."""
    least = max(row["vote"] for row in vote.table) - NEAR
    return [int(row["k"]) for row in vote.table if row["vote"] >= least and row["k"] != vote.k]


def _sure(vote: KVote) -> str:
    agree = next(row["agreement"] for row in vote.table if row["k"] == vote.k)
    # Of few images the graphs tell little, but where there is nothing ways to cluster do not agree:
    # to 0.33 at most on 40 sets of 12 to 160 rows of noise.
    if not vote.clear and agree < AGREED:
        return "not supported: one cluster says as much as any K, so look at the table or set one"
    ks = np.array([row["k"] for row in vote.table], int)
    if near := _near(vote):
        *rest, last = map(str, near[:3])
        told = f"{', '.join(rest)} or {last} do" if rest else f"{last} does"
        return f"not sure: {told} nearly as well"
    told = f"ways to cluster agree to {agree:.2f}"
    if agree < AGREED:
        return f"somewhat supported: no other K does as well; {told} only"
    if ks.max() < ENOUGH:
        return f"somewhat supported: so few images allow K up to {ks.max()} only; {told}"
    alone = [vote.favourites[name] for name in COUNTED]
    if abs(np.median(alone) - vote.k) > ASIDE:
        return (
            f"somewhat supported: {vote.k} by the criteria together, but alone they favour "
            f"{', '.join(map(str, alone))}; kinds of few images may lie with others"
        )
    return f"well supported: no other K does nearly as well, and {told}"
