"""`submit`: the file that the leaderboard wants, and its inverted twin for two clusters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclust.artifacts import Order, produce, read_manifest
from imclust.checks import Refusal
from imclust.images import load_index
from imclust.ledger import LOG, record, rows_of
from imclust.log import say
from imclust.records import Assignment, positions, write_csv


@dataclass(frozen=True)
class Submit:
    """Write submission.csv: one row an image, ids and header as the challenge wants them."""

    assignment: Path
    """The `assignment` artefact, from `cluster`."""
    index: Path
    """The `index` artefact; knows ids, order and header."""
    out: Path
    """Folder of the submission, for example submissions/photos/fast-seed0."""
    log: Path = LOG
    """The ledger that the files are entered into."""
    scores: Path | None = None
    """The `scores` artefact of this assignment, for the ledger only: nothing is chosen by it."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Submit) -> None:
    """Run the stage."""
    order = Order(
        "submission",
        {},
        {"assignment": cfg.assignment, "index": cfg.index},
        ("stages.submit",),
    )
    produce(cfg.out, order, lambda folder: _submit(cfg, folder), force=cfg.force)
    for path in sorted(cfg.out.glob("*.csv")):
        say(f"submission: {path}")
    for row in rows_of(cfg.out, cfg.log, cfg.scores):
        record(cfg.log, row)


def _submit(cfg: Submit, folder: Path) -> dict[str, Any]:
    import numpy as np

    challenge = read_manifest(cfg.index, "index")
    assignment = Assignment.load(cfg.assignment)
    if read_manifest(cfg.assignment)["track"] == "open" and not challenge["allows_pretrained"]:
        raise Refusal(
            f"A submission to {challenge['challenge']} must use no pretrained weights; got a run "
            "of the open track; train an encoder from scratch."
        )
    rows = [r for r in load_index(cfg.index) if r.split == "train"]
    readable = np.array([not r.problem for r in rows])
    ids = np.array([r.id for r in rows])
    labels = np.empty(len(rows), np.int64)
    labels[readable] = assignment.clusters[positions(assignment.ids, ids[readable])]
    if not readable.all():
        largest = int(np.bincount(labels[readable]).argmax())
        labels[~readable] = largest
        say(f"{(~readable).sum()} images set aside get the largest cluster, {largest}")
    columns = tuple(challenge["columns"])
    write_csv(folder / "submission.csv", columns, zip(ids, labels, strict=True))
    if assignment.probabilities.shape[1] == 2:
        inverted = zip(ids, 1 - labels, strict=True)
        write_csv(folder / "submission_inverted.csv", columns, inverted)
    return {"rows": len(rows), "set_aside": int((~readable).sum())}
