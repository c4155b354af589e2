"""`look`: what a person should see of the images: copies, spoilt pictures, odd ones, likenesses."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.preprocessing import unit_rows
from imclust.clustering.similarity_line import similarity_line
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.log import progress, say
from imclust.core.look_records import Finding, Look
from imclust.core.manifest import read_manifest
from imclust.core.records import Features
from imclust.data.copies import is_copy, likeness, similar_codes, thumbnail, turned
from imclust.data.images import ImageRow, decode, load_index, unchanged_bytes
from imclust.data.loader import Preprocessing, pixels
from imclust.data.quality import SIDE, Quality, faults, quality_of, scaled

NEIGHBOURS = 12  # of every image that are kept
LOOKED_AT = 5  # of these, how many may be copies
ALIKE = 0.6  # cosine similarity of centred features, above which pictures are compared
MANY = 5000  # images of which neighbours are sought in
DIRECTIONS = 128  # numbers, not in all
FAR = 6.0  # an outlier's distance to its neighbours, in deviations (MAD) above the median
ROOT = 0.6745  # a normal distribution's median absolute deviation


@dataclass(frozen=True)
class LookStage:
    """Find exact and near copies, dark, bright, blurred and odd pictures, and outliers; neighbours
    of every image, and a line of all of them by likeness."""

    features: Path
    """The `features` artefact that says which images are alike."""
    index: Path
    """The `index` artefact of the images."""
    out: Path
    """Where look_at.csv, neighbours.npy and line.npy go."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: LookStage) -> None:
    """Read `features` and their `index`, write a `look`."""
    roles = {"features": cfg.features, "index": cfg.index}
    spec = ArtifactSpec(Look.kind, {}, roles, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _look(cfg, folder), force=cfg.force):
        found = read_manifest(cfg.out)["found"]
        told = ", ".join(f"{n} {what}" for what, n in found.items())
        say(f"to look at: {told or 'nothing'}")


def _look(cfg: LookStage, folder: Path) -> dict[str, Any]:
    features = Features.load(cfg.features)
    by_id = {row.id: row for row in load_index(cfg.index)}
    rows = [by_id[i] for i in features.ids.tolist()]
    thumbs, seen = _measured(rows)
    z = np.asarray(features.x, np.float32)
    z = unit_rows(_fewer(z - z.mean(0)))
    k = min(NEIGHBOURS, len(z) - 1)
    near, distance = nearest_neighbors(z, z, k, same=True)
    pairs = similar_codes(thumbs)
    for a, b in zip(np.repeat(np.arange(len(z)), min(LOOKED_AT, k)).tolist(),
                    near[:, :LOOKED_AT].ravel().tolist(), strict=True):  # fmt: skip
        if z[a] @ z[b] > ALIKE and (b, a) not in pairs:
            pairs.setdefault((a, b), 0)
    like = _likenesses(rows, thumbs, pairs)
    best = _best_of_groups(rows, seen, like)
    findings = []
    strange = set(_outliers(distance).tolist())
    for number, row in enumerate(rows):
        if (of := best.get(number, number)) != number:
            exact = row.digest == rows[of].digest
            value = 1.0 if exact else _likest(like, number)
            what = "exact copy" if exact else "near copy"
            findings.append(Finding(row.id, what, value, rows[of].id))
        findings += [Finding(row.id, what, value, "") for what, value in faults(seen[number])]
        if number in strange:
            findings.append(Finding(row.id, "outlier", float(distance[number].mean()), ""))
    return Look(features.ids, findings, near, similarity_line(z, near)).save(folder)


def _fewer(z: np.ndarray) -> np.ndarray:
    """Of many rows (n, d), their main directions: neighbours cost n x n x d."""
    if len(z) <= MANY or z.shape[1] <= DIRECTIONS:
        return z
    from sklearn.decomposition import PCA

    pca = PCA(DIRECTIONS, svd_solver="randomized", random_state=0)
    return np.asarray(pca.fit_transform(z), np.float32)


def _measured(rows: list[ImageRow]) -> tuple[np.ndarray, list[Quality]]:
    """Thumbnails (n, s, s) uint8 and measures of the images."""
    thumbs, seen = [], []

    def reduction(width: int, height: int) -> int:
        return next((by for by in (8, 4, 2) if max(width, height) >= by * SIDE), 1)

    for row in progress(rows, "look", total=len(rows), unit="img"):
        if row.source.endswith(".npy"):
            rgb = pixels(row, Preprocessing(SIDE))
        else:
            rgb = decode(unchanged_bytes(row), reduction)
        measures = quality_of(rgb)
        shape = max(row.width, row.height) / max(1, min(row.width, row.height))
        seen.append(measures._replace(shape=shape))
        thumbs.append(thumbnail(scaled(rgb)))
    return np.stack(thumbs), seen


def _likenesses(
    rows: list[ImageRow], thumbs: np.ndarray, pairs: dict[tuple[int, int], int]
) -> dict[tuple[int, int], float]:
    """Of the pairs that are copies, how like they are."""
    first: dict[str, int] = {}
    found = {}
    for number, row in enumerate(rows):
        if row.digest and first.setdefault(row.digest, number) != number:
            found[first[row.digest], number] = 1.0
    for (a, b), way in sorted(pairs.items()):
        if rows[a].digest and rows[a].digest == rows[b].digest:
            continue
        like = likeness(thumbs[a], list(turned(thumbs[b]))[way])
        side = max(min(row.width, row.height) for row in (rows[a], rows[b]))
        if is_copy(like, side):
            found[a, b] = like
    return found


def _best_of_groups(
    rows: list[ImageRow], seen: list[Quality], like: dict[tuple[int, int], float]
) -> dict[int, int]:
    """Every picture that has copies -> the best of its group: most pixels, then most detail."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not like:
        return {}
    a, b = np.array(list(like)).T
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows)))
    _, group = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for number in sorted({*a.tolist(), *b.tolist()}):
        members[int(group[number])].append(number)

    def worth(number: int) -> tuple[int, float, int]:
        return rows[number].width * rows[number].height, seen[number].detail, -number

    return {n: max(mine, key=worth) for mine in members.values() for n in mine}


def _likest(like: dict[tuple[int, int], float], number: int) -> float:
    return max(value for pair, value in like.items() if number in pair)


def _outliers(distance: np.ndarray) -> np.ndarray:
    """Rows whose mean distance to their neighbours is far above the others'."""
    mean = distance.mean(1)
    middle = np.median(mean)
    spread = np.median(np.abs(mean - middle)) / ROOT
    return np.flatnonzero(mean > middle + FAR * max(float(spread), 1e-6))
