"""The page, section by section, from the artefacts to one HTML file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.manifest import lineage, read_manifest
from imclust.core.name_records import found_names, name_shares, named
from imclust.core.records import cluster_names
from imclust.data.images import indexed
from imclust.report.cluster_colours import shown_colours
from imclust.report.page import provenance, relations
from imclust.report.page.compare import compared
from imclust.report.page.doubts import decisions_of
from imclust.report.page.gallery import GROUPS, galleries, shown_of
from imclust.report.page.hints import KINDS, hints_of, suggested
from imclust.report.page.labelled import against_labels
from imclust.report.page.levels import levels_of, why_no_coarse
from imclust.report.page.render import render
from imclust.report.page.rows import Rows, columns, gather_rows
from imclust.report.page.seen import seen_of
from imclust.report.page.sources import Sources, run_name
from imclust.report.page.sprites import Sheets, sheets_of, side_for
from imclust.report.page.tables import (
    Table,
    candidate_table,
    csv_table,
    curves,
    individual_table,
    pair_table,
    score_table,
)
from imclust.report.results import SURE

LARGE = 112  # pixels of the images that stand for clusters, where those of the map are smaller
LARGE_BUDGET = 8_000_000
LEAST = 10  # images from which on an accuracy is estimated; a vote on K needs as many
DOTS = 20_000  # images of a map whose points are too many for marks of their own shapes


def write_page(at: Sources, pictures: Path, path: Path) -> None:
    """Write the page to `path`.

    Parameters
    ----------
    at : Sources
        What it is made from.
    pictures : Path
        Folder of the PNG pictures that `report` drew.

    Raises
    ------
    InputError
        An artefact is missing, or others do not belong to the same images.

    Examples
    --------
    >>> at = Sources(Path("run/clusters"), Path("raw/index"), embedding=Path("run/map"))
    >>> write_page(at, Path("run"), Path("report.html"))
    >>> Path("report.html").read_text()[:15]
    '<!DOCTYPE html>'
    """
    index = read_manifest(at.index, "index")
    clustering = read_manifest(at.assignment, "assignment")
    rows = gather_rows(at.assignment, at.index, at.embedding, at.labels or {})
    given = named(clustering, at.names) if at.names else clustering.get("names")
    called = cluster_names(
        clustering | ({"names": given} if given else {}), clustering["n_clusters"]
    )
    names = [called[c] for c in rows.numbers]
    hints = hints_of(at.look, rows)
    clusters = galleries(rows, names, hints.copied if hints else None)
    labelled = against_labels(rows)
    levels = levels_of(at.assignment, rows, names)
    others = [_other(rows, path) for path in at.compare_with]
    decisions = decisions_of(at.assignment, at.pairs, rows)
    chosen = _chosen(clusters, labelled)
    small, large = _thumbnails(rows, chosen, index["content"])
    facts = {
        "n": len(rows.ids),
        "dots": len(rows.ids) > DOTS,
        "names": names,
        "colours": [shown_colours(clustering)[c] for c in rows.numbers],
        "classes": rows.classes,
        "texts": index["content"] == "texts",
        "clusters": clusters,
        "mistakes": labelled["mistakes"] if labelled else [],
        "class_of": labelled["class_of"] if labelled else None,
        "sprites": _layout(small),
        "large": {**(_layout(large) or {}), "rows": chosen} if large else None,
        "tree": relations.tree(clustering.get("merge_order", []), rows.sizes),
        "training": curves(at.trained, at.checkpoints),
        "k": _k_evidence(at.assignment, clustering),
        "against": [{k: v for k, v in other.items() if k != "cluster"} for other in others],
        "assignment": clustering["files"]["assignment.csv"][1],
        "space": read_manifest(at.embedding)["space"] if at.embedding else None,
        "corrections": provenance.new_file(clustering),
        "suggestions": suggested(at.assignment, rows),
        "look": hints.facts() if hints else None,
        "levels": levels.facts(rows) if levels else None,
        "no_coarse": why_no_coarse(clustering, rows.k),
    }
    data = columns(rows, index["content"]) | {"others": [other["cluster"] for other in others]}
    data |= hints.columns() if hints else {}
    data |= levels.columns() if levels else {}
    seen = seen_of(at.words, rows)
    facts["seen"] = bool(seen)
    data |= seen
    context = _summary(at, rows, index, clustering) | _sections(at, rows, names, labelled, others)
    doubt = decisions.doubt if decisions else {}
    ordered = sorted(clusters, key=lambda c: -doubt.get(c["number"], 0))
    context |= {"decisions": decisions, "doubt": doubt, "ordered": ordered}
    context |= {"facts": facts, "clusters": clusters, "labelled": labelled, "groups": GROUPS}
    context |= {"kinds": KINDS, "unread": _unread(at.index)}
    # Words that name nothing would mislead.
    shares = name_shares(clustering, at.names)
    context["shares"] = [None if s is None or s >= SURE else f"{s:.0%}" for s in shares]
    context["private"] = bool(at.refreshed_by)  # a folder of one's own, no challenge
    context["evidence"] = _evidence(clustering, found_names(at.names))
    context["reconstructions"] = _inline(pictures / "reconstructions.png")
    context["sheets"] = _named("sheet", small) + _named("large", large)
    context["sheets"] += decisions.pictures if decisions else []
    render(context, data, path)


def _unread(index: Path) -> list[tuple[str, str]]:
    """(file, why) of the images that could not be read."""
    return [(file, row.problem) for row, file in indexed(index) if row.problem]


def data_name(folder: Path, index: dict[str, Any]) -> str:
    """What the images are called: the folder around their `index`, or the challenge.

    Examples
    --------
    >>> data_name(Path("raw/photos/index"), {"challenge": "folder"})
    'photos'
    """
    here = folder.resolve()
    return here.parent.name if here.name == "index" else str(index["challenge"])


def _title(folder: Path, index: dict[str, Any]) -> str:
    """The name of the user's folder or archive where there is one, else of the data set."""
    data = str(index["config"].get("data_dir") or "")
    return Path(data).name or data_name(folder, index)


