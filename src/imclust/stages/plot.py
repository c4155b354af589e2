"""`plot`: pictures of an assignment for papers and slides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import lineage, read_manifest
from imclust.core.records import Assignment, Features, cluster_names, read_labels
from imclust.data.loader import Preprocessing, all_pixels
from imclust.report import figures
from imclust.report.cluster_colours import shown_colours
from imclust.report.figures import PRINT_DOTS, Format, Panel, Sheet
from imclust.report.pictures import chosen_examples

SIDE = 224  # pixels of an example: as many as a print of it can show
NARROWEST, WIDEST = 2.0, 40.0  # inches


@dataclass(frozen=True)
class Plot:
    """Draw an assignment for papers and slides: the embedding, examples of every cluster, sizes."""

    assignment: Path
    """The `assignment` artefact, from `cluster`; names that corrections gave are shown."""
    out: Path
    """Folder of the pictures."""
    embedding: Path | None = None
    """The two-dimensional `features` artefact to draw; without it there is no scatter."""
    labels: Path | None = None
    """The `labels` artefact: a second scatter is coloured by them. They choose nothing."""
    format: tuple[Format, ...] = ("png", "svg")
    """Of every picture one file each."""
    width: float = 6.5
    """Of every picture, in inches: 6.5 is the text of a LaTeX article, 3.25 one column of two."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Plot) -> None:
    """Read an `assignment` (an embedding, labels), write `plots`: pictures for papers.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("plot --assignment run/clusters --out run/plots --format png --width 2".split())
    pictures in run/plots: examples.png, sizes.png
    0
    """
    in_range("plot", "width", cfg.width, NARROWEST, WIDEST)
    if not cfg.format or len(set(cfg.format)) < len(cfg.format):
        got = " ".join(cfg.format) or "none"
        raise input_error("--format", "png, svg or pdf, each once at most", got, "name one of them")
    if cfg.labels and not cfg.embedding:
        do = "add --embedding, or leave --labels out"
        raise input_error("--labels", "given with --embedding", "no --embedding", do)
    roles = {"assignment": cfg.assignment}
    roles |= {"embedding": cfg.embedding} if cfg.embedding else {}
    roles |= {"labels": cfg.labels} if cfg.labels else {}
    config = {"format": cfg.format, "width": cfg.width}
    spec = ArtifactSpec("plots", config, roles, (__name__,))
    make_artifact(cfg.out, spec, lambda folder: _draw(cfg, folder), force=cfg.force)
    files = sorted(read_manifest(cfg.out)["files"])
    say(f"pictures in {cfg.out}: {', '.join(files)}")


def _draw(cfg: Plot, folder: Path) -> dict[str, Any]:

    sheet = Sheet(folder, cfg.width, cfg.format, PRINT_DOTS)
    doc = read_manifest(cfg.assignment, "assignment")
    names = cluster_names(doc, doc["n_clusters"])
    clustering = Assignment.load(cfg.assignment).part("train")
    if not len(clustering.ids):  # clustered with --split val
        clustering = Assignment.load(cfg.assignment)
    sizes = [int((clustering.clusters == c).sum()) for c in range(len(names))]
    figures.sizes_of(sheet, names, sizes)
    if cfg.embedding:
        _scatters(cfg, cfg.embedding, clustering, names, sheet)
    index = next((p for p, d in lineage(cfg.assignment).items() if d["kind"] == "index"), None)
    if index is None or read_manifest(index)["content"] != "images":
        say("no examples: the assignment is not about images")
        return {}
    chosen = chosen_examples(clustering, index)
    images = all_pixels([row for few in chosen for row in few], Preprocessing(SIDE), "examples")
    ends = np.cumsum([len(few) for few in chosen])
    figures.examples(sheet, np.split(images, ends[:-1]), names, sizes)
    return {}


def _scatters(
    cfg: Plot, embedding: Path, clustering: Assignment, names: list[str], sheet: Sheet
) -> None:
    """By cluster, and by label where they are given."""

    doc = read_manifest(embedding, "features")
    if doc["dims"] != 2:
        got = f"one of {doc['dims']}"
        raise input_error(
            "--embedding", "a space of 2 dimensions", got, "reduce it with tsne first"
        )
    points = np.asarray(Features.load(embedding).at(clustering.ids))
    colours = shown_colours(read_manifest(cfg.assignment))
    panel = Panel(points, clustering.clusters, names, colours=colours)
    figures.scatter(sheet, "clusters", [panel], doc["space"])
    labels = read_labels(cfg.labels) if cfg.labels else {}
    known = np.array([i in labels for i in clustering.ids.tolist()])
    if known.any():
        found = np.array([labels[i] for i in clustering.ids[known].tolist()])
        classes, groups = np.unique(found, return_inverse=True)
        panel = Panel(points[known], groups, classes.tolist())
        figures.scatter(sheet, "labels", [panel], doc["space"])
    elif cfg.labels:
        say(f"no scatter by label: {cfg.labels} has none of these images")
