"""`score`: how good is the assignment, with labels and without. Nothing here chooses anything."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imclust.competitions.submission_check import ids_of
from imclust.competitions.submission_forms import read_assignment
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import artifact_file, file_digest, read_manifest
from imclust.core.records import Assignment, Features, PairHints, read_labels, write_csv
from imclust.data.images import load_index
from imclust.report.checkpoints import score_checkpoints
from imclust.report.score_table import table


@dataclass(frozen=True)
class Score:
    """Measure an assignment: against labels where there are some, and without any."""

    assignment: Path
    """The `assignment` artefact to score, from `cluster`."""
    index: Path
    """The `index` artefact."""
    out: Path
    """Where the numbers go: scores.json, checkpoints.csv."""
    labels: Path | None = None
    """The `labels` artefact, from `download`; or else --truth."""
    truth: Path | None = None
    """Instead: a table of the truth, of all images or some, in any form that a submission has."""
    val_assignment: Path | None = None
    """An assignment of validation images clustered on their own (`--split val`)."""
    weights: Path | None = None
    """A `weights` artefact whose checkpoints are to be measured too."""
    spaces: tuple[Path, ...] = field(default=())
    """`features` artefacts to take the silhouette in."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Score) -> None:
    """Read an `assignment` and `labels`, write `scores`; print them.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> words = "score --assignment run/clusters --index raw/index --labels raw/labels"
    >>> main([*words.split(), "--out", "run/measured"])
    images to cluster, against their labels, n = 24:
      accuracy max(acc, 1-acc) 1.0000  Hungarian 1.0000  NMI 1.0000  ARI 1.0000  sizes 12 12
    without labels:
      size_entropy 1.000  stability 1.000  confidence 1.000
      cluster sizes 12 12
    0
    """
    roles = {"assignment": cfg.assignment, "index": cfg.index}
    config = {}
    if cfg.labels is not None and cfg.truth is None:
        roles["labels"] = cfg.labels
    elif cfg.truth is not None and cfg.labels is None:
        if not cfg.truth.is_file():
            got = f"no such file: {cfg.truth}"
            raise input_error("--truth", "a table", got, "check the path")
        config["truth"] = file_digest(cfg.truth)
    else:
        got = "neither" if cfg.labels is None else "both"
        raise input_error("--labels and --truth", "one of them", got, "give one")
    roles |= {"val_assignment": cfg.val_assignment} if cfg.val_assignment else {}
    roles |= {"weights": cfg.weights} if cfg.weights else {}
    roles |= {f"space {p.name}": p for p in cfg.spaces}
    spec = ArtifactSpec("scores", config, roles, (__name__,))
    make_artifact(cfg.out, spec, lambda folder: _score(cfg, folder), force=cfg.force)
    for line in table(json.loads(artifact_file(cfg.out, "scores.json").read_text())):
        say(line)


def _score(cfg: Score, folder: Path) -> dict[str, Any]:
    assignment = Assignment.load(cfg.assignment)
    labels = read_labels(cfg.labels) if cfg.labels else _of_table(cfg)
    doc = read_manifest(cfg.assignment)
    classes = doc.get("classes")
    scores: dict[str, Any] = {
        "learned_from": doc.get("learned_from"),
        "train": _against_labels(assignment.part("train"), labels, classes),
        "val_through": _against_labels(assignment.part("val"), labels, classes),
        "val_own": _against_labels(Assignment.load(cfg.val_assignment), labels)
        if cfg.val_assignment
        else None,
        "label_free": _label_free(assignment.part("train"), cfg),
    }
    if read_manifest(cfg.index, "index").get("individuals"):
        hints = PairHints.load(cfg.index)
        scores["individuals"] = _of_individuals(assignment.part("train"), labels, hints)
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    replayed = cfg.val_assignment or cfg.assignment
    # A fine-tuned head's answer was not made from features, so no other features can replay it.
    if cfg.weights and "features" in read_manifest(replayed)["inputs"]:
        records = score_checkpoints(cfg.index, cfg.weights, replayed, labels)
        if records:
            write_csv(folder / "checkpoints.csv", tuple(records[0]), map(dict.values, records))
    return {}


