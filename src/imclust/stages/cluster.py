"""`cluster`: every image gets a cluster and a confidence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from imclust.clustering.apply_corrections import Corrected
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    clusterer_input,
    looks_at_nuisances,
    run_head,
)
from imclust.clustering.corrections import Corrections
from imclust.clustering.preprocessing import concatenate_unit_rows
from imclust.clustering.prior_tables import PriorFlags, as_given, read_priors, report_priors
from imclust.clustering.priors import apply_priors
from imclust.clustering.uncorrected import (
    Uncorrected,
    classes_of,
    of_rows,
    read_all,
    refuse_another,
    report_corrections,
)
from imclust.core.artifacts import ArtifactSpec, make_artifact, plain
from imclust.core.checks import cluster_count, finite
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import facts_of, read_manifest
from imclust.core.records import (
    Assignment,
    Features,
    cluster_names,
    parts_of,
    rows_of_ids,
    write_csv,
)
from imclust.data.nuisances import nuisances

if TYPE_CHECKING:
    Method = Any
else:
    Method = CLUSTERERS.union()

STABILITY_SEEDS = 5


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
    n_clusters: int | Literal["auto"] | None = None
    """K, unless the challenge itself says it; `auto` lets several criteria vote on it."""
    split: str = "train"
    """Rows to fit on: `train` (the others are placed), or `val` (the others are dropped)."""
    seed: int = 0
    """Random starts."""
    priors: PriorFlags = field(default_factory=PriorFlags)
    """What is known beforehand: sizes, row order, pairs, names."""
    corrections: tuple[Path, ...] = ()
    """What was said of the answer afterwards: files saved from its report. Each corrects the answer
    after those before it; merged clusters make K smaller."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Cluster) -> None:
    """Run the stage."""
    k = cfg.n_clusters or read_manifest(cfg.index, "index")["n_clusters"]
    if k is None:
        raise input_error(
            "the number of clusters K",
            "given: the challenge does not say it",
            "nothing",
            "set K=<n> (or --n-clusters), or K=auto to have it estimated",
        )
    entry = CLUSTERERS.for_config(cfg.clusterer)
    config = {"method": entry.name, **plain(cfg.clusterer)}
    config |= {"n_clusters": k, "split": cfg.split, "seed": cfg.seed}
    config |= {"priors": as_given(cfg.priors, None if k == "auto" else k)}
    modules = (__name__, entry.method.__module__)
    roles = _roles(cfg.features)
    if looks_at_nuisances(entry.method):
        roles["index"] = cfg.index
    spec = plain_spec = ArtifactSpec("assignment", config, roles, modules)
    write = make = partial(_cluster, cfg, k)
    if cfg.corrections:
        files, digests = read_all(cfg.corrections)
        spec = replace(spec, config=config | {"corrections": digests})
        write = partial(_corrected, cfg, files, Uncorrected(plain_spec, make, cfg.out))
    if make_artifact(cfg.out, spec, write, force=cfg.force):
        doc = read_manifest(cfg.out)
        say(f"{entry.name}: clusters of {doc['sizes']} images are in {cfg.out}")


def _roles(features: tuple[Path, ...]) -> dict[str, Path]:
    """Names of the inputs: features, features 2, features 3, ..."""
    if not features:
        raise input_error("--features", "at least one artefact", "none", "name the folder of one")
    return {"features" if i == 1 else f"features {i}": p for i, p in enumerate(features, 1)}


def _spaces(features: tuple[Path, ...]) -> tuple[Features, list[np.ndarray]]:
    """The first artefact, and all spaces of all of them (n, d_v) with the rows of the first."""
    first, *others = (Features.load(path) for path in features)
    whole = [first.x, *(first.alongside(other) for other in others)]
    return first, [
        part for path, x in zip(features, whole, strict=True) for part in parts_of(path, x)
    ]


