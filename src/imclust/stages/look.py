"""`look`: what a person should see of the images: copies, spoilt pictures, odd ones, likenesses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imclust.clustering.blocks import each_block, sample_rows
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.preprocessing import principal, unit_rows
from imclust.clustering.similarity_line import similarity_line
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.log import progress, say
from imclust.core.look_records import Finding, Look, found_words
from imclust.core.manifest import read_manifest
from imclust.core.npy import scratch_array
from imclust.core.ray_workers import check_ray, one_cluster, workers_of
from imclust.core.records import Features
from imclust.core.shards import is_elsewhere, over_items
from imclust.data import copies
from imclust.data.copies import is_copy, likeness, similar_codes, thumbnail, turned
from imclust.data.images import (
    ImageRow,
    at_whole_paths,
    decode,
    in_threads,
    keeping,
    load_index,
    unchanged_bytes,
)
from imclust.data.loader import Preprocessing, pixels
from imclust.data.quality import SIDE, Quality, faults, quality_of, scaled

NEIGHBOURS = 12  # of every image that are kept
LOOKED_AT = 5  # of these, how many may be copies
ALIKE = 0.6  # cosine similarity of centred features, above which pictures are compared
MANY = 5000  # images of which neighbours are sought in
DIRECTIONS = 128  # numbers, not in all
PART = 512  # images or pairs that a worker of a cluster is asked for at once
BLOCK = 1024  # images whose neighbours are held at once
THUMBNAIL = copies.SIDE, copies.SIDE
DETAIL = Quality._fields.index("detail")
FAR = 6.0  # an outlier's distance to its neighbours, in deviations (MAD) above the median
ROOT = 0.6745  # a normal distribution's median absolute deviation
T = TypeVar("T")


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
    ray: str | None = None
    """Have the workers of a Ray cluster measure and compare the pictures: `auto` (that of this
    machine), `ray://host:port`, or `local:N` workers here. The same bytes are found."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        check_ray(self.ray)


def run(cfg: LookStage) -> None:
    """Read `features` and their `index`, write a `look`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("look --features run/map --index raw/index --out run/odd".split())
    to look at: nothing
    0
    """
    roles = {"features": cfg.features, "index": cfg.index}
    spec = ArtifactSpec(Look.kind, {}, roles, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _look(cfg, folder), force=cfg.force):
        found = read_manifest(cfg.out)["found"]
        told = ", ".join(found_words(n, what) for what, n in found.items())
        say(f"to look at: {told or 'nothing'}")


def _look(cfg: LookStage, folder: Path) -> dict[str, Any]:
    features = Features.load(cfg.features)
    by_id = {row.id: row for row in load_index(cfg.index)}
    rows = [by_id.pop(i) for i in features.ids.tolist()]
    elsewhere = partial(workers_of, cfg.ray, [], [Path(rows[0].source)])
    with scratch_array(folder, (len(rows), *THUMBNAIL), np.uint8) as thumbs, one_cluster():
        with elsewhere():
            seen = _measured(rows, thumbs)
        z = _directions(features.x)
        near, distance = nearest_neighbors(z, z, min(NEIGHBOURS, len(z) - 1), same=True)
        pairs = _candidates(thumbs, features.x, near)
        with elsewhere():
            like = _likenesses(rows, thumbs, pairs)
    best = _best_of_groups(rows, seen, like)
    likest = _likest(like)
    findings = []
    strange = set(_outliers(distance).tolist())
    for number, row in enumerate(rows):
        if (of := best.get(number, number)) != number:
            exact = row.digest == rows[of].digest
            value = 1.0 if exact else likest[number]
            what = "exact copy" if exact else "near copy"
            findings.append(Finding(row.id, what, value, rows[of].id))
        quality = Quality(*seen[number].tolist())
        findings += [Finding(row.id, what, value, "") for what, value in faults(quality)]
        if number in strange:
            findings.append(Finding(row.id, "outlier", float(distance[number].mean()), ""))
    return Look(features.ids, findings, near, similarity_line(z, near)).save(folder)


def _directions(x: np.ndarray) -> np.ndarray:
    """Centred rows (n, d) as units, read in blocks: of many the main directions only, those of a
    sample, because neighbours cost n x n x d."""
    n = len(x)
    few = np.asarray(x[sample_rows(n, MANY, 0)], np.float32)
    if n <= MANY or x.shape[1] <= DIRECTIONS:
        mean, axes = few.mean(0), None
    else:
        mean, axes, _ = principal(few, DIRECTIONS)

    def unit(block: np.ndarray) -> np.ndarray:
        return unit_rows(block - mean if axes is None else (block - mean) @ axes)

    z = np.empty((n, x.shape[1] if axes is None else axes.shape[1]), np.float32)
    for place, found in each_block(x, unit):
        z[place] = found
    return z


def _measured(rows: list[ImageRow], thumbs: np.ndarray) -> np.ndarray:
    """Measures (n, 7) float64 of the images, whose thumbnails (n, SIDE, SIDE) are filled in."""

    seen = np.empty((len(rows), len(Quality._fields)))
    found = progress(_each(_measure, at_whole_paths(rows)), "look", total=len(rows), unit="img")
    for number, (quality, small) in enumerate(found):
        seen[number], thumbs[number] = quality, small
    return seen


