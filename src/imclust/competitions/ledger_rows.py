"""What the ledger is told of a submission: from what it was made, and how right each file is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from imclust.competitions.ledger import Row, as_text
from imclust.core.errors import InputError, input_error
from imclust.core.manifest import artifact_file, file_digest, lineage, read_manifest

HERE_ONLY = ("sources", "weights_stat")  # times and places of files: no settings
PLACES = {  # flags that a run gives to every stage, and what other columns tell
    *("--index", "--features", "--out", "--split", "--seed", "--n-clusters", "--weights"),
    *("--assignment", "--init-weights", "--n-clusters-from", "--force"),
}


def rows_of(submission: Path, log: Path, scores: Path | None = None) -> list[Row]:
    """Rows of the files of a `submission` artefact, as they are before anything is sent.

    Parameters
    ----------
    submission : Path
        Its folder.
    log : Path
        The log that the rows are for.
    scores : Path | None, optional
        The `scores` artefact of the same assignment, if there is one.

    Raises
    ------
    InputError
        No submission, or scores of another assignment.

    Examples
    --------
    >>> for row in rows_of(Path("submissions/first"), Path("submissions/log.csv")):
    ...     row.file, row.encoder, row.head, row.k
    ('submission.csv', 'pixels', 'kmeans', '2')
    ('submission_inverted.csv', 'pixels', 'kmeans', '2')
    """
    doc = read_manifest(submission, "submission")
    index = read_manifest(submission / doc["inputs_at"]["index"], "index")
    assignment = read_manifest(submission / doc["inputs_at"]["assignment"], "assignment")
    right = file_accuracies(submission, scores) if scores else {}
    made = _made_from(submission)
    weights = next((d for d in made.values() if d["kind"] == "weights"), None)
    row = Row(
        challenge=index["challenge"],
        run=submission.resolve().name,
        submission=place_of(submission, log),
        config=_config_digest(made) if made else "",
        encoder=method_words(weights) if weights else "",
        head=method_words(assignment),
        k=str(assignment["n_clusters"]),
        git=doc["git"] or "",
        track=doc["track"],
        label_free=_label_free(assignment, scores),
        written=doc["written"],
    )
    files = sorted(name for name in doc["files"] if name.endswith(".csv"))
    return [
        replace(row, file=n, sha256=file_digest(submission / n), validation=as_text(right.get(n)))
        for n in files
    ]


def file_accuracies(submission: Path, scores: Path) -> dict[str, float]:
    """How right each file of a submission is, as it stands, by the labels at hand.

    Parameters
    ----------
    submission : Path
        The `submission` artefact.
    scores : Path
        The `scores` artefact of the same assignment.

    Returns
    -------
    dict of str to float
        File -> accuracy. A file and its inverted twin add up to 1, unless their labels are other
        names than those at hand: then both have the accuracy of the grouping. Empty where no
        label is known.

    Raises
    ------
    InputError
        The scores are those of another assignment.

    Examples
    --------
    >>> file_accuracies(Path("submissions/first"), Path("run/scores"))
    {'submission.csv': 1.0, 'submission_inverted.csv': 1.0}
    """
    doc = read_manifest(submission, "submission")
    of = read_manifest(scores, "scores")["inputs"]["assignment"]
    if of != doc["inputs"]["assignment"]:
        got = "those of another assignment"
        raise input_error(str(scores), "scores of the submission", got, "run score again")
    table = json.loads(artifact_file(scores, "scores.json").read_text())
    known, train = table["val_through"], table["train"]
    if known is None and train and train["n"] == sum(table["label_free"]["sizes"]):
        known = train
    if known is None:
        return {}
    files, names, counts = (
        [n for n in doc["files"] if n.endswith(".csv")],
        doc["labels"],
        known["counts"],
    )
    if len(files) != 2 or not set(counts) <= set(names):
        grouping = known.get("accuracy", known["hungarian"])
        return dict.fromkeys(files, grouping)
    mapping = (doc["orientation"] or {}).get("mapping", [0, 1])
    hits = sum(counts.get(names[label], [0, 0])[c] for c, label in enumerate(mapping))
    right = round(hits / known["n"], 4)
    return {"submission.csv": right, "submission_inverted.csv": round(1 - right, 4)}


def which_fits(right: Mapping[str, float]) -> str:
    """One line on which of two twin files the labels at hand speak for; empty without any.

    Parameters
    ----------
    right : mapping of str to float
        File -> accuracy, as `file_accuracies` has it.

    Examples
    --------
    >>> which_fits({"submission.csv": 0.25, "submission_inverted.csv": 0.75})
    'submission_inverted.csv fits valY: accuracy 0.7500 (submission.csv: 0.2500)'
    """
    if len(set(right.values())) < 2:
        return ""
    (worse, low), (better, high) = sorted(right.items(), key=lambda pair: pair[1])
    return f"{better} fits valY: accuracy {high:.4f} ({worse}: {low:.4f})"


def method_words(doc: Mapping[str, Any]) -> str:
    """The method that made an artefact, with the flags that its command gave.

    Parameters
    ----------
    doc : mapping
        Its manifest.

    Examples
    --------
    >>> method_words({"argv": ["cluster", "--out", "c", "auto"], "config": {"method": "auto"}})
    'auto'
    """
    method = doc["config"].get("method") or doc["kind"]
    kept, found = "", [method]
    for word in doc["argv"][1:]:
        if word.startswith("--"):
            kept = "" if word in PLACES else word
            found += [kept] if kept else []
        elif kept and word != method:
            found.append(word)
    return " ".join(found)


def place_of(submission: Path, log: Path) -> str:
    """A folder as the log names it: from the log's own folder where both lie in one workspace.

    Examples
    --------
    >>> place_of(Path("submissions/photos/first"), Path("submissions/log.csv"))
    'photos/first'
    """
    there, home = submission.resolve(), log.resolve().parent
    if there.is_relative_to(home.parent) and home.parent != Path(home.anchor):
        return Path(os.path.relpath(there, home)).as_posix()
    return str(there)


def _config_digest(made: dict[Path, dict[str, Any]]) -> str:
    """Digest of the settings of a whole lineage, whatever the times and places of its files."""
    configs = [
        [doc["kind"], {k: v for k, v in doc["config"].items() if k not in HERE_ONLY}]
        for doc in made.values()
    ]
    return hashlib.sha256(json.dumps(configs, sort_keys=True).encode()).hexdigest()[:16]


def _made_from(submission: Path) -> dict[Path, dict[str, Any]]:
    """`lineage` of a submission; empty when something it was made from has been deleted."""
    try:
        return lineage(submission)
    except InputError:
        return {}


def _label_free(assignment: Mapping[str, Any], scores: Path | None) -> str:
    """The score of an assignment that needs no labels, as text."""
    free = assignment.get("estimated_accuracy", assignment.get("stability"))
    if free is None and scores is not None:
        table = json.loads(artifact_file(scores, "scores.json").read_text())
        free = table["label_free"].get("stability")
    return as_text(free)
