"""The flags of `cluster` that say what is known beforehand, and the tables that they name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from imclust.clustering.priors import Priors, Proportions, RowOrder
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import file_digest
from imclust.core.records import read_pairs

OptionalPath = Optional[Path]  # noqa: UP045  (tyro reads this faster, see cli/parser.py)


@dataclass(frozen=True)
class PriorFlags:
    """What is known beforehand. The defaults change nothing; priors speak of the fitted rows."""

    proportions: str = "free"
    """Sizes of the clusters: free (as found), uniform, or K numbers such as 0.7,0.3 in any order
    (with --anchors: in that of the names)."""
    min_effective: float = 0.0
    """Smallest effective number of clusters, exp(entropy of the sizes), from 0 (off) to K; sizes
    are brought towards equal ones as little as that takes."""
    row_order: RowOrder = "ignore"
    """Use the order of the rows: K contiguous `segments`, or `smooth` the probabilities along it.
    Never where files were sorted by label."""
    must_link: OptionalPath = None
    """CSV with columns a,b: ids of images that share a cluster."""
    cannot_link: OptionalPath = None
    """CSV with columns a,b: ids of images that do not."""
    anchors: OptionalPath = None
    """CSV with columns id,label of a few images: say which cluster gets which number (numbers stay,
    names are sorted), and nothing else."""


TABLES = {"must_link": ("a", "b"), "cannot_link": ("a", "b"), "anchors": ("id", "label")}


def as_given(flags: PriorFlags, k: int | None) -> dict[str, Any]:
    """The flags for a manifest, tables by the digest of what they hold.

    Parameters
    ----------
    flags : PriorFlags
        As given.
    k : int, optional
        Clusters; None where it is voted on later.

    Raises
    ------
    InputError
        Sizes that do not fit K, or no such table.

    Examples
    --------
    >>> as_given(PriorFlags("0.7,0.3"), k=2)["proportions"]
    [0.7, 0.3]
    """
    sizes = Priors(_proportions(flags.proportions), flags.min_effective, flags.row_order)
    if k is not None:  # else it is voted on later
        sizes.check(0, k)
    given = sizes.proportions
    doc: dict[str, Any] = {"proportions": given if isinstance(given, str) else list(given)}
    doc |= {"min_effective": flags.min_effective, "row_order": flags.row_order}
    for name in TABLES:
        path: Path | None = getattr(flags, name)
        if path is not None and not path.is_file():
            raise input_error(_flag(name), "a CSV file", f"no such file: {path}", "check the path")
        doc[name] = file_digest(path) if path else None
    return doc


def read_priors(flags: PriorFlags, ids: np.ndarray, k: int) -> tuple[Priors, dict[str, Any]]:
    """The priors by row number, and for the manifest the names of the clusters if all have one.

    Parameters
    ----------
    flags : PriorFlags
        As given.
    ids : np.ndarray
        (n,) str of the rows that are fitted.
    k : int
        clusters.

    Raises
    ------
    InputError
        A table that cannot be read, an id that is none of these rows, too many names.

    Examples
    --------
    >>> _ = Path("anchors.csv").write_text("id,label\\na,sea\\nb,hill\\n")
    >>> priors, facts = read_priors(PriorFlags(anchors=Path("anchors.csv")), np.array([*"ab"]), k=2)
    >>> priors.anchors, facts
    (((0, 1), (1, 0)), {'classes': ['hill', 'sea']})
    """
    where = {i: r for r, i in enumerate(ids.tolist())}
    pairs = {name: _table(flags, name) for name in TABLES}
    links = {
        name: tuple((_row(a, where, name), _row(b, where, name)) for a, b in pairs[name])
        for name in ("must_link", "cannot_link")
    }
    classes = _classes([label for _, label in pairs["anchors"]])
    if classes and max(classes.values()) >= k:
        got = f"{', '.join(list(classes)[-5:])}"
        allowed = f"numbers from 0 to {k - 1}, or at most {k} names"
        raise input_error("labels of --anchors", allowed, got, "raise K or merge names")
    anchors = tuple((_row(i, where, "anchors"), classes[c]) for i, c in pairs["anchors"])
    priors = Priors(
        _proportions(flags.proportions),
        flags.min_effective,
        flags.row_order,
        **links,
        anchors=anchors,
    )
    priors.check(len(ids), k)
    names = {number: name for name, number in classes.items()}
    return priors, {"classes": [names[c] for c in range(k)]} if len(names) == k else {}


def report_priors(facts: dict[str, Any], priors: Priors) -> None:
    """Say what the user should know: an order that was not used, and sizes out of reach.

    Parameters
    ----------
    facts : dict
        Of the assignment, as `apply_priors` gives them.
    priors : Priors
        That were asked for.

    Examples
    --------
    >>> found = {"sizes": {"wanted": [3, 3], "reached": [4, 2]}}
    >>> report_priors({"row_order": {"significant": False}, "priors": found}, Priors())
    sizes asked for: [3, 3]; the probabilities allow [4, 2]
    """
    order = facts["row_order"]
    if priors.row_order == "ignore" and order["significant"]:
        say(
            f"{order['says']}; --row-order segments or smooth uses it, if rows were not put in "
            "order by label"
        )
    found = facts.get("priors", {})
    sizes = found.get("sizes", {})
    pairs = list(zip(sizes.get("wanted", ()), sizes.get("reached", ()), strict=False))
    if sum(abs(a - b) for a, b in pairs) > 0.01 * sum(a for a, _ in pairs):
        say(f"sizes asked for: {sizes['wanted']}; the probabilities allow {sizes['reached']}")
    if found.get("effective", math.inf) < priors.min_effective - 0.005:
        say(f"effective number of clusters: {found['effective']}, {priors.min_effective} asked for")
    anchors = found.get("anchors", {})
    if anchors and anchors["agree"] < anchors["rows"]:
        say(f"anchors: {anchors['agree']} of {anchors['rows']} agree with their cluster's name")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _proportions(text: str) -> Proportions:
    if text == "free":
        return "free"
    if text == "uniform":
        return "uniform"
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        do = "write for example --proportions 0.7,0.3"
        allowed = "uniform, free, or numbers with commas"
        raise input_error("--proportions", allowed, repr(text), do) from None


def _table(flags: PriorFlags, name: str) -> list[tuple[str, str]]:
    """The two columns of one of the tables; none where it is not given."""
    path: Path | None = getattr(flags, name)
    if path is None:
        return []
    return read_pairs(path, *TABLES[name])


def _row(image: str, where: dict[str, int], name: str) -> int:
    if image not in where:
        raise InputError(
            f"{_flag(name)} must name images that are fitted; got {image!r}, which is none of "
            f"{len(where)}; check the id."
        )
    return where[image]


def _classes(labels: list[str]) -> dict[str, int]:
    """Number of every class: numbers stand for themselves, names are sorted."""
    found = sorted(set(labels))
    if all(name.isdecimal() for name in found):
        return {name: int(name) for name in sorted(found, key=int)}
    return {name: i for i, name in enumerate(found)}
