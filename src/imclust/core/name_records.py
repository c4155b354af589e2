"""What clusters are called: by hand, else by a `names` artefact; and how many images say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.records import read_csv

NAMES_KIND = "names"  # artefact: what the clusters may be called, and why


def found_names(folder: Path | None) -> list[tuple[str, str]]:
    """(name, evidence) of every cluster, by a `names` artefact; nothing without one.

    Examples
    --------
    >>> found_names(None)
    []
    """
    if folder is None:
        return []
    read_manifest(folder, NAMES_KIND)
    return [(r["name"], r["evidence"]) for r in read_csv(artifact_file(folder, "names.csv"))]


def name_shares(doc: Mapping[str, Any], folder: Path | None) -> list[float | None]:
    """Of each cluster, the share of its images in which its name is seen, by a `names` artefact;
    None where it is by hand, or of a model that does not say it.

    Examples
    --------
    >>> name_shares({"n_clusters": 2}, None)
    [None, None]
    """
    shares: list[float | None] = [None] * doc["n_clusters"]
    if folder is None:
        return shares
    given = doc.get("names") or [""] * doc["n_clusters"]
    for c, row in enumerate(read_csv(artifact_file(folder, "names.csv"))):
        if row["name"] and row.get("share") and not given[c]:
            shares[c] = float(row["share"])
    return shares


def named(doc: Mapping[str, Any], folder: Path | None) -> list[str]:
    """What each cluster of an assignment is called: by hand, else by `names`, else "".

    Examples
    --------
    >>> named({"n_clusters": 2, "names": ["sea", ""]}, None)
    ['sea', '']
    """
    k = doc["n_clusters"]
    given = doc.get("names") or [""] * k
    found = found_names(folder) or [("", "")] * k
    return [name or other for name, (other, _) in zip(given, found, strict=True)]


def names_before(doc: Mapping[str, Any]) -> list[tuple[str, str] | None]:
    """(name, evidence) of clusters of an assignment that were named before it was grown or
    corrected; None of others.

    Examples
    --------
    >>> names_before({"n_clusters": 2, "found_names": [["sea", "sea 0.82"], None]})
    [('sea', 'sea 0.82'), None]
    """
    found = doc.get("found_names") or [None] * doc["n_clusters"]
    return [(str(pair[0]), str(pair[1])) if pair else None for pair in found]


def namesakes(names: Sequence[str]) -> dict[str, list[int]]:
    """Names that several clusters have, whatever their case, and which these are.

    Examples
    --------
    >>> namesakes(["Sea", "hill", "sea", ""])
    {'Sea': [0, 2]}
    """
    found: dict[str, list[int]] = {}
    for c, name in enumerate(names):
        if name:
            found.setdefault(name.casefold(), []).append(c)
    return {names[same[0]]: same for same in found.values() if len(same) > 1}