def _cluster(cfg: Cluster, k: int | str, folder: Path) -> dict[str, Any]:

    entry = CLUSTERERS.for_config(cfg.clusterer)
    first, spaces = _spaces(cfg.features)
    mine = first.splits == cfg.split
    fitted = [np.asarray(x[mine]) for x in spaces]
    for x in fitted:
        finite("the rows of the features", x)
    k, voted = _count(fitted, k, cfg.seed, folder)
    cluster_count(k, int(mine.sum()))
    priors, names = read_priors(cfg.priors, first.ids[mine], k)
    seen = nuisances(cfg.index, first.ids[mine]) if looks_at_nuisances(entry.method) else None
    even = priors.proportions == "uniform"
    found = run_head(entry.method, fitted, k, cfg.clusterer, cfg.seed, seen, even=even)
    given = apply_priors(found.probabilities, priors, concatenate_unit_rows(fitted))
    keep = mine if cfg.split != "train" else np.ones_like(mine)
    p = np.empty((len(mine), k), np.float32)
    p[mine] = given.probabilities
    if (keep & ~mine).any():
        placed = [np.asarray(x[~mine]) for x in spaces]
        p[~mine] = given.predict(found.predict(clusterer_input(entry.method, placed)))
    rows = Assignment(first.ids[keep], first.splits[keep], p[keep])
    z = concatenate_unit_rows([np.asarray(x[keep]) for x in spaces])
    facts = _save(rows, z, folder)
    facts |= _tree(rows, z, facts, folder)
    candidates = found.facts.pop("candidates", [])
    if candidates:
        ranked = sorted(candidates, key=lambda row: -row["score"])
        header = tuple(ranked[0])  # those that were thrown out have no numbers
        rows_of = ([row.get(name, "") for name in header] for row in ranked)
        write_csv(folder / "candidates.csv", header, rows_of)
    report_priors(given.facts, priors)
    facts |= voted | {"stability": _stability(cfg, k, fitted, found)}
    return names | facts | found.facts | given.facts


def _corrected(
    cfg: Cluster, files: list[Corrections], before: Uncorrected, folder: Path
) -> dict[str, Any]:
    """The answer of the same settings, and what the user said of it."""

    at = before.bring(folder)
    rows, facts = Assignment.load(at), facts_of(read_manifest(at))
    first, spaces = _spaces(cfg.features)
    there = rows_of_ids(first.ids, rows.ids)
    z = concatenate_unit_rows([np.asarray(x[there]) for x in spaces])
    fitted = np.flatnonzero(rows.splits == cfg.split)
    priors, _ = read_priors(cfg.priors, rows.ids[fitted], facts["n_clusters"])
    pairs = (of_rows(links, fitted) for links in (priors.must_link, priors.cannot_link))
    answer = Corrected.first(rows.ids, rows.probabilities, *pairs)
    shown = at
    for n, file in enumerate(files):
        refuse_another(file, files[:n], shown)
        answer = answer.after(file)
        p, said = answer.answer(z)
        rows, shown = replace(rows, probabilities=p), folder
        facts |= _save(rows, z, folder) | said
    report_corrections(facts)
    return facts | classes_of(facts) | _tree(rows, z, facts, folder)


def _count(
    spaces: list[np.ndarray], k: int | str, seed: int, folder: Path
) -> tuple[int, dict[str, Any]]:
    """K, and how it was voted for where it was; then with a table and a picture."""
    if isinstance(k, int):
        return k, {}
    from imclust.clustering.n_clusters import COUNTED, estimate_k
    from imclust.report.plots import k_evidence

    vote = estimate_k(spaces, seed)
    rows = ([f"{v:.6g}" for v in row.values()] for row in vote.table)
    write_csv(folder / "k.csv", tuple(vote.table[0]), rows)
    k_evidence(vote.table, vote.favourites, COUNTED, vote.k, folder / "k.png")
    each = ", ".join(f"{name} {n}" for name, n in vote.favourites.items())
    doubt = "" if vote.clear else " No K is well supported: look at the table, or set one."
    say(f"K = {vote.k} by vote ({each}).{doubt}")
    return vote.k, {"k_favourites": vote.favourites, "k_clear": vote.clear}


def _save(rows: Assignment, z: np.ndarray, folder: Path) -> dict[str, Any]:
    """The assignment, with what is told of every image."""
    from imclust.clustering.dendrogram import per_image

    seen = per_image(rows.probabilities, z)
    return rows.save(folder, (seen.runner_up, seen.distance))


def _tree(rows: Assignment, z: np.ndarray, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tree over the clusters."""
    from imclust.clustering.dendrogram import merge_order
    from imclust.report.plots import dendrogram

    tree = merge_order(rows.probabilities, z)
    dendrogram(tree, cluster_names(facts, facts["n_clusters"]), folder / "tree.png")
    return {"merge_order": tree.round(4).tolist()}


def _stability(cfg: Cluster, k: int, spaces: list[np.ndarray], found: Clustering) -> float:
    """Mean agreement of runs from several seeds; `auto` has compared some already."""
    from imclust.clustering.metrics import mean_pairwise_ari

    entry = CLUSTERERS.for_config(cfg.clusterer)
    runs = [found.labels]
    if found.candidates:
        runs += [c.whole for c in found.candidates if c.whole is not None and c.repeats]
    else:
        for seed in range(cfg.seed + 1, cfg.seed + STABILITY_SEEDS):
            runs.append(run_head(entry.method, spaces, k, cfg.clusterer, seed).labels)
    return round(mean_pairwise_ari(runs), 4)
