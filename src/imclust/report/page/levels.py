"""The same images in fewer and in more clusters, each finer cluster within one coarser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.graph_merging import names_at
from imclust.clustering.n_clusters import COARSER
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.records import read_csv
from imclust.report.page.rows import NONE, Rows, packed

SHOWN = 4  # images that stand for a group
MOST = 60  # groups of a level that are shown by pictures


@dataclass(frozen=True)
class PageLevels:
    """The levels of an assignment, the coarsest first; the assignment itself is one.

    Parameters
    ----------
    groups : dict
        `coarse`, `chosen`, `fine` (what there is) -> (n,) int64 group of every row of the page,
        -1 for one that the level does not know.
    titles : dict
        Level -> what each of its groups is called.
    looks : dict
        Level -> (cluster, shade) of each of its groups: it looks as that cluster does, of which a
        finer one has a shade, the first its very colour.
    """

    groups: dict[str, np.ndarray]
    titles: dict[str, list[str]]
    looks: dict[str, list[tuple[int, int]]]

    def facts(self, rows: Rows) -> list[dict[str, Any]]:
        """For the page: a level's name, looks, and groups: title, size, rows that stand for it."""
        return [
            {
                "name": name,
                "looks": self.looks[name],
                "groups": _shown(of, self.titles[name], rows),
            }
            for name, of in self.groups.items()
        ]

    def columns(self) -> dict[str, str]:
        """The columns of the levels that are not the assignment itself."""
        return {
            name: packed(np.where(of < 0, NONE, of))
            for name, of in self.groups.items()
            if name != "chosen"
        }


def levels_of(assignment: Path, rows: Rows, names: list[str]) -> PageLevels | None:
    """The levels of an assignment whose K was voted on; None where there is but one.

    The coarse one is the tree, cut; so it agrees with the tree, the distances, and corrections.

    Parameters
    ----------
    assignment : Path
        The assignment.
    rows : Rows
        The images of the page.
    names : list of str
        (k,) of the clusters.

    Examples
    --------
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> levels_of(Path("run/clusters"), rows, ["lake", "dune"]) is None  # K was given
    True
    """
    doc = read_manifest(assignment)
    counts = {name: int(of["k"]) for name, of in doc.get("levels", {}).items()}
    if doc.get("level") != "chosen":
        return None
    groups: dict[str, np.ndarray] = {}
    titles: dict[str, list[str]] = {}
    looks = {"chosen": [(c, 0) for c in range(rows.k)]}
    k = counts.get("coarse", rows.k)
    if 2 <= k < rows.k and len(doc.get("merge_order", [])) == rows.k - 1:
        parent = names_at(np.array(doc["merge_order"]), k)
        groups["coarse"] = parent[rows.clusters]
        titles["coarse"] = [
            " + ".join(names[c] for c in np.flatnonzero(parent == g)) for g in range(k)
        ]
        sizes = np.bincount(rows.clusters, minlength=rows.k)
        looks["coarse"] = [
            (max(np.flatnonzero(parent == g).tolist(), key=lambda c: (sizes[c], -c)), 0)
            for g in range(k)
        ]
    groups["chosen"], titles["chosen"] = rows.clusters, names
    fine = _fine(assignment, doc, rows)
    if fine is not None:
        groups["fine"] = fine
        looks["fine"] = _parts(fine, rows.clusters, rows.k)
        titles["fine"] = _titles(looks["fine"], names)
    return PageLevels(groups, titles, looks) if len(groups) > 1 else None


def why_no_coarse(doc: Mapping[str, Any], k: int) -> str:
    """Why an assignment whose K was voted on has no coarser level; "" where it has one.

    Examples
    --------
    >>> why_no_coarse({"levels": {"chosen": {"k": 3}}}, 3)
    'There is no coarser level: it would have at most 0.6 of 3 clusters, which is one.'
    """
    levels, none = doc.get("levels"), "There is no coarser level:"
    if not levels or 2 <= int(levels.get("coarse", {}).get("k", 0)) < k:
        return ""
    if int(COARSER * k) < 2:
        return f"{none} it would have at most {COARSER} of {k} clusters, which is one."
    return f"{none} of at most {COARSER} of {k} clusters, no number stands out."


def _fine(assignment: Path, doc: dict[str, Any], rows: Rows) -> np.ndarray | None:
    """The fine group (n,) of every row; None of an assignment that was corrected, or has none."""
    if "levels.csv" not in doc["files"]:
        return None
    table = {r["id"]: r for r in read_csv(artifact_file(assignment, "levels.csv"))}
    if "fine" not in next(iter(table.values()), {}):
        return None
    return np.array([int(table[i]["fine"]) if i in table else -1 for i in rows.ids.tolist()])


def _parts(fine: np.ndarray, clusters: np.ndarray, k: int) -> list[tuple[int, int]]:
    """Which cluster each fine group lies in, and how many before it do."""
    count = [0] * k
    found = []
    for group in range(int(fine.max()) + 1):
        mine = clusters[fine == group]
        of = int(np.bincount(mine).argmax()) if len(mine) else 0
        found.append((of, count[of]))
        count[of] += 1
    return found


def _titles(parts: list[tuple[int, int]], names: list[str]) -> list[str]:
    """`sea, part 2`, or `sea` where it is whole."""
    count = Counter(of for of, _ in parts)
    return [names[of] if count[of] == 1 else f"{names[of]}, part {n + 1}" for of, n in parts]


def _shown(of: np.ndarray, titles: list[str], rows: Rows) -> list[dict[str, Any]]:
    groups = []
    for group, title in enumerate(titles[:MOST]):
        mine = np.flatnonzero(of == group)
        near = mine[np.argsort(rows.distance[mine], kind="stable")[:SHOWN]]
        groups.append({"title": title, "size": len(mine), "rows": near.tolist()})
    return groups