def _other(rows: Rows, path: Path) -> dict[str, Any]:
    doc = read_manifest(path, "assignment")
    return compared(rows, path, run_name(path), cluster_names(doc, doc["n_clusters"]))


def _chosen(clusters: list[dict[str, Any]], labelled: dict[str, Any] | None) -> list[int]:
    """Rows of the images that are shown large, each once."""
    wanted = shown_of(clusters) + (labelled["mistakes"] if labelled else [])
    return list(dict.fromkeys(wanted))


def _thumbnails(rows: Rows, chosen: list[int], content: str) -> tuple[Sheets | None, Sheets | None]:
    """Small ones of all images, and larger ones of those that stand for clusters."""
    if content == "texts":
        return None, None
    side = side_for(rows.stored)
    small = sheets_of(rows.stored, side, "thumbnails")
    few = [rows.stored[i] for i in chosen]
    wide = side_for(few, LARGE)
    if wide <= small.side:
        return small, None
    return small, sheets_of(few, wide, "gallery", LARGE_BUDGET)


def _layout(sheets: Sheets | None) -> dict[str, int] | None:
    if sheets is None:
        return None
    return {"side": sheets.side, "columns": sheets.columns, "per": sheets.per}


def _named(name: str, sheets: Sheets | None) -> list[tuple[str, str]]:
    return [(f"{name}-{i}", image) for i, image in enumerate(sheets.images)] if sheets else []


def _inline(path: Path) -> str | None:
    """A PNG picture as base64; None where it was not drawn."""
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else None


def _evidence(clustering: dict[str, Any], found: list[tuple[str, str]]) -> list[str]:
    """Why clusters are called so; who named one whose name is by hand is nobody's business."""
    if not found:
        return []
    by_hand = clustering.get("names") or [""] * len(found)
    return [
        why.partition("; ")[2] if mine and why.startswith("by ") else why if name else ""
        for mine, (name, why) in zip(by_hand, found, strict=True)
    ]


def _k_evidence(assignment: Path, clustering: dict[str, Any]) -> dict[str, Any] | None:
    """The curves over K as columns, with each criterion's favourite; None without a vote."""
    found = csv_table(assignment / "k.csv", "k-table", "Every K that was tried")
    if found is None:
        return None
    values = {name: [row[i] for row in found.rows] for i, name in enumerate(found.columns)}
    words = clustering["k_words"]
    favourites = {name: k for name, _, k, _ in words["criteria"]}
    return {"columns": values, "favourites": favourites, "words": words, "k": words["k"]}


def _summary(
    at: Sources, rows: Rows, index: dict[str, Any], clustering: dict[str, Any]
) -> dict[str, Any]:
    """Head of the page: what it is about, the files, the commands."""
    submission = read_manifest(at.submission, "submission") if at.submission else None
    scores = json.loads((at.scores / "scores.json").read_text()) if at.scores else {}
    shown = at.assignment, at.submission, at.scores, at.embedding, at.look, at.names, at.words
    made = lineage(*filter(None, shown))
    seconds = sum(doc["seconds"] for doc in made.values())
    return {
        "title": _title(at.index, index),
        "run": run_name(at.submission or at.assignment),
        "content": index["content"],
        "n": len(rows.ids),
        "total": rows.total,
        "val": int((rows.splits == "val").sum()),
        "k": rows.k,
        "all_k": clustering["n_clusters"],
        "empty": clustering["sizes"].count(0),
        "sizes": rows.sizes,
        "method": clustering.get("head") or clustering["config"].get("method", ""),
        "answer": clustering,
        "tiles": _numbers(
            scores, clustering, rows.total, seconds, max(d["peak_mib"] for d in made.values())
        ),
        "scores": score_table(scores) if scores else None,
        "individual_scores": individual_table(scores),
        "files": sorted(map(str, at.submission.glob("*.csv"))) if at.submission else [],
        "commands": _commands(at, clustering, submission),
        "corrected": provenance.corrected_command(at, clustering, provenance.new_file(clustering)),
        "corrections": clustering.get("corrections"),
        "clustered_once": "copies" in clustering["inputs"],
        "steps": provenance.steps(made),
        "versions": provenance.versions(made),
        "settings": provenance.settings(clustering),
        "machine": {
            "device": clustering.get("device"),
            "cpus": clustering.get("cpus"),
            **clustering.get("variables", {}),
        },
        "hashes": _hashes(at, clustering, submission),
    }