def _of_table(cfg: Score) -> dict[str, str]:
    """id -> class by the table of the truth."""
    assert cfg.truth is not None
    found = read_assignment(cfg.truth, ids_of(cfg.index))
    odd = sorted(set(found) - {r.id for r in load_index(cfg.index)})
    if odd:
        got = f"{len(odd)} others, first {odd[0]!r}"
        do = "check that both belong together"
        raise input_error(f"ids of {cfg.truth}", "those of the index", got, do)
    return found


def _against_labels(
    part: Assignment, labels: dict[str, str], classes: list[str] | None = None
) -> dict[str, Any] | None:
    """Numbers against labels of the rows that have one; None when there are none.

    Parameters
    ----------
    part : Assignment
        Of an assignment.
    labels : dict[str, str]
        Id -> class.
    classes : list[str] | None, optional
        Of every cluster, where labels named them; adds `named`, the plain accuracy.

    Returns
    -------
    dict[str, Any] | None
        Also `counts`: label -> rows of it in every cluster, from which anything else can be told.
    """

    from imclust.clustering.metrics import label_scores

    known = [r for r, i in enumerate(part.ids.tolist()) if i in labels]
    if not known:
        return None
    names = np.array([labels[i] for i in part.ids[known].tolist()])
    # Labels 0 and 1 keep their values, so that max(acc, 1-acc) means what the homework means.
    y = names.astype(int) if set(names) <= {"0", "1"} else np.unique(names, return_inverse=True)[1]
    c = part.clusters[known]
    named = {}
    if classes is not None:
        named["named"] = round(float((np.array(classes)[c] == names).mean()), 4)
    k = part.probabilities.shape[1]
    return {
        "n": len(known),
        **named,
        **{k: round(v, 4) for k, v in label_scores(y, c).items()},
        "sizes": np.bincount(c, minlength=k).tolist(),
        "counts": {
            str(name): np.bincount(c[names == name], minlength=k).tolist()
            for name in np.unique(names)
        },
    }


def _of_individuals(
    part: Assignment, labels: dict[str, str], hints: PairHints
) -> dict[str, dict[str, float]] | None:
    """Numbers for many small clusters, of each group and `pooled`; None where nothing is labelled.

    Parameters
    ----------
    part : Assignment
        Of an assignment.
    labels : dict[str, str]
        Id -> identity.
    hints : PairHints
        Know the groups.
    """
    from imclust.clustering.individual_metrics import individual_scores

    known = np.array([r for r, i in enumerate(part.ids.tolist()) if i in labels], np.int64)
    if not len(known):
        return None
    groups, c = hints.group_of(part.ids[known]), part.clusters[known]
    # The same name in two groups is of two individuals.
    ids = part.ids[known].tolist()
    names = np.array([f"{g}/{labels[i]}" for g, i in zip(groups.tolist(), ids, strict=True)])
    y = np.unique(names, return_inverse=True)[1]
    rows = {g: groups == g for g in np.unique(groups).tolist()}
    if len(rows) > 1:
        rows["pooled"] = np.ones(len(y), bool)
    return {
        g: {"n": len(y[r]), **{k: round(v, 4) for k, v in individual_scores(y[r], c[r]).items()}}
        for g, r in rows.items()
    }


def _label_free(part: Assignment, cfg: Score) -> dict[str, Any]:
    """Numbers that need no labels: silhouettes, evenness of the sizes, stability over seeds."""

    from imclust.clustering.metrics import cosine_silhouette, size_entropy

    k = part.probabilities.shape[1]
    out: dict[str, Any] = {
        "sizes": np.bincount(part.clusters, minlength=k).tolist(),
        "size_entropy": round(size_entropy(part.clusters, k), 4),
    }
    if (stability := read_manifest(cfg.assignment).get("stability")) is not None:
        out["stability"] = stability
    out["confidence"] = round(float(part.probabilities.max(1).mean()), 4)
    for path in cfg.spaces:
        space = Features.load(path).part("train")
        same = np.array_equal(space.ids, part.ids)
        rows = space.x if same else space.at(part.ids)
        out[f"silhouette {path.name}"] = round(cosine_silhouette(rows, part.clusters), 4)
    return out