def _measure(row: ImageRow) -> tuple[Quality, np.ndarray]:
    """Of one image, with its thumbnail."""
    if row.source.endswith(".npy"):
        rgb = pixels(row, Preprocessing(SIDE))
    else:
        rgb = decode(unchanged_bytes(row), keeping(SIDE))
    shape = max(row.width, row.height) / max(1, min(row.width, row.height))
    return quality_of(rgb)._replace(shape=shape), thumbnail(scaled(rgb))


def _each(work: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
    """`work` of every item, in order: in threads, or PART by PART on the workers of a cluster."""
    if not is_elsewhere():
        return in_threads(work, items)
    return chain.from_iterable(over_items(_Parts(items), _part, work))


@dataclass(frozen=True)
class _Parts(Sequence[Any]):
    """PART items at a time; pairs with their pictures are cut when they are asked for."""

    items: Sequence[Any]

    def __len__(self) -> int:
        return -(-len(self.items) // PART)

    def __getitem__(self, at: Any) -> Any:
        first = range(0, len(self.items), PART)[at]
        return self.items[first : first + PART]


def _part(items: Sequence[Any], work: Callable[[Any], T]) -> list[T]:
    """On a worker, which has one CPU."""
    return [work(item) for item in items]


def _candidates(thumbs: np.ndarray, x: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Pairs that may be copies (pairs, 3): a, b and the turn of b; by their codes, or as they lie
    by their features, all of them: along the main directions far more are alike. In order of a,
    b."""
    n, looked_at = len(x), near[:, :LOOKED_AT]
    mean = np.asarray(x[sample_rows(n, MANY, 0)], np.float32).mean(0)
    found = []
    for a in range(0, n, BLOCK):
        mine = looked_at[a : a + BLOCK]
        one = unit_rows(x[a : a + BLOCK] - mean)
        others = (unit_rows(x[of] - mean) for of in mine.T)
        cosine = np.stack([np.einsum("ij,ij->i", one, other) for other in others], axis=1)
        row, column = np.nonzero(cosine > ALIKE)
        found.append(np.stack([row + a, mine[row, column], np.zeros_like(row)], axis=1))
    alike, coded = np.concatenate(found), similar_codes(thumbs)

    def mark(pairs: np.ndarray) -> np.ndarray:
        return pairs[:, 0] * n + pairs[:, 1]

    known = np.concatenate([mark(coded), mark(coded[:, [1, 0]])])
    mutual = np.isin(mark(alike), mark(alike[:, [1, 0]])) & (alike[:, 0] > alike[:, 1])
    every = np.concatenate([coded, alike[~np.isin(mark(alike), known) & ~mutual]])
    return every[np.argsort(mark(every), kind="stable")]


def _likenesses(
    rows: list[ImageRow], thumbs: np.ndarray, pairs: np.ndarray
) -> dict[tuple[int, int], float]:
    """Of the pairs that are copies, how like they are."""
    first: dict[str, int] = {}
    found = {}
    for number, row in enumerate(rows):
        if row.digest and first.setdefault(row.digest, number) != number:
            found[first[row.digest], number] = 1.0

    wanted = [(a, b, way) for a, b, way in pairs.tolist()
              if not rows[a].digest or rows[a].digest != rows[b].digest]  # fmt: skip
    asked = _Pairs(rows, thumbs, wanted)
    compared = progress(_each(_compare, asked), "copies", total=len(wanted), unit="pair")
    for (a, b, _), like in zip(wanted, compared, strict=True):
        if like > 0:
            found[a, b] = like
    return found


@dataclass(frozen=True)
class _Pairs(Sequence[Any]):
    """Pairs of pictures as they are compared, looked up as they are asked for."""

    rows: list[ImageRow]
    thumbs: np.ndarray
    pairs: list[tuple[int, int, int]]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        a, b, way = self.pairs[at]
        side = max(min(row.width, row.height) for row in (self.rows[a], self.rows[b]))
        return np.array(self.thumbs[a]), np.array(self.thumbs[b]), way, side


def _compare(pair: tuple[np.ndarray, np.ndarray, int, int]) -> float:
    """How like two pictures are, the other lying some way; -1 where they are no copies."""
    one, other, way, side = pair
    like = likeness(one, list(turned(other))[way])
    return like if is_copy(like, side) else -1.0


def _best_of_groups(
    rows: list[ImageRow], seen: np.ndarray, like: dict[tuple[int, int], float]
) -> dict[int, int]:
    """Every picture that has copies -> the best of its group: most pixels, then most byte-equal
    copies (whatever else is there was made from these), then most detail."""
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

    equal = Counter(rows[number].digest for mine in members.values() for number in mine)

    def worth(number: int) -> tuple[int, int, float, int]:
        row = rows[number]
        detail = float(seen[number, DETAIL])
        return row.width * row.height, equal[row.digest], detail, -number

    return {n: max(mine, key=worth) for mine in members.values() for n in mine}


def _likest(like: dict[tuple[int, int], float]) -> dict[int, float]:
    """Picture -> how like its likest copy is."""
    found: dict[int, float] = {}
    for pair, value in like.items():
        for number in pair:
            found[number] = max(value, found.get(number, value))
    return found


def _outliers(distance: np.ndarray) -> np.ndarray:
    """Rows whose mean distance to their neighbours is far above the others'."""
    mean = distance.mean(1)
    middle = np.median(mean)
    spread = np.median(np.abs(mean - middle)) / ROOT
    return np.flatnonzero(mean > middle + FAR * max(float(spread), 1e-6))
