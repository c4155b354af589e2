"""`predict`: further images get the clusters of an assignment that is there already."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.blocks import LARGE, sample_rows
from imclust.clustering.clusterers._partitions import from_neighbours
from imclust.clustering.preprocessing import Preparation, concatenate_unit_rows, prepare
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import finite
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment, Features, feature_folders, parts_of
from imclust.data.images import indexed


@dataclass(frozen=True)
class Predict:
    """Give images that came later the clusters of an assignment; the assignment stays as it is.

    A new image is placed by the ten clustered images nearest to it, in the view that the assignment
    was found in; where more than 50 000 are clustered, by a classifier that learns their clusters
    from so many. The very file of a clustered image gets what that image has.
    """

    assignment: Path
    """The `assignment` artefact to go by, from `cluster`."""
    index: Path
    """The `index` artefact of the new images, from `download`."""
    features: tuple[Path, ...]
    """`features` artefacts of the new images, encoded with the weights of those that the assignment
    rests on, in the same order."""
    out: Path
    """Where the assignment of the new images goes."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Predict) -> None:
    """Read an `assignment` and the `features` of new images, write their `assignment`."""
    roles = {"assignment": cfg.assignment, "index": cfg.index}
    roles |= {f"features {i}": path for i, path in enumerate(cfg.features, 1)}
    spec = ArtifactSpec("assignment", {"method": "predict"}, roles, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _predict(cfg, folder), force=cfg.force):
        doc = read_manifest(cfg.out)
        say(f"predict: clusters of {doc['sizes']} images are in {cfg.out}")


def _predict(cfg: Predict, folder: Path) -> dict[str, Any]:

    doc = read_manifest(cfg.assignment, Assignment.kind)
    clustering = Assignment.load(cfg.assignment).part(doc["config"].get("split", "train"))
    old, new, ids = _spaces(cfg, doc, clustering.ids)
    p = _by_neighbours(doc, old, new, clustering.probabilities)
    twins, of = _copies(cfg, ids, clustering.ids)
    p[twins] = clustering.probabilities[of]
    found = Assignment(ids, np.full(len(ids), "train"), p)
    facts = found.save(folder, _evidence(old, clustering, new, p))
    carried = {name: doc[name] for name in ("names", "classes") if name in doc}
    return facts | carried | {"copies": len(twins)}


def _spaces(
    cfg: Predict, doc: dict[str, Any], ids: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Spaces of the clustered images (n, d_v), of the new ones (m, d_v), and the ids of these."""

    before = feature_folders(cfg.assignment)
    if len(before) != len(cfg.features):
        do = "encode the new images with the weights of each"
        raise input_error(
            "--features", f"{len(before)}, as of the assignment", len(cfg.features), do
        )
    old, new = [], []
    first = Features.load(cfg.features[0])
    for was, path in zip(before, cfg.features, strict=True):
        parts = parts_of(was, Features.load(was).at(ids))
        further = parts_of(path, first.alongside(Features.load(path)))
        if [x.shape[1] for x in parts] != [x.shape[1] for x in further]:
            got = f"{[x.shape[1] for x in further]} numbers in {path}"
            want = f"{[x.shape[1] for x in parts]} numbers as in {was}"
            raise input_error("the new features", want, got, "encode them with the same weights")
        old += parts
        new += [np.asarray(x) for x in further]
    for x in new:
        finite("the rows of the features", x)
    return old, new, first.ids


def _by_neighbours(
    doc: dict[str, Any], old: list[np.ndarray], new: list[np.ndarray], p: np.ndarray
) -> np.ndarray:
    """Posteriors (m, k) in the view that `auto` chose; for other heads, in all spaces as units.
    Of more than LARGE clustered rows, so many are learned from.

    What `auto` prepared is prepared again from the same rows, which gives the same numbers.
    """
    from imclust.clustering.classifier import learn_clusters, placed_by
    from imclust.clustering.clusterers._base import (
        Clustering,
        concatenate_views,
        predict_in_blocks,
    )
    from imclust.clustering.views import View

    parts: tuple[int, ...] = tuple(range(len(old)))
    how: Preparation = "unit"
    if "view" in doc:
        parts, how = View.named(doc["view"])
    few = [old[i] for i in parts]
    if many := len(p) > LARGE:
        chosen = sample_rows(len(p), LARGE, 0)
        few, p = [np.asarray(x[chosen]) for x in few], p[chosen]
    made = [prepare(x, how) for x in few]
    apply = partial(_prepared, apply=[m.apply for m in made])
    rows = concatenate_views([m.rows for m in made])
    placed = [new[i] for i in parts]
    if not many:
        return from_neighbours(placed, apply, rows, p)
    learned = learn_clusters(rows, p.argmax(1), p.shape[1])
    return predict_in_blocks(Clustering(p, placed_by(learned, apply)), placed)


def _prepared(new: Any, apply: list[Any]) -> list[np.ndarray]:
    return [each(x) for each, x in zip(apply, new, strict=True)]


def _copies(cfg: Predict, ids: np.ndarray, before: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows of the new images that are files of clustered images, byte for byte, and whose."""
    features = feature_folders(cfg.assignment)[0]
    there = read_manifest(features)["inputs_at"]
    if "index" not in there:  # reduced features: they do not name their images' index
        return [], []
    known = {row.id: row.digest for row, _ in indexed(features / there["index"])}
    first: dict[str, int] = {}
    for number, i in enumerate(before.tolist()):
        first.setdefault(known[i], number)
    digests = {row.id: row.digest for row, _ in indexed(cfg.index)}
    pairs = [(row, first[digests[i]]) for row, i in enumerate(ids.tolist()) if digests[i] in first]
    return [row for row, _ in pairs], [number for _, number in pairs]


def _evidence(
    old: list[np.ndarray], clustering: Assignment, new: list[np.ndarray], p: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Second choice (m,) int64 and cosine distance (m,) to the centre of the own cluster."""

    from imclust.clustering.dendrogram import centre_distances

    rows = np.arange(len(p))
    c = p.argmax(1)
    others = p.copy()
    others[rows, c] = -1
    k = p.shape[1]
    distance = centre_distances(
        concatenate_unit_rows(old), clustering.clusters, k, concatenate_unit_rows(new)
    )
    return others.argmax(1), distance[rows, c]
