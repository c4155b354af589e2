"""`predict`: further images get the clusters of an assignment that is there already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.blocks import LARGE
from imclust.clustering.nearest_clusters import place_nearest
from imclust.clustering.placing import place_rows, seen_of
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import finite
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.nearest_records import NearestAssignment, clusters_of
from imclust.core.ray_workers import check_ray, workers_of
from imclust.core.records import NEAREST, Assignment, Features, feature_folders, parts_of
from imclust.data.images import indexed


@dataclass(frozen=True)
class Predict:
    """Give images that came later the clusters of an assignment; the assignment stays as it is.

    A new image is placed by the ten clustered images nearest to it, in the view that the assignment
    was found in; where more than 50 000 are clustered, by a classifier that learns their clusters
    from so many. Of more than 2000 clusters the nearest are told, by the means of their images.
    The very file of a clustered image gets what that image has.
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
    ray: str | None = None
    """Have more than 50 000 new images placed by Ray: `auto` (the cluster of this machine),
    `ray://host:port`, or `local:N` workers. The assignment is the same bytes."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        check_ray(self.ray)


def run(cfg: Predict) -> None:
    """Read an `assignment` and the `features` of new images, write their `assignment`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> words = "predict --assignment run/clusters --index raw/index --features run/latents"
    >>> main([*words.split(), "--out", "run/placed"])
    predict: clusters of [12, 12] images are in run/placed
    0
    """
    roles = {"assignment": cfg.assignment, "index": cfg.index}
    roles |= {f"features {i}": path for i, path in enumerate(cfg.features, 1)}
    spec = ArtifactSpec("assignment", {"method": "predict"}, roles, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _predict(cfg, folder), force=cfg.force):
        doc = read_manifest(cfg.out)
        sizes = doc["sizes"]
        shown = f"{min(sizes)} to {max(sizes)}" if NEAREST in doc["files"] else sizes
        say(f"predict: clusters of {shown} images are in {cfg.out}")


def _predict(cfg: Predict, folder: Path) -> dict[str, Any]:

    doc = read_manifest(cfg.assignment, Assignment.kind)
    clustering = clusters_of(cfg.assignment).part(doc["config"].get("split", "train"))
    if isinstance(clustering, NearestAssignment) and doc["config"]["method"] == "predict":
        do = "take the assignment that it was placed by"
        raise input_error(f"{cfg.assignment}", "made by `cluster`", "one of `predict`", do)
    old, new, ids = _spaces(cfg, doc, clustering.ids)
    if isinstance(clustering, NearestAssignment):
        copies = _copies(cfg, ids, clustering.ids)
        with workers_of(cfg.ray if len(ids) > LARGE else None, cfg.features):
            return place_nearest(folder, clustering, doc, old, new, ids, copies)
    with workers_of(cfg.ray if len(ids) > LARGE else None, cfg.features):
        p = place_rows(doc.get("view"), old, new, clustering.probabilities)
    twins, of = _copies(cfg, ids, clustering.ids)
    p[twins] = clustering.probabilities[of]
    found = Assignment(ids, np.full(len(ids), "train"), p)
    facts = found.save(folder, seen_of(old, clustering.clusters, new, p))
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
