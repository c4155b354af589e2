"""`cluster`: every image gets a cluster and a confidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imclust.artifacts import Order, plain, produce, read_manifest
from imclust.checks import cluster_count, finite, refusal
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import as_input
from imclust.log import say
from imclust.priors import apply
from imclust.records import Assignment, Features
from imclust.stages._priors import PriorFlags, as_given, read_priors, side_by_side, tell

if TYPE_CHECKING:
    Method = Any
else:
    Method = CLUSTERERS.union()

STABILITY_SEEDS = 5
PRIORS = ("priors", "sizes", "links", "contiguity", "selflabels")


@dataclass(frozen=True)
class Cluster:
    """Fit a clusterer on one split and give every other row its cluster through it."""

    clusterer: Method
    """Which clusterer, with its own flags."""
    features: tuple[Path, ...]
    """A `features` artefact, from `reduce` or `encode`; or several of the same ids, clustered
    together, each counting the same; splits are those of the first."""
    index: Path
    """The `index` artefact; says K unless --n-clusters does."""
    out: Path
    """Where the assignment goes: assignment.csv, probabilities.npy (N, K)."""
    n_clusters: int | None = None
    """K, unless the challenge itself says it."""
    split: str = "train"
    """Rows to fit on: `train` (the others are placed), or `val` (the others are dropped)."""
    seed: int = 0
    """Random starts."""
    priors: PriorFlags = field(default_factory=PriorFlags)
    """What is known beforehand: sizes, row order, pairs, names."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Cluster) -> None:
    """Run the stage."""
    k = cfg.n_clusters or read_manifest(cfg.index, "index")["n_clusters"]
    if k is None:
        raise refusal(
            "the number of clusters K",
            "given: the challenge does not say it",
            "nothing",
            "set K=<n> (or --n-clusters)",
        )
    entry = CLUSTERERS.for_config(cfg.clusterer)
    config = {"method": entry.name, **plain(cfg.clusterer)}
    config |= {"n_clusters": k, "split": cfg.split, "seed": cfg.seed}
    config |= {"priors": as_given(cfg.priors, k)}
    module = entry.method.__module__.removeprefix("imclust.")
    code = (module, "clusterers._base", "stages.cluster", "stages._priors", *PRIORS)
    order = Order("assignment", config, _roles(cfg.features), code)
    if produce(cfg.out, order, lambda folder: _cluster(cfg, k, folder), force=cfg.force):
        doc = read_manifest(cfg.out)
        say(f"{entry.name}: clusters of {doc['sizes']} images are in {cfg.out}")


def _roles(features: tuple[Path, ...]) -> dict[str, Path]:
    """Names of the inputs: features, features 2, features 3, ..."""
    if not features:
        raise refusal("--features", "at least one artefact", "none", "name the folder of one")
    return {"features" if i == 1 else f"features {i}": p for i, p in enumerate(features, 1)}


def _cluster(cfg: Cluster, k: int, folder: Path) -> dict[str, Any]:
    import numpy as np

    from imclust.metrics import mean_pairwise_ari

    entry = CLUSTERERS.for_config(cfg.clusterer)
    first, *others = (Features.load(path) for path in cfg.features)
    spaces = [first.x, *(first.alongside(other) for other in others)]
    mine = first.splits == cfg.split
    cluster_count(k, int(mine.sum()))
    priors, names = read_priors(cfg.priors, first.ids[mine], k)
    fitted = [np.asarray(x[mine]) for x in spaces]
    for path, x in zip(cfg.features, fitted, strict=True):
        finite(f"the rows of {path}", x)
    z = as_input(entry.method, fitted)
    runs = [
        entry.method(z, k, cfg.clusterer, seed)
        for seed in range(cfg.seed, cfg.seed + STABILITY_SEEDS)
    ]
    given = apply(runs[0].probabilities, priors, side_by_side(z))
    keep = mine if cfg.split != "train" else np.ones_like(mine)
    p = np.empty((len(mine), k), np.float32)
    p[mine] = given.probabilities
    if (keep & ~mine).any():
        placed = [np.asarray(x[~mine]) for x in spaces]
        p[~mine] = given.place(runs[0].place(as_input(entry.method, placed)))
    facts = Assignment(first.ids[keep], first.splits[keep], p[keep]).save(folder)
    stability = mean_pairwise_ari([r.labels for r in runs])
    tell(given.facts, priors)
    return facts | {"stability": round(stability, 4), **runs[0].facts, **given.facts, **names}