def _numbers(
    scores: dict[str, Any], clustering: dict[str, Any], n: int, seconds: float, peak: int
) -> list[tuple[str, str, str]]:
    """(value, name, explanation) of the numbers at the head of the page."""
    out = []
    for way, of in (
        ("train", "of the images, against labels"),
        ("val_through", "of validation images, through the clustering"),
        ("val_own", "of validation images on their own"),
    ):
        if found := scores.get(way):
            out.append((f"{found['hungarian']:.3f}", "accuracy", of))
    if "stability" in clustering:
        out.append((f"{clustering['stability']:.2f}", "stability", "agreement over seeds"))
    if "estimated_accuracy" in clustering and n >= LEAST:
        told = "told without labels, for this K: off by 0.1 on average"
        out.append((f"{clustering['estimated_accuracy']:.2f}", "estimated accuracy", told))
    took = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
    out.append((took, "computing", "every stage, when it last had something to do"))
    out.append((f"{peak / 1024:.1f} GiB", "memory", "the most of any stage"))
    return out


def _commands(
    at: Sources, clustering: dict[str, Any], submission: dict[str, Any] | None
) -> list[tuple[str, str]]:
    """(what it does, the command)."""
    out = [("This assignment was made by", provenance.command(clustering["argv"]))]
    if at.submission and submission:
        out.append(("and written for the board by", provenance.command(submission["argv"])))
        out.append(("Show what would be sent", provenance.command(["upload", str(at.submission)])))
        out.append(("Make it all again", provenance.command(["reproduce", str(at.submission)])))
    return out


def _hashes(
    at: Sources, clustering: dict[str, Any], submission: dict[str, Any] | None
) -> list[tuple[str, str]]:
    """(file, sha256) of what was answered."""
    docs = [clustering, *([submission] if submission else [])]
    return [
        (name, digest)
        for doc in docs
        for name, (_, digest) in doc["files"].items()
        if name.endswith(".csv")
    ]


def _sections(
    at: Sources,
    rows: Rows,
    names: list[str],
    labelled: dict[str, Any] | None,
    others: list[dict[str, Any]],
) -> dict[str, Any]:
    """The tables below the galleries."""
    distances = relations.distances_of(at.assignment)
    if distances is not None:  # what has no images is not apart from anything
        empty = np.flatnonzero(np.array(rows.sizes) == 0)
        distances[empty], distances[:, empty] = np.nan, np.nan
    return {
        "farthest": relations.farthest(distances),
        "distances": distances if rows.k <= relations.WIDEST else None,
        "pairs": _pairs(distances, names),
        "advice": _advice(distances, names),
        "confused": _confused(rows, names, labelled),
        "candidates": candidate_table(at.assignment / "candidates.csv"),
        "searches": len(read_manifest(at.assignment).get("agreement_of_searches", [1.0])),
        "k_table": csv_table(at.assignment / "k.csv", "k-table", "Every K that was tried"),
        "comparison": _comparison(others),
        "others": others,
    }


def _advice(distances: Any, names: list[str]) -> tuple[str, str, float] | None:
    """The two clusters to merge first: the least apart, with which the tree begins."""
    first = relations.nearest_pairs(distances, 1) if distances is not None else []
    return (names[first[0][0]], names[first[0][1]], first[0][2]) if first else None


def _pairs(distances: Any, names: list[str]) -> Table | None:
    if distances is None:
        return None
    found = relations.nearest_pairs(distances)
    caption = "The pairs least apart: merge from the top"
    return pair_table("pairs", caption, ["cluster", "and", "distance"], found, names, names)


def _confused(rows: Rows, names: list[str], labelled: dict[str, Any] | None) -> Table | None:
    if not labelled or not labelled["pairs"]:
        return None
    head = ["label", "lies in", "images"]
    return pair_table("confused", "Most confused", head, labelled["pairs"], rows.classes, names)


def _comparison(others: list[dict[str, Any]]) -> Table | None:
    if not others:
        return None
    head = ["run", "clusters", "images in both", "ARI", "moved", "share moved"]
    cells = [[o["name"], o["k"], o["common"], o["ari"], o["moved"], o["share"]] for o in others]
    return Table("comparison-table", "This assignment beside others", head, cells)
