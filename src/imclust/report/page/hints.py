"""What the page would have looked at: images that may lie in the wrong place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.uncorrected import SUGGESTED
from imclust.core.look_records import Look
from imclust.core.records import read_csv
from imclust.report.page.rows import Rows, packed32

NEAR = 12  # neighbours of an image that the page knows,
NEAR_OF_MANY = 6  # where it has more images than these:
MANY = 20_000
MOST = 2000  # images of one kind that are shown
KINDS = {
    "dark": "Dark: hardly anything is bright",
    "bright": "Bright: hardly anything is dark",
    "low contrast": "Low contrast: there is little to see",
    "blurred": "Blurred, or without any detail",
    "screenshot, drawing or text": "Screenshots, drawings, texts",
    "odd shape": "Much longer than wide, or the other way round",
    "outlier": "Unlike everything else",
}


def suggested(assignment: Path, rows: Rows) -> list[tuple[int, int, float, int]]:
    """Images close to moved ones: (row, cluster, how sure in [0, 1], row of the moved one).

    Parameters
    ----------
    assignment : Path
        The assignment.
    rows : Rows
        The images of the page; what speaks of others is left out.

    Examples
    --------
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> suggested(Path("run/clusters"), rows)  # it was not corrected
    []
    """
    path = assignment / SUGGESTED
    if not path.is_file():
        return []
    where = {i: row for row, i in enumerate(rows.ids.tolist())}
    return [
        (where[r["id"]], int(r["suggested"]), float(r["sure"]), where[r["because_of"]])
        for r in read_csv(path)
        if r["id"] in where and r["because_of"] in where
    ]


@dataclass(frozen=True)
class Hints:
    """What `look` found, by rows of the page.

    Parameters
    ----------
    copies : list[list[tuple[int, str, float]]]
        Groups, the largest first: (row, what, how like) of each, the best picture first.
    kinds : list[tuple[str, list[tuple[int, float]]]]
        (what, (row, how much) of each), those that occur.
    copied : np.ndarray
        (n,) bool: has a better picture in its group.
    near : np.ndarray
        (n, k) int64, neighbours; a row itself where one of them is not on the page.
    line : np.ndarray
        (n,) int64, all rows in order of likeness.
    """

    copies: list[list[tuple[int, str, float]]]
    kinds: list[tuple[str, list[tuple[int, float]]]]
    copied: np.ndarray
    near: np.ndarray
    line: np.ndarray

    def facts(self) -> dict[str, Any]:
        """For the scripts."""
        return {"copies": self.copies[:MOST], "kinds": self.kinds}

    def columns(self) -> dict[str, Any]:
        """For the scripts, by row."""
        return {"near": packed32(self.near), "line": packed32(self.line)}


def hints_of(look: Path | None, rows: Rows) -> Hints | None:
    """What a `look` artefact says of the images of the page; None without one.

    Examples
    --------
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> found = hints_of(Path("run/look"), rows)
    >>> found.copies, found.near.shape
    ([], (24, 12))
    """
    if look is None:
        return None
    found = Look.load(look)
    where = {i: row for row, i in enumerate(rows.ids.tolist())}
    page = np.array([where.get(i, -1) for i in found.ids.tolist()], np.int64)
    groups: dict[int, list[tuple[int, str, float]]] = {}
    kinds: dict[str, list[tuple[int, float]]] = {}
    copied = np.zeros(len(rows.ids), bool)
    for f in found.findings:
        row = where.get(f.id, -1)
        if row < 0:
            continue
        if not f.of:
            kinds.setdefault(f.what, []).append((row, round(f.value, 4)))
        elif f.of in where:
            copied[row] = True
            best = where[f.of]
            groups.setdefault(best, [(best, "best", 1.0)]).append((row, f.what, round(f.value, 2)))
    k = min(found.neighbours.shape[1], NEAR if len(rows.ids) <= MANY else NEAR_OF_MANY)
    near = np.repeat(np.arange(len(rows.ids))[:, None], k, 1)
    there = np.flatnonzero(page >= 0)
    of = page[np.asarray(found.neighbours[there, :k])]
    near[page[there]] = np.where(of >= 0, of, page[there][:, None])
    line = page[np.asarray(found.line)]
    rest = np.setdiff1d(np.arange(len(rows.ids)), line)
    return Hints(
        sorted(groups.values(), key=lambda group: (-len(group), group[0][0])),
        [(what, kinds[what][:MOST]) for what in KINDS if what in kinds],
        copied,
        near,
        np.concatenate([line[line >= 0], rest]),
    )
