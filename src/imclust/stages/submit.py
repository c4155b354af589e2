"""`submit`: the file that the leaderboard wants, its inverted twin for two classes, and the check
of files made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.competitions.ledger import LOG, record
from imclust.competitions.ledger_rows import rows_of
from imclust.competitions.orientation import Orientation, by_id, orient, read_known
from imclust.competitions.submission import Sample, check_submission, vocabulary, write
from imclust.competitions.submission_check import (
    challenge_of,
    checked_file,
    contents,
    index_of,
    names_of,
    pairs_of,
    published,
    rejected,
    sample_of,
)
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.nearest_records import clusters_of
from imclust.core.parquet import check_parquet, write_shards
from imclust.core.records import read_csv, rows_of_ids
from imclust.core.wording import counted
from imclust.data.images import load_index


@dataclass(frozen=True)
class Submit:
    """Write submission.csv: one row an image (or pair), ids and header as the challenge wants them;
    or check a file that was made elsewhere (--check)."""

    assignment: Path | None = None
    """The `assignment` artefact, from `cluster`."""
    index: Path | None = None
    """The `index` artefact; knows ids, order and header."""
    out: Path | None = None
    """Folder of the submission, for example submissions/photos/conv-ae-homework-seed0."""
    check: Path | None = None
    """Write nothing: look at this file, and say whether it fits --challenge (or --index)."""
    challenge: str | None = None
    """With --check: the data set, as it is called in data/raw."""
    n_clusters: int | None = None
    """With --check: K, where the challenge does not say it."""
    header: str | None = None
    """The first line, if it shall differ from the sample's, such as "id, label"."""
    known: str | None = None
    """A few known labels, to tell which cluster is which: those of the first rows, such as
    0,1,0,1,0, or a CSV file with columns id,label. Unless given: those that the task gives away."""
    allow_rule_violation: bool = False
    """Write it even if the challenge forbids the pretrained weights that the run used."""
    log: Path = LOG
    """The ledger that the files are entered into."""
    parquet: bool = False
    """Also submission.parquet/: columns id and label in files of a million rows."""
    scores: Path | None = None
    """The `scores` artefact of this assignment, for the ledger only: nothing is chosen by it."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Submit) -> None:
    """Read an `assignment` and an `index`, write a `submission` and its rows in the ledger.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("submit --assignment run/clusters --index raw/index --out submissions/second".split())
    submission: submissions/second/submission.csv
    submission: submissions/second/submission_inverted.csv
    0
    """
    if cfg.check is not None:
        _check(cfg, cfg.check)
        return
    if cfg.assignment is None or cfg.index is None or cfg.out is None:
        allowed = "given, all three, unless a file is checked (--check)"
        raise input_error("--assignment, --index and --out", allowed, "fewer", "add the others")
    if cfg.challenge is not None or cfg.n_clusters is not None:
        do = "leave them out, or add --check FILE"
        raise input_error("--challenge and --n-clusters", "used with --check", "no --check", do)
    if cfg.parquet:
        check_parquet()
    known = None if cfg.known is None else read_known(cfg.known)
    config = {
        "header": cfg.header,
        "known": known,
        "allow_rule_violation": cfg.allow_rule_violation,
    } | ({"parquet": True} if cfg.parquet else {})
    roles = {"assignment": cfg.assignment, "index": cfg.index}
    if known is None and published(cfg.index):
        roles["published"] = cfg.index.parent / "published"
    spec = ArtifactSpec("submission", config, roles, (__name__,))
    broken = cfg.allow_rule_violation
    job = _Job(cfg.assignment, cfg.index, cfg.header, known, broken, cfg.parquet)
    make_artifact(cfg.out, spec, job.write, force=cfg.force)
    for path in sorted(cfg.out.glob("*.csv")):
        say(f"submission: {path}")
    for row in rows_of(cfg.out, cfg.log, cfg.scores):
        record(cfg.log, row)


def _check(cfg: Submit, path: Path) -> None:
    """Say what was looked at, then that it fits.

    Raises
    ------
    ServiceError
        It does not.
    """
    given = [f for f in ("assignment", "out", "known") if getattr(cfg, f) is not None]
    if given:
        got, do = f"--{given[0]} too", "leave it out"
        raise input_error("--check FILE", "with --challenge or --index alone", got, do)
    if (path / "submission.csv").is_file():
        path = path / "submission.csv"
    index = index_of(cfg.challenge, cfg.index)
    name = cfg.challenge or read_manifest(index, "index")["challenge"]
    say(f"checking header, rows, ids, order and labels of {path} against {index}")
    found = checked_file(path, index, cfg.header, cfg.n_clusters)
    if found.problems:
        raise rejected(path, name, found.problems)
    say(f"{path} fits {name}: {contents(found)}")


@dataclass(frozen=True)
class _Job:
    """One submission to write. `known`: as `read_known` gives it, None for what is published."""

    assignment: Path
    index: Path
    header: str | None
    known: list[str] | dict[str, str] | None
    allow_rule_violation: bool
    parquet: bool

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the files; returns the facts for the manifest."""
        challenge = challenge_of(self.index)
        made = read_manifest(self.assignment, "assignment")
        broken = made["track"] == "open" and challenge["rules"] == "scratch"
        self._obey(broken, challenge["challenge"])
        sample = sample_of(self.index, self.header)
        facts: dict[str, Any] = {}
        ids, clusters, aside = _every_image(self.assignment, self.index)
        if challenge["pairs"]:
            labels, names = self._pairs(sample, ids, clusters), vocabulary(sample, 2)
        elif challenge.get("individuals"):  # clusters are called as one likes: nothing to orient
            labels = clusters[rows_of_ids(ids, _array(sample.ids))]
            names = tuple(made.get("names") or names_of(sample, made["n_clusters"], None, {}))
            if sample.form == "indicators":  # whose columns are the clusters, so many and no more
                used, labels = np.unique(labels, return_inverse=True)
                names = vocabulary(sample, len(used))
        else:
            given = published(self.index)
            names = names_of(sample, made["n_clusters"], made.get("classes"), given)
            at = clusters[rows_of_ids(ids, _array(sample.ids))]
            mapping, facts = self._oriented(sample, at, names, given)
            labels = mapping[at]
        files = {"submission.csv": labels}
        free = challenge["pairs"] or challenge.get("individuals") or sample.form == "matches"
        if len(names) == 2 and not free:
            files["submission_inverted.csv"] = 1 - labels
        for file, numbers in files.items():
            texts = _outlying(self.assignment, sample, [names[n] for n in numbers.tolist()])
            _write_and_check(folder / file, sample, texts, names, challenge["challenge"])
        if self.parquet:
            texts = _outlying(self.assignment, sample, [names[n] for n in labels.tolist()])
            table = {"id": list(sample.ids), "label": texts}
            write_shards(folder / "submission.parquet", table)
        return facts | {
            "rows": len(labels),
            "set_aside": aside,
            "labels": list(names),
            "rules": challenge["rules"],
            "rules_broken": broken,
        }

    def _obey(self, broken: bool, name: str) -> None:
        if broken and not self.allow_rule_violation:
            raise InputError(
                f"A submission to {name} must use no pretrained weights; got a run of the open "
                "track; train an encoder from scratch, or write it all the same with "
                "--allow-rule-violation."
            )
        if broken:
            say(f"the rules of {name} forbid the pretrained weights of this run: do not hand it in")

    def _pairs(self, sample: Sample, ids: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """1 where both images of a pair fell in the same cluster, else 0: (n,) int64."""

        if self.known is not None:
            do = "leave it out"
            raise input_error(
                "--known", "used where clusters have names", "a challenge of pairs", do
            )
        cases, *sides = pairs_of(self.index)
        left, right = (clusters[rows_of_ids(ids, _array(side))] for side in sides)
        same = (left == right).astype(np.int64)
        say(f"{same.sum()} of {len(same)} pairs are of one cluster; which is which does not matter,"
            " so there is no inverted twin")  # fmt: skip
        return same[rows_of_ids(_array(cases), _array(sample.ids))]

    def _oriented(
        self, sample: Sample, clusters: np.ndarray, names: tuple[str, ...], given: dict[str, str]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Number of the label of every cluster (k,), and the facts of how it was found."""

        stay = np.arange(len(names))
        known = given if self.known is None else by_id(self.known, sample.ids)
        if not known:
            return stay, {"orientation": None}
        odd = sorted(set(known.values()) - set(names))[:5]
        if odd and self.known is not None:
            allowed, do = f"labels of the submission ({', '.join(names[:12])})", "correct them"
            raise input_error("labels of --known", allowed, ", ".join(odd), do)
        if odd:
            say(f"orientation: published labels ({', '.join(odd)}, ...) are none of the submission")
            return stay, {"orientation": None}
        rows = rows_of_ids(_array(sample.ids), _array(list(known)))
        number = {name: n for n, name in enumerate(names)}
        labels = np.array([number[label] for label in known.values()])
        found: Orientation = orient(clusters[rows], labels, len(names))
        say(found.says())
        source = "published" if self.known is None else "known"
        return np.array(found.mapping), {"orientation": found.facts() | {"source": source}}


def _every_image(assignment: Path, index: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Ids (n,) of the images to cluster, their clusters (n,), and how many were set aside.

    Those that were set aside as unreadable get the largest cluster.
    """

    clustering = clusters_of(assignment)
    rows = [r for r in load_index(index) if r.split == "train"]
    readable = np.array([not r.problem for r in rows])
    ids = _array([r.id for r in rows])
    clusters = np.empty(len(rows), np.int64)
    clusters[readable] = clustering.clusters[rows_of_ids(clustering.ids, ids[readable])]
    aside = int((~readable).sum())
    if aside:
        largest = int(np.bincount(clusters[readable]).argmax())
        clusters[~readable] = largest
        get = "gets" if aside == 1 else "get"
        say(f"{counted(aside, 'image')} set aside {get} the largest cluster, {largest}")
    return ids, clusters, aside


def _array(texts: Any) -> np.ndarray:

    return np.array(texts, dtype=str)


def _outlying(assignment: Path, sample: Sample, labels: list[str]) -> list[str]:
    """The labels (n,), with one of its own for every image that `--unclustered` found to belong
    nowhere, where the submission has a word for such images."""
    if sample.outliers is None or "unclustered.csv" not in read_manifest(assignment)["files"]:
        return labels
    table = read_csv(artifact_file(assignment, "unclustered.csv"))
    out = {r["id"] for r in table if r["cluster"] == "-1"}
    pairs = zip(sample.ids, labels, strict=True)
    return [f"{label}\n{i}" if i in out else label for i, label in pairs]


def _write_and_check(
    path: Path, sample: Sample, labels: list[str], names: tuple[str, ...], challenge: str
) -> None:
    """Write the labels, read the file back, refuse what does not fit.

    Raises
    ------
    ServiceError
        The file is not what the challenge wants.
    """
    write(path, sample, labels)
    alone = len(set(labels)) == 1  # an assignment, if a poor one: said, not refused
    found = check_submission(path, sample, (labels[0],) if alone else names)
    if found.problems:
        raise rejected(path, challenge, found.problems)
    if alone and len(labels) > 1:
        say(f"every row of {path.name} has the label {labels[0]!r}")
