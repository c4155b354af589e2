"""`curate`: fewer images that say as much, near copies left out, even over what there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.cluster_tree import default_levels, grow_tree
from imclust.clustering.metrics import effective_clusters
from imclust.clustering.near_copies import near_copies
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import finite, in_range, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import Features, write_csv
from imclust.core.wording import counted

KIND = "kept"  # artefact: which images to keep, and why the others go

MANY = 0.3  # of the images: near copies beyond which a limit is likely too low


@dataclass(frozen=True)
class Curate:
    """Choose images to keep: of near copies one, and of the rest a sample that is even over a tree
    of clusters, so that what there is a lot of does not drown what there is little of."""

    features: Path
    """A `features` artefact, from `encode` or `reduce`; images are alike by its cosines."""
    out: Path
    """Where kept.csv and dropped.csv go."""
    near: float | None = None
    """Leave out images whose cosine similarity to another of their cell is above this, such as
    0.95: SemDeDup's rule."""
    size: int | None = None
    """Keep so many, even over the tree; all that are left unless given."""
    levels: tuple[int, ...] = ()
    """Clusters of each level of the tree, the finest first; by the number of images unless
    given."""
    seed: int = 0
    """Of k-means and of the sample."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        if self.near is None and self.size is None:
            do = "set --near 0.95, say, or --size to how many to keep"
            raise input_error("what to curate by", "--near, --size or both", "neither", do)
        if self.near is not None:
            in_range("curate", "near", self.near, -1.0, 0.99999)
        if self.size is not None and self.size < 1:
            raise input_error("--size", "at least 1", self.size, "choose another")
        if any(b >= a for a, b in zip(self.levels, self.levels[1:], strict=False)) or any(
            count < 1 for count in self.levels
        ):
            got = " ".join(map(str, self.levels))
            raise input_error("--levels", "falling numbers of at least 1", got, "finest first")


def run(cfg: Curate) -> None:
    """Read `features`, write which to keep.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("curate --features run/latents --out run/kept --near 0.999".split())
    curate: 24 of 24 images are to be kept (0 near copies, 0 beyond the sample): run/kept/kept.csv
    0
    """
    n = read_manifest(cfg.features, Features.kind)["rows"]
    if cfg.size is not None and cfg.size > n:
        raise input_error("--size", f"at most the {n} images there are", cfg.size, "lower it")
    if cfg.levels and cfg.levels[0] > n:
        raise input_error("--levels", f"at most {n}, as many as images", cfg.levels[0], "lower it")
    config = {"near": cfg.near, "size": cfg.size, "levels": list(cfg.levels), "seed": cfg.seed}
    spec = ArtifactSpec(KIND, config, {"features": cfg.features}, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _curate(cfg, folder), force=cfg.force):
        doc = read_manifest(cfg.out)
        say(
            f"curate: {doc['kept']} of {counted(doc['rows'], 'image')} "
            f"{'is' if doc['kept'] == 1 else 'are'} to be kept "
            f"({counted(doc['near_copies'], 'near copy')}, {doc['sampled_out']} beyond the "
            f"sample): {cfg.out / 'kept.csv'}"
        )
        if doc["near_copies"] > MANY * doc["rows"]:
            say(
                f"more than {MANY:.0%} have another within --near {cfg.near}: in these features "
                "even different images are that alike; raise --near unless you know better"
            )
        if cfg.size is not None and doc["kept"] < cfg.size:
            say(f"--size {cfg.size} was not reached: no more are left after the near copies")


def _curate(cfg: Curate, folder: Path) -> dict[str, Any]:
    features = Features.load(cfg.features)
    finite(f"the rows of {cfg.features}", features.x)
    n = len(features.ids)
    of, like = np.full(n, -1), np.full(n, -1.0, np.float32)
    if cfg.near is not None:
        of, like = near_copies(features.x, cfg.near, cfg.seed)
    left = np.flatnonzero(of < 0)
    facts: dict[str, Any] = {"rows": n, "near_copies": n - len(left)}
    kept = left
    if cfg.size is not None and cfg.size < len(left):
        x = features.x if len(left) == n else features.x[left]
        counts = [c for c in cfg.levels if c <= len(left)] or default_levels(len(left))
        tree = grow_tree(x, counts, cfg.seed)
        chosen = tree.sample(cfg.size, cfg.seed)
        kept = left[chosen]
        branch = tree.branches()
        many = int(branch.max()) + 1
        if many > 1:
            facts["effective_branches"] = {
                "before": round(effective_clusters(branch, many), 2),
                "after": round(effective_clusters(branch[chosen], many), 2),
                "of": many,
            }
        facts["levels"] = [int(level.max()) + 1 for level in tree.levels]
    keep = np.zeros(n, bool)
    keep[kept] = True
    ids = features.ids
    write_csv(folder / "kept.csv", ("id",), ((i,) for i in ids[keep]))
    gone = (
        (ids[i], "near copy", ids[of[i]], f"{like[i]:.4f}")
        if of[i] >= 0
        else (ids[i], "beyond the sample", "", "")
        for i in np.flatnonzero(~keep)
    )
    write_csv(folder / "dropped.csv", ("id", "why", "like", "similarity"), gone)
    return facts | {"kept": len(kept), "sampled_out": len(left) - len(kept)}
