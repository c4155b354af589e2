"""What an index wants handed in, and whether a file is that."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from imclust.competitions.sample_submission import SampleFormat
from imclust.competitions.submission import (
    Sample,
    SubmissionCheck,
    check_submission,
    natural,
    plain_sample,
    vocabulary,
    with_header,
)
from imclust.competitions.submission_forms import read_form
from imclust.core.errors import ServiceError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, artifact_file, read_manifest
from imclust.core.records import read_published
from imclust.core.wording import counted
from imclust.data.images import load_index

DATA = Path("data/raw")
LISTED = 5  # problems in a refusal
SHOWN = 12  # labels whose counts are told


def challenge_of(index: Path) -> dict[str, Any]:
    """The manifest of an `index` artefact.

    Examples
    --------
    >>> challenge_of(Path("raw/index"))["challenge"]
    'imagefolder'
    """
    doc = read_manifest(index, "index")
    if "rules" not in doc:
        do = "run download again"
        raise input_error(
            str(index), "an index that knows the rules", "one of an older version", do
        )
    return doc


def sample_of(index: Path, header: str | None = None) -> Sample:
    """The template of the submissions to the challenge of an `index` artefact.

    Parameters
    ----------
    index : Path
        The artefact.
    header : str, optional
        Another first line.

    Raises
    ------
    InputError
        The header does not fit, or the form has none.

    Examples
    --------
    >>> sample = sample_of(Path("raw/index"), "image,class")
    >>> sample.names, len(sample.ids)
    (('image', 'class'), 24)
    """
    doc = challenge_of(index)
    if (index / "sample.csv").is_file():
        form = SampleFormat(**doc["sample"])
        ids = ids_of(index) if form.form == "lines" else []
        sample = read_form(artifact_file(index, "sample.csv"), form, ids, len(ids))
        if sample.form == "lines":
            sample = replace(sample, ids=tuple(ids))
    else:
        sample = plain_sample(ids_of(index), (doc["columns"][0], doc["columns"][1]))
    if header is not None and sample.form in ("lines", "members"):
        do = "leave it out"
        raise input_error("--header", "used where a row has an id and a label", sample.form, do)
    return sample if header is None else with_header(sample, header)


def ids_of(index: Path) -> list[str]:
    """What a submission has a row of: images to cluster, in order, or pairs.

    Examples
    --------
    >>> ids_of(Path("raw/index"))[:2]
    ['dune/00.png', 'dune/01.png']
    """
    if challenge_of(index)["pairs"]:
        return pairs_of(index)[0]
    return [r.id for r in load_index(index) if r.split == "train"]


def pairs_of(index: Path) -> tuple[list[str], list[str], list[str]]:
    """Id, one image and the other of every pair that an index asks about.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> from imclust.core.log import silent
    >>> _ = Path("photos/test_case.csv").write_text("id,one,other\\n0,dune/00,lake/00\\n")
    >>> with silent():
    ...     _ = main("download --out asked pairs --data-dir photos".split())
    >>> pairs_of(Path("asked/index"))
    (['0'], ['dune/00.png'], ['lake/00.png'])
    """
    ids, left, right = [], [], []
    with artifact_file(index, "pairs.csv").open(newline="", encoding="utf-8") as f:
        rows = csv.reader(f)
        next(rows)
        for i, a, b in rows:  # a million: as columns, for a list a row takes five times as long
            ids.append(i)
            left.append(a)
            right.append(b)
    return ids, left, right


def published(index: Path) -> dict[str, str]:
    """The labels beside an index that its challenge gives away; mostly none.

    Examples
    --------
    >>> published(Path("raw/index")), len(published(Path("known/index")))
    ({}, 18)
    """
    there = index.parent / "published"
    return read_published(there) if (there / MANIFEST).is_file() else {}


def names_of(
    sample: Sample, n_clusters: int, classes: list[str] | None, given: dict[str, str]
) -> tuple[str, ...]:
    """The labels that a submission may hold, that of cluster 0 first.

    Parameters
    ----------
    classes : list[str] | None
        Names that the clusters have, if any: taken unless the sample has K other labels.
    given : dict[str, str]
        Labels that the challenge gives away; when there are K of them, they are names too.

    Examples
    --------
    >>> sample = plain_sample(["a", "b"], ("id", "label"))
    >>> names_of(sample, 2, None, {}), names_of(sample, 2, ["dune", "lake"], {})
    (('0', '1'), ('dune', 'lake'))
    """
    own = vocabulary(sample, n_clusters)
    if classes and (len(sample.values) != n_clusters or set(classes) == set(own)):
        return tuple(classes)
    if classes:
        say(f"clusters are named {', '.join(classes)}, but the sample wants {', '.join(own)}")
    names = natural(set(given.values()))
    decided = len(sample.values) == n_clusters or set(names) <= set(own)
    return own if decided or len(names) != n_clusters else names


def index_of(challenge: str | None, index: Path | None) -> Path:
    """The index that is meant: itself, or by the name of the data set.

    Examples
    --------
    >>> index_of(None, Path("raw/index")).as_posix()
    'raw/index'
    """
    if index is not None:
        return index
    if challenge is None:
        raise input_error("--check", "with --challenge NAME (or --index)", "neither", "add one")
    there = DATA / challenge / "index"
    if not (there / MANIFEST).is_file():
        known = sorted(p.parent.parent.name for p in DATA.glob(f"*/index/{MANIFEST}"))
        allowed = f"a data set in {DATA}" + (f" ({', '.join(known)})" if known else "")
        raise input_error("--challenge", allowed, challenge, "run download first, or give --index")
    return there


def checked_file(
    path: Path, index: Path, header: str | None, n_clusters: int | None
) -> SubmissionCheck:
    """A look at any file as a submission to the challenge of an index.

    Labels are those of the run where the file lies with its manifest, else the challenge's.

    Parameters
    ----------
    path : Path
        The file.
    index : Path
        The `index` artefact.
    header : str, optional
        Its first line, where it differs from the sample's.
    n_clusters : int, optional
        K, where the challenge does not say it.

    Examples
    --------
    >>> file = Path("submissions/first/submission.csv")
    >>> found = checked_file(file, Path("raw/index"), None, None)
    >>> found.problems, found.rows
    ([], 24)
    """
    sample = sample_of(index, header)
    if read_manifest(index).get("individuals"):  # clusters are called as one likes
        return check_submission(path, sample, ())
    k = n_clusters or read_manifest(index)["n_clusters"]
    labels: tuple[str, ...] = sample.values if len(sample.values) > 1 else ()
    if (names := _manifest(path).get("labels")) and len(sample.values) != len(names):
        labels = tuple(names)
    elif k is not None:
        labels = names_of(sample, k, None, published(index))
    return check_submission(path, sample, labels)


def contents(found: SubmissionCheck) -> str:
    """How many rows a file has, and of which label, for the user.

    Examples
    --------
    >>> from collections import Counter
    >>> contents(SubmissionCheck(rows=3, counts=Counter({"0": 2, "1": 1})))
    '3 rows, labels: 2 of 0, 1 of 1'
    """
    shown = natural(found.counts)[:SHOWN]
    counts = ", ".join(f"{found.counts[label]} of {label}" for label in shown)
    more = ", ..." * (len(found.counts) > SHOWN)
    return f"{counted(found.rows, 'row')}, labels: {counts}{more}"


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of the submission that a file is part of; empty for files made elsewhere."""
    note = path.parent / MANIFEST
    doc = json.loads(note.read_text()) if note.is_file() else {}
    return doc if doc.get("kind") == "submission" and path.name in doc["files"] else {}


def rejected(path: Path, name: str, problems: list[str]) -> ServiceError:
    """The refusal of a file with these problems.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Of what it must fit.
    problems : list of str
        As `check` gives them.

    Examples
    --------
    >>> str(rejected(Path("a.csv"), "the board", ["no header"]))
    'a.csv must fit the board; got (1) no header; correct it and check again.'
    """
    shown = "; ".join(f"({i}) {p}" for i, p in enumerate(problems[:LISTED], 1))
    more = f"; and {len(problems) - LISTED} more" * (len(problems) > LISTED)
    return ServiceError(
        "rejected-file", f"{path} must fit {name}; got {shown}{more}; correct it and check again."
    )
