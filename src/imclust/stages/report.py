"""`report`: one page about a run, its pictures, and the summary that ends it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imclust.competitions.ledger_rows import file_accuracies, which_fits
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import artifact_file, lineage, read_manifest
from imclust.core.records import read_labels
from imclust.report.curves import STEPS
from imclust.report.page.build import write_page
from imclust.report.page.render import look
from imclust.report.page.sources import Sources
from imclust.report.pictures import draw
from imclust.report.score_table import table

PAGE = "report.html"


@dataclass(frozen=True)
class Report:
    """Make report.html and pictures of a run, beside other runs if there are; then say how it
    went."""

    out: Path
    """Folder of the page and the pictures."""
    submission: Path | None = None
    """The `submission` artefact, from `submit`; or else --assignment."""
    assignment: Path | None = None
    """The `assignment` artefact, from `cluster`; a submission leads to its own."""
    scores: Path | None = None
    """The `scores` artefact, from `score`."""
    labels: Path | None = None
    """The `labels` artefact, from `download`; colours points, chooses nothing."""
    embedding: Path | None = None
    """The two-dimensional `features` artefact to draw; without it there is no map."""
    val_embedding: Path | None = None
    """The embedding of validation images reduced on their own."""
    compare_with: tuple[Path, ...] = field(default=())
    """Assignments or submissions of other runs of the same images, to compare with."""
    names: Path | None = None
    """The `names` artefact of the assignment."""
    words: Path | None = None
    """The `words` artefact of the images: what is seen in each."""
    look: Path | None = None
    """The `look` artefact of the images: copies, spoilt pictures, neighbours."""
    refreshed_by: str = ""
    """The command that makes this page anew where it is not the stages' own; the page shows it with
    the corrections behind it."""
    pictures: bool = True
    """Also examples.png, embedding.png and the like beside the page, which holds all it shows."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Report) -> None:
    """Read an `assignment` or `submission` and what goes with it, write a `report`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("report --assignment run/clusters --out run/report".split())  # doctest: +ELLIPSIS
    <BLANKLINE>
    == result ==
    page: run/report/report.html
    pictures in run/report: examples.png
    ...
    0
    """
    clustering = assignment_of(cfg.submission, cfg.assignment)
    others = [assignment_of(path) for path in cfg.compare_with]
    roles = {"assignment": clustering}
    named = {"submission": cfg.submission, "scores": cfg.scores, "labels": cfg.labels}
    named |= {
        "look": cfg.look,
        "names": cfg.names,
        "words": cfg.words,
        "embedding": cfg.embedding,
        "val_embedding": cfg.val_embedding,
    }
    roles |= {role: path for role, path in named.items() if path is not None}
    roles |= {f"against {i}": path for i, path in enumerate(others, 1)}
    config: dict[str, Any] = {"look": look(), "refreshed_by": cfg.refreshed_by}
    if not cfg.pictures:
        config["pictures"] = False
    spec = ArtifactSpec("report", config, roles, (__name__,))
    make_artifact(cfg.out, spec, lambda folder: _draw(cfg, clustering, folder), force=cfg.force)
    for line in summary(cfg.out, cfg.submission, cfg.scores):
        say(line)


def assignment_of(*folders: Path | None) -> Path:
    """The one `assignment` that submissions lead to, or that is given itself.

    Raises
    ------
    InputError
        None is given, two that differ, or something else.

    Examples
    --------
    >>> assignment_of(Path("submissions/first"), None).as_posix()
    'run/clusters'
    """
    found: list[Path] = []
    for folder in filter(None, folders):
        doc = read_manifest(folder)
        if doc["kind"] == "submission":
            folder = Path(os.path.normpath(folder / doc["inputs_at"]["assignment"]))
        read_manifest(folder, "assignment")
        found.append(folder)
    if not found:
        raise input_error(
            "report", "told of an assignment", "none", "add --submission or --assignment"
        )
    if len({path.resolve() for path in found}) > 1:
        do = "leave out one of them"
        got = " and ".join(map(str, found))
        raise input_error("--submission and --assignment", "the same assignment", got, do)
    return found[0]


def _draw(cfg: Report, clustering: Path, folder: Path) -> dict[str, Any]:
    made = lineage(*filter(None, (clustering, cfg.scores)))
    at = {doc["kind"]: path for path, doc in made.items()}
    labels = read_labels(cfg.labels) if cfg.labels else {}
    sources = Sources(
        clustering,
        at["index"],
        weights=at.get("weights"),
        trained=tuple(
            path
            for path, doc in made.items()
            if doc["kind"] == "weights" and (path / STEPS).is_file()
        ),
        submission=cfg.submission,
        scores=cfg.scores,
        embedding=cfg.embedding,
        val_embedding=cfg.val_embedding,
        labels=labels,
        compare_with=tuple(assignment_of(path) for path in cfg.compare_with),
        refreshed_by=cfg.refreshed_by,
        look=cfg.look,
        names=cfg.names,
        words=cfg.words,
        pairs=at.get("pairs"),
    )
    if cfg.pictures:
        draw(sources, folder)
    write_page(sources, folder, folder / PAGE)
    return {}


def summary(page: Path, submission: Path | None, scores: Path | None) -> list[str]:
    """What the user wants to know at the end, as lines for a terminal.

    Parameters
    ----------
    page : Path
        The `report` artefact.
    submission, scores : Path or None
        Those that it is about.

    Returns
    -------
    list of str
        Files, scores, places, and the seconds of everything that was made on the way.

    Examples
    --------
    >>> lines = summary(Path("run/clusters"), Path("submissions/first"), None)
    >>> lines[2], lines[-2].partition(":")[0]
    ('submissions/first/submission.csv', 'seconds')
    """
    lines = ["", "== result =="]
    lines += map(str, sorted(submission.glob("*.csv")) if submission else ())
    if scores:
        lines += table(json.loads(artifact_file(scores, "scores.json").read_text()))
        fits = which_fits(file_accuracies(submission, scores)) if submission else ""
        lines += [fits] if fits else []
    lines.append(f"page: {page / PAGE}")
    pictures = ", ".join(sorted(p.name for p in page.glob("*.png")))
    lines += [f"pictures in {page}: {pictures}"] if pictures else []
    return [*lines, *_costs(lineage(page))]


def _costs(made: dict[Path, dict[str, Any]]) -> list[str]:
    """Seconds of each artefact, those of one name told apart by their folders; and the whole."""
    names = [path.name for path in made]
    seconds = []
    for path, doc in made.items():
        name = path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        seconds.append(
            f"{doc['kind'] if doc['kind'] == 'submission' else name} {doc['seconds']:.1f}"
        )
    whole = sum(doc["seconds"] for doc in made.values())
    peak = max(doc["peak_mib"] for doc in made.values())
    return [
        "seconds: " + "  ".join(seconds),
        f"in all {whole:.0f} s of computing, at most {peak / 1024:.1f} GiB",
    ]
