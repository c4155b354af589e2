"""Clusters of pairs by their doubt, the pairs that decide them, and what to ask."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imclust.clustering.doubt_tables import DoubtRow, QuestionRow, read_doubts, read_questions
from imclust.core.errors import InputError
from imclust.core.log import progress, say
from imclust.core.manifest import read_manifest
from imclust.encoders.local_features import LOCAL_FEATURES
from imclust.encoders.local_features._base import LocalConfig, LocalFeatures
from imclust.report.page.rows import Rows
from imclust.report.pair_pictures import PairPictures, encoded

MOST = 60  # deciding pairs that are drawn, of the most doubtful clusters


@dataclass(frozen=True)
class Decisions:
    """For the page.

    Parameters
    ----------
    doubt : dict of int to float
        Cluster -> how near it came to being another, in [0, 1].
    deciding : dict of int to list
        Cluster -> pairs that decide it, as `_deciding` has them.
    questions : list of dict
        The most worth asking first, as `_question` has them.
    pictures : list of (str, str)
        (id of the element, base64 of a WebP file).
    pairs : int
        Pairs in all, asked about or deciding.
    drawn : int
        Of them, those that are drawn.
    kilobytes : int
        Of all pictures.
    """

    doubt: dict[int, float]
    deciding: dict[int, list[dict[str, Any]]]
    questions: list[dict[str, Any]]
    pictures: list[tuple[str, str]] = field(repr=False)
    pairs: int
    drawn: int
    kilobytes: int


def decisions_of(assignment: Path, pairs: Path | None, rows: Rows) -> Decisions | None:
    """What the tables of an assignment of pairs say of the images of the page; None without them.

    Parameters
    ----------
    assignment : Path
        The assignment.
    pairs : Path, optional
        The `pairs` artefact that it is of; says how keypoints are sought.
    rows : Rows
        The images of the page.

    Examples
    --------
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> decisions_of(Path("run/clusters"), None, rows) is None  # they are not of pairs
    True
    """
    doubts, asked = read_doubts(assignment), read_questions(assignment)
    if not doubts or pairs is None:
        return None
    where = {i: row for row, i in enumerate(rows.ids.tolist())}
    drawings: dict[frozenset[int], dict[str, Any]] = {}  # a pair may decide two clusters
    questions = [q for q in (_question(row, where) for row in asked) if q]
    deciding = {d.cluster: _deciding(d, where) for d in doubts}
    for pair in [*questions, *(pair for d in doubts for pair in deciding[d.cluster])]:
        fresh: dict[str, Any] = {"rows": pair["rows"]}
        pair["drawing"] = drawings.setdefault(frozenset(pair["rows"]), fresh)
        pair["rows"] = pair["drawing"]["rows"]
    config = read_manifest(pairs, "pairs")["config"]
    pictures = _draw(list(drawings.values())[: len(questions) + MOST], rows, config)
    return Decisions(
        {d.cluster: d.doubt for d in doubts}, deciding, questions, pictures, len(drawings),
        len(pictures), sum(len(p) for _, p in pictures) * 3 // 4000,
    )  # fmt: skip


def _deciding(doubt: DoubtRow, where: dict[str, int]) -> list[dict[str, Any]]:
    """The pairs that hold a cluster together and that it is nearest to another by."""
    found = []
    if doubt.holds_first in where and doubt.holds_second in where:
        rows = where[doubt.holds_first], where[doubt.holds_second]
        found.append({"rows": rows, "p": doubt.holds, "together": True, "nearest": -1})
    if doubt.near_first in where and doubt.near_second in where:
        rows = where[doubt.near_first], where[doubt.near_second]
        found.append({"rows": rows, "p": doubt.near, "together": False, "nearest": doubt.nearest})
    return found


def _question(row: QuestionRow, where: dict[str, int]) -> dict[str, Any] | None:
    if row.first not in where or row.second not in where:
        return None
    return {
        "rows": (where[row.first], where[row.second]), "together": row.now == "same",
        "change": row.change, "pairs": row.pairs,
        "clusters": (row.first_cluster, row.second_cluster),
    }  # fmt: skip


def _draw(
    drawings: list[dict[str, Any]], rows: Rows, config: dict[str, Any]
) -> list[tuple[str, str]]:
    """Draw pairs of `rows`; each gets the id of its `picture`, its `size`, and how many keypoints
    agree: `inliers`, None where none were sought."""
    local = _local_features(config)
    pen = PairPictures(local, config["side"], config["geometry"])
    drawn = []
    for drawing in progress(drawings, "pairs drawn", unit="pair"):
        a, b = (rows.stored[row] for row in drawing["rows"])
        picture, inliers = pen.draw(a, b)
        drawn.append(picture)
        drawing["inliers"] = inliers if local else None
    out = []
    for n, (drawing, file) in enumerate(zip(drawings, encoded(drawn), strict=False)):
        drawing["picture"] = f"pair-{n}"
        drawing["size"] = drawn[n].shape[1], drawn[n].shape[0]
        out.append((drawing["picture"], base64.b64encode(file).decode()))
    return out


def _local_features(config: dict[str, Any]) -> LocalFeatures | None:
    """What `pairs` matched by; None where it did not, or where its weights are not at hand."""
    if not config["local"]:
        return None
    entry = LOCAL_FEATURES[config["local_features"]]
    try:
        local = entry.method(LocalConfig(config["side"], config["keypoints"]))
    except InputError as e:
        say(f"pairs are drawn without their keypoints: {e}")
        return None
    if any(config.get(name) != digest for name, digest in local.digests().items()):
        say(f"pairs are drawn without their keypoints: other weights of {entry.name} are at hand")
        return None
    return local
