"""What moved between this assignment and others, image by image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.metrics import pairwise_ari
from imclust.core.errors import input_error
from imclust.core.records import Assignment
from imclust.report.page.rows import NONE, Rows, packed


def compared(rows: Rows, other: Path, name: str, names: list[str]) -> dict[str, Any]:
    """This assignment beside another one of the same images.

    Clusters of the other are matched one to one with ours, so that as few images as possible move.

    Parameters
    ----------
    other : Path
        An `assignment` artefact.
    name : str
        Of that run.
    names : list[str]
        Of its clusters.

    Returns
    -------
    dict[str, Any]
        `common` images, `ari`, `moved` of them, `share` in [0, 1]; `flows`, (our cluster, its
        cluster, images) of what moved; `cluster`, of every row as `packed`, that of the other run;
        `ours`, for each of its clusters the one of ours it matches, or -1.

    Raises
    ------
    InputError
        No image is in both.

    Examples
    --------
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> found = compared(rows, Path("run/linked"), "linked", [])
    >>> found["common"], found["moved"] > 0
    (24, True)
    """

    clustering = Assignment.load(other)
    where = {i: r for r, i in enumerate(clustering.ids.tolist())}
    at = np.array([where.get(i, -1) for i in rows.ids.tolist()])
    known = at >= 0
    if not known.any():
        got = f"{other}, which has none of them"
        raise input_error("--compare-with", "of the same images", got, "leave it out")
    theirs = np.where(known, clustering.clusters[at], NONE)
    k = clustering.probabilities.shape[1]
    counts = np.zeros((rows.k, k), np.int64)
    np.add.at(counts, (rows.clusters[known], theirs[known]), 1)
    ours = _matched(counts)
    moved = known.copy()
    moved[known] = ours[theirs[known]] != rows.clusters[known]
    a, b = rows.clusters[known], theirs[known]
    return {
        "name": name,
        "names": names,
        "k": k,
        "common": int(known.sum()),
        "ari": float(pairwise_ari([a, b])[0, 1]),
        "moved": int(moved.sum()),
        "share": float(moved.sum() / known.sum()),
        "ours": ours.tolist(),
        "flows": _flows(rows.clusters[moved], theirs[moved]),
        "cluster": packed(theirs),
    }


def _matched(counts: np.ndarray) -> np.ndarray:
    """Our cluster for each of theirs (k,), from counts (ours, theirs); -1 for those left over."""
    from scipy.optimize import linear_sum_assignment

    ours = np.full(counts.shape[1], -1)
    one, other = linear_sum_assignment(counts, maximize=True)
    ours[other] = one
    return ours


def _flows(ours: np.ndarray, theirs: np.ndarray) -> list[tuple[int, int, int]]:
    """(our cluster, theirs, images), the most first."""

    if not len(ours):
        return []
    pairs, counts = np.unique(np.stack([ours, theirs]), axis=1, return_counts=True)
    rows = zip(*pairs.tolist(), counts.tolist(), strict=True)
    return sorted(((a, b, n) for a, b, n in rows), key=lambda row: -row[2])
