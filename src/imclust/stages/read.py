"""`read`: an answer made elsewhere becomes an assignment, whatever its form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.competitions.sample_submission import Form, SampleFormat
from imclust.competitions.submission_check import challenge_of, ids_of
from imclust.competitions.submission_forms import read_assignment
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import file_digest
from imclust.core.records import Assignment

MOST_CELLS = 1 << 29  # images x clusters: 2 GiB of float32


@dataclass(frozen=True)
class Read:
    """Make an assignment of a submission, or of a table of the truth: of any program, in any form.
    It is scored, compared with others (`report --compare-with`), drawn, and written again in the
    form that the challenge wants."""

    file: Path
    """The table: ids and labels, lists of matches, one label a line, a column a cluster."""
    index: Path
    """The `index` artefact; knows the ids, each of which the file must have once."""
    out: Path
    """Where the assignment goes."""
    form: Form | None = None
    """The file's form, where its text does not tell: `labels`, `matches`, `lines`, `members` (a
    column of ids a cluster), `indicators` (a column of 0 and 1 a cluster)."""
    column: str | None = None
    """Its column of labels, where no name tells."""
    outliers: str | None = None
    """What it calls images that are of no cluster, unless "outliers": each is one of its own."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Read) -> None:
    """Read a file and an `index`, write an `assignment`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> words = "read --index raw/index --file submissions/first/submission.csv --out run/read"
    >>> main(words.split())
    clusters of submissions/first/submission.csv are in run/read
    0
    """
    form = SampleFormat(label_column=cfg.column, form=cfg.form, outliers=cfg.outliers)
    if not cfg.file.is_file():
        raise input_error("--file", "a table", f"no such file: {cfg.file}", "check the path")
    if challenge_of(cfg.index)["pairs"]:
        do = "check it instead: submit --check"
        raise input_error("--index", "of images", "one of pairs, whose answers are no clusters", do)
    config = {"method": "read", "split": "train", "file": file_digest(cfg.file)}
    spec = ArtifactSpec(
        Assignment.kind, config | {"form": asdict(form)}, {"index": cfg.index}, (__name__,)
    )
    make_artifact(cfg.out, spec, lambda folder: _read(cfg, form, folder), force=cfg.force)
    say(f"clusters of {cfg.file} are in {cfg.out}")


def _read(cfg: Read, form: SampleFormat, folder: Path) -> dict[str, Any]:
    ids = ids_of(cfg.index)
    named = read_assignment(cfg.file, ids, form)
    missing = [i for i in ids if i not in named]
    odd = [i for i in named if i not in set(ids)]
    if missing or odd:
        got = f"{len(missing)} missing and {len(odd)} others, first {(missing + odd)[0]!r}"
        raise input_error(f"ids of {cfg.file}", "those of the index", got, "check both")
    names = list(dict.fromkeys(named[i] for i in ids))
    if len(names) < 2 or len(ids) * len(names) > MOST_CELLS:
        allowed = f"two or more, and times images at most {MOST_CELLS}"
        do = "check that this is the right file"
        raise input_error(f"clusters of {cfg.file}", allowed, len(names), do)
    number = {name: n for n, name in enumerate(names)}
    p = np.zeros((len(ids), len(names)), np.float32)
    p[np.arange(len(ids)), [number[named[i]] for i in ids]] = 1
    facts = Assignment(np.array(ids, str), np.full(len(ids), "train"), p).save(folder)
    # Nobody knows what it was made with: as far as rules go, with everything.
    return facts | {"names": names, "track": "open"}
