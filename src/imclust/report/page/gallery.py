"""Which images stand for a cluster: its centre, a random few, its border, its outliers."""

from __future__ import annotations

from typing import Any

import numpy as np

from imclust.report.page.rows import Rows

EACH = 10  # images of a group
MOST = 3000  # images of all groups of all clusters together
GROUPS = ("centres", "random", "borderline", "outliers")


def galleries(
    rows: Rows, names: list[str], copied: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """A dict a cluster: its number, name, size, mean confidence, and rows of each group.

    Centres lie nearest to the cluster's centre, outliers farthest from it; borderline images have
    the least between their first and second choice. Every image is shown once, in the first group
    that has it, so a small cluster is all centres.

    Parameters
    ----------
    rows : Rows
        The n images of the page.
    names : list of str
        (k,) of the clusters.
    copied : np.ndarray, optional
        (n,) bool, copies of others: they are not shown.

    Examples
    --------
    >>> from pathlib import Path
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> [(c["name"], c["size"], len(c["centres"])) for c in galleries(rows, ["lake", "dune"])]
    [('lake', 12, 10), ('dune', 12, 10)]
    """

    few = max(1, min(EACH, MOST // max(1, rows.k * len(GROUPS))))
    margin = _margin(rows)
    rng = np.random.default_rng(0)
    out = []
    for c in range(rows.k):
        members = np.flatnonzero(rows.clusters == c)
        shown = members if copied is None else members[~copied[members]]
        shown = shown if len(shown) else members
        out.append(
            {
                "number": c,
                "name": names[c],
                "size": len(members),
                "confidence": float(rows.confidence[members].mean()) if len(members) else None,
                **_groups(shown, rows.distance[shown], margin[shown], few, rng),
            }
        )
    return out


def _groups(
    members: np.ndarray,
    distance: np.ndarray,
    margin: np.ndarray,
    few: int,
    rng: np.random.Generator,
) -> dict[str, list[int]]:

    near = members[np.argsort(distance, kind="stable")].tolist()
    orders = {
        "centres": near,
        "outliers": near[::-1],
        "borderline": members[np.argsort(margin, kind="stable")].tolist(),
        "random": rng.permutation(members).tolist(),
    }
    seen: set[int] = set()
    found = {}
    for name, order in orders.items():
        found[name] = [i for i in order if i not in seen][:few]
        seen.update(found[name])
    return {name: found[name] for name in GROUPS}


def _margin(rows: Rows) -> np.ndarray:
    """(n,) first minus second probability; of heads that are certain of all, minus the distance."""

    top = np.partition(rows.probabilities, -2, axis=1)[:, -2:]
    margin = top[:, 1] - top[:, 0]
    return -rows.distance if np.median(margin) > 1 - 1e-3 else margin


def shown_of(clusters: list[dict[str, Any]]) -> list[int]:
    """Rows of all groups, in the order of the page.

    Examples
    --------
    >>> shown_of([{"centres": [0, 1], "random": [], "borderline": [4], "outliers": []}])
    [0, 1, 4]
    """
    return [i for cluster in clusters for group in GROUPS for i in cluster[group]]
