"""`cluster`: every image gets a cluster and a confidence."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from imclust.clustering.apply_corrections import Corrected
from imclust.clustering.blocks import LARGE
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    looks_at_nuisances,
    predict_rows,
    run_head,
)
from imclust.clustering.correction_facts import classes_of, kept_names, report_corrections
from imclust.clustering.corrections import Corrections
from imclust.clustering.levels import Level
from imclust.clustering.nearest_clusters import is_many, refuse_with_many, write_nearest
from imclust.clustering.preprocessing import JoinedRows, concatenate_unit_rows, joined_unit_rows
from imclust.clustering.prior_tables import PriorFlags, as_given, read_priors, report_priors
from imclust.clustering.priors import apply_priors
from imclust.clustering.stability import stability
from imclust.clustering.uncorrected import (
    EVIDENCE,
    SUGGESTED,
    Uncorrected,
    keep_files,
    make_corrected,
    of_grown,
    of_rows,
    refuse_another,
)
from imclust.core.artifacts import ArtifactSpec, plain
from imclust.core.base_records import Base
from imclust.core.checks import (
    cluster_count,
    count_that_fits,
    finite,
    given_count,
    in_range,
    valid_seed,
)
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.look_records import Look
from imclust.core.manifest import facts_of, read_manifest
from imclust.core.npy import kept_rows
from imclust.core.parquet import check_parquet
from imclust.core.ray_workers import check_ray, workers_of
from imclust.core.records import (
    Assignment,
    Features,
    cluster_names,
    parts_of,
    rows_of_ids,
    rows_where,
    write_csv,
)
from imclust.data.images import indexed
from imclust.data.nuisances import nuisances
from imclust.report.cluster_colours import dealt_colours, kept_colours


@dataclass(frozen=True)
class Cluster:
    """Fit a clusterer on one split and give every other row its cluster through it."""

    clusterer: Annotated[Any, CLUSTERERS]
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
    n_clusters_from: Path | None = None
    """Instead: the `assignment` artefact whose K to take, such as one that voted on it."""
    level: Level = "chosen"
    """Where K is voted on: the `coarse`, the `chosen` or the `fine` level of the three nested
    assignments that levels.csv holds."""
    copies: Path | None = None
    """A `look` artefact: of every group of copies that it found one image is clustered, and the
    others go where that goes."""
    unclustered: float = 0.0
    """Share of rows that belong nowhere: unclustered.csv has -1 for them; everything else, and
    every submission, keeps their nearest cluster."""
    split: str = "train"
    """Rows to fit on: `train` (the others are placed), or `val` (the others are dropped)."""
    seed: int = 0
    """Random starts."""
    priors: PriorFlags = field(default_factory=PriorFlags)
    """What is known beforehand: sizes, row order, pairs, names."""
    grown_from: Path | None = None
    """A `base` artefact, what clusters there were: images that it knows keep theirs, the others are
    placed among them, and many that fit nowhere are a new cluster. Nothing is clustered anew."""
    opened: tuple[str, ...] = ()
    """With it: of each cluster that was opened so before, the digest of an image that founded it;
    it keeps its number."""
    earlier: tuple[str, ...] = ()
    """With it: sha256:K of each table that its clusters had since, whose corrections count too."""
    corrections: tuple[Path, ...] = ()
    """What was said of the assignment afterwards: files saved from its page. Each corrects it after
    those before; merged clusters make K smaller. They stay with the assignment in --out."""
    without_corrections: bool = False
    """Leave out what the assignment in --out was corrected with; it is kept beside it."""
    ray: str | None = None
    """Have Ray do the candidates of the clusterer `auto`, and of more than 50 000 rows its labels
    or the passes of `kmeans`: `auto` (the cluster of this machine), `ray://host:port`, or `local:N`
    workers. The assignment is the same bytes."""
    parquet: bool = False
    """Also assignment.parquet/: the table in files of a million rows (extra `parquet`)."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        given_count(self.n_clusters)
        valid_seed(self.seed)
        if self.n_clusters is not None and self.n_clusters_from is not None:
            do = "leave one out"
            raise input_error("--n-clusters and --n-clusters-from", "one of them", "both", do)
        if self.parquet:
            check_parquet()
        in_range("cluster", "unclustered", self.unclustered, 0.0, 0.9)
        if self.level != "chosen" and isinstance(self.n_clusters, int):
            do = "leave one of the two out"
            raise input_error("--level", "chosen where K is given", self.level, do)

    def count(self) -> int | Literal["auto"] | None:
        """K as it was given, as another assignment has it, or as the challenge says it."""
        if self.n_clusters is not None:
            return self.n_clusters
        if self.n_clusters_from is not None:
            return read_manifest(self.n_clusters_from, Assignment.kind)["n_clusters"]
        return read_manifest(self.index, "index")["n_clusters"]


def run(cfg: Cluster) -> None:
    """Read `features` (and an `index` for ids), cluster them, write an `assignment`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> _ = main("cluster --index raw/index --features run/map --out run/other kmeans".split())
    ...     # doctest: +ELLIPSIS
    row order carries signal: ...kmeans: clusters of [12, 12] images are in run/other
    """
    k = cfg.count()
    if k is None:
        raise input_error(
            "the number of clusters K",
            "given: the challenge does not say it",
            "nothing",
            "set K=<n> (or --n-clusters), or K=auto to have it estimated",
        )
    entry = CLUSTERERS.for_config(cfg.clusterer)
    if cfg.ray is not None:
        check_ray(cfg.ray)
        if entry.name not in {"auto", "kmeans"}:
            do = "leave --ray out, or cluster by one of these"
            raise input_error("--ray", "used with auto or kmeans", entry.name, do)
    if is_many(cfg.clusterer, k):
        flags = "unclustered", "copies", "grown_from", "corrections"
        given = {f"--{name.replace('_', '-')}": bool(getattr(cfg, name)) for name in flags}
        refuse_with_many(k, {"--proportions, ...": cfg.priors != PriorFlags(), **given})
    config = {"method": entry.name, **plain(cfg.clusterer)}
    config |= {"n_clusters": k, "split": cfg.split, "seed": cfg.seed}
    config |= {"priors": as_given(cfg.priors, None if k == "auto" else k)}
    if cfg.level != "chosen":
        config["level"] = cfg.level
    if cfg.parquet:
        config["parquet"] = True
    if cfg.unclustered:
        config["unclustered"] = cfg.unclustered
    modules = (__name__, entry.method.__module__)
    roles = _roles(cfg.features)
    if looks_at_nuisances(entry.method):
        roles["index"] = cfg.index
    if cfg.copies is not None:
        roles["copies"] = cfg.copies
    if cfg.grown_from is not None:
        config |= {"opened": list(cfg.opened), "earlier": list(cfg.earlier)}
        roles |= {"grown from": cfg.grown_from, "index": cfg.index}
    spec = ArtifactSpec("assignment", config, roles, modules)
    make = partial(_cluster if cfg.grown_from is None else _grow, cfg, k)
    made = make_corrected(
        cfg.out, spec, make, partial(_corrected, cfg), cfg.corrections, base=cfg.grown_from,
        without=cfg.without_corrections, force=cfg.force,
    )  # fmt: skip
    if made:
        doc = read_manifest(cfg.out)
        sizes = doc["sizes"]
        shown = f"{min(sizes)} to {max(sizes)}" if is_many(cfg.clusterer, k) else sizes
        say(f"{entry.name}: clusters of {shown} images are in {cfg.out}")


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


def _cluster(cfg: Cluster, wanted: int | str, folder: Path) -> dict[str, Any]:
    first, spaces = _spaces(cfg.features)
    copies, best = _copies(cfg, first)
    mine = first.splits == cfg.split
    mine[copies] = False
    if is_many(cfg.clusterer, wanted):
        cluster_count(int(wanted), int(mine.sum()))
    elif isinstance(wanted, int):
        count_that_fits(wanted, int(mine.sum()), len(mine))
    with ExitStack() as kept:
        fitted = [kept_rows(x, mine, folder, kept) for x in spaces]
        if is_many(cfg.clusterer, wanted):
            for x in fitted:
                finite("the rows of the features", x)
            keep = mine if cfg.split != "train" else np.ones_like(mine)
            how = int(wanted), cfg.seed, cfg.clusterer.prepare
            with workers_of(cfg.ray, cfg.features):
                return write_nearest(folder, first, spaces, fitted, keep, *how, parquet=cfg.parquet)
        return _fitted(cfg, wanted, folder, first, spaces, fitted, mine, (copies, best))


def _fitted(
    cfg: Cluster,
    wanted: int | str,
    folder: Path,
    first: Features,
    spaces: list[np.ndarray],
    fitted: list[np.ndarray],
    mine: np.ndarray,
    aside: tuple[list[int], list[int]],
) -> dict[str, Any]:
    """Cluster the rows where `mine` (n,) is true; place the others, those aside as their copies."""
    entry = CLUSTERERS.for_config(cfg.clusterer)
    copies, best = aside
    for x in fitted:
        finite("the rows of the features", x)
    chosen, voted = _count(fitted, wanted, cfg.seed, folder)
    count_that_fits(chosen, int(mine.sum()), len(mine))
    seen = nuisances(cfg.index, first.ids[mine]) if looks_at_nuisances(entry.method) else None
    even = cfg.priors.proportions == "uniform"
    far = entry.name == "auto" or len(fitted[0]) > LARGE  # whose candidates are shared out, too
    with workers_of(cfg.ray if far else None, cfg.features):
        found = run_head(entry.method, fitted, chosen, cfg.clusterer, cfg.seed, seen, even=even)
    found, voted = _levels(cfg, found, fitted, first.ids[mine], voted, folder)
    k = int(found.probabilities.shape[1])
    priors, names = read_priors(cfg.priors, first.ids[mine], k)
    ordered = None if cfg.priors.row_order == "ignore" else concatenate_unit_rows(fitted)
    given = apply_priors(found.probabilities, priors, ordered)
    keep = first.splits == cfg.split if cfg.split != "train" else np.ones_like(mine)
    p = np.empty((len(mine), k), np.float32)
    p[mine] = given.probabilities
    if (keep & ~mine).any():
        p[~mine] = given.predict(predict_rows(entry.method, found, spaces, np.flatnonzero(~mine)))
    p[copies] = p[best]
    rows = Assignment(*(rows_where(a, keep) for a in (first.ids, first.splits, p)))
    with ExitStack() as kept:
        z = joined_unit_rows([kept_rows(x, keep, folder, kept) for x in spaces])
        facts = _save(rows, z, folder, parquet=cfg.parquet)
    facts |= _tree(fitted, given.probabilities, cfg.seed, facts, folder)
    if cfg.unclustered:
        from imclust.clustering.doubt import doubts, write_unclustered

        labels = rows.clusters
        doubt = doubts(labels, [x[keep] for x in spaces])
        facts |= write_unclustered(folder, rows.ids, labels, doubt, cfg.unclustered)
    candidates = found.facts.pop("candidates", [])
    if candidates:
        ranked = sorted(candidates, key=lambda row: -row["score"])
        header = tuple(ranked[0])  # those that were thrown out have no numbers
        rows_of = ([row.get(name, "") for name in header] for row in ranked)
        write_csv(folder / "candidates.csv", header, rows_of)
    report_priors(given.facts, priors)
    facts |= {"copies_put_aside": len(copies)} if cfg.copies else {}
    facts |= voted | {
        "stability": stability(entry.method, cfg.clusterer, k, cfg.seed, fitted, found)
    }
    return names | facts | found.facts | given.facts


def _grow(cfg: Cluster, _: int | str, folder: Path) -> dict[str, Any]:
    """The clusters of a base, with the images that came since among them."""
    from imclust.clustering.growth import join_base

    assert cfg.grown_from is not None
    base = Base.load(cfg.grown_from)
    first, spaces = _spaces(cfg.features)
    digest = {row.id: row.digest for row, _ in indexed(cfg.index)}
    digests = np.array([digest[i] for i in first.ids.tolist()], dtype=str)
    known = base.rows_of(first.ids, digests)
    if (known < 0).all():
        do = "cluster afresh (cluster-folder: --fresh)"
        raise input_error("images that the clusters are known of", "there", "none of them", do)
    whole = [np.asarray(x) for x in spaces]
    for x in whole:
        finite("the rows of the features", x)
    copies = _copies(cfg, first)
    view = base.facts.get("view")
    q, opened = join_base(
        base.probabilities, known, digests, whole, view=view, opened=cfg.opened, copies=copies
    )
    rows = Assignment(first.ids, first.splits, q)
    facts = _save(rows, joined_unit_rows(whole), folder)
    facts |= {"colours": kept_colours(base.facts, facts)}
    facts |= _tree(whole, q, cfg.seed, facts, folder)
    for name in EVIDENCE:
        if (cfg.grown_from / name).is_file():
            shutil.copyfile(cfg.grown_from / name, folder / name)
    came = int((known < 0).sum())
    grown = {"k": base.facts["n_clusters"], "kept": len(known) - came, "came": came}
    grown |= {"opened": opened, "corrected": base.facts["corrected"]}
    return facts | base.carried(facts["n_clusters"]) | {"grown": grown}


def _copies(cfg: Cluster, first: Features) -> tuple[list[int], list[int]]:
    """Rows to fit that are copies of others, and whose."""
    if cfg.copies is None:
        return [], []
    return Look.load(cfg.copies).copies_among(first.ids, first.splits == cfg.split)


def _levels(
    cfg: Cluster,
    found: Clustering,
    spaces: list[np.ndarray],
    ids: np.ndarray,
    voted: dict[str, Any],
    folder: Path,
) -> tuple[Clustering, dict[str, Any]]:
    """The assignment at the level asked for; levels.csv with all three where K was voted on."""
    if not voted:
        return found, voted
    from imclust.clustering.levels import at_level

    counts = {name: int(of["k"]) for name, of in voted["levels"].items()}
    found, nested = at_level(found, spaces, counts, cfg.level, cfg.seed)
    names = [name for name in counts if name in nested]
    write_csv(
        folder / "levels.csv", ("id", *names), zip(ids, *(nested[n] for n in names), strict=True)
    )
    made = {name: {**voted["levels"][name], "k": int(nested[name].max()) + 1} for name in names}
    return found, voted | {"levels": made, "level": cfg.level if cfg.level in names else "chosen"}


def _corrected(
    cfg: Cluster, files: list[Corrections], before: Uncorrected, folder: Path
) -> dict[str, Any]:
    """The assignment of the same settings, and what the user said of it."""
    at = before.bring(folder, files[0].assignment)
    keep_files(files, folder)
    rows, facts = Assignment.load(at), facts_of(read_manifest(at))
    first, spaces = _spaces(cfg.features)
    there = rows_of_ids(first.ids, rows.ids)
    z = concatenate_unit_rows([np.asarray(x[there]) for x in spaces])
    fitted = np.flatnonzero(rows.splits == cfg.split)
    priors, _ = read_priors(cfg.priors, rows.ids[fitted], facts["n_clusters"])
    pairs = (of_rows(links, fitted) for links in (priors.must_link, priors.cannot_link))
    corrected = Corrected.first(rows.ids, rows.probabilities, *pairs)
    shown, found, before_it = at, facts.pop("found_names", None), dict(facts)
    for n, file in enumerate(files):
        if n == 0:  # a later one speaks of what an earlier one has changed
            file = of_grown(file, cfg.earlier, shown, rows.ids.tolist(), facts["n_clusters"])
        refuse_another(file, files[:n], shown)
        corrected = corrected.after(file)
        p, said = corrected.assignment()
        rows, shown = replace(rows, probabilities=p), folder
        last = n == len(files) - 1
        facts |= _save(rows, z, folder, parquet=cfg.parquet and last) | said
    if "grown" in facts:
        facts |= kept_names(facts, before_it.get("names"), found)
    close = corrected.suggestions(z)
    header = ("id", "cluster", "suggested", "sure", "because_of")
    named = (
        (rows.ids[s.row], rows.clusters[s.row], s.to, f"{s.sure:.4f}", rows.ids[s.because])
        for s in close
    )
    write_csv(folder / SUGGESTED, header, named)
    facts |= {"suggested": len(close)}
    report_corrections(facts)
    whole = [np.asarray(x[there][fitted]) for x in spaces]
    facts |= {"colours": kept_colours(before_it, facts)}
    tree = _tree(whole, rows.probabilities[fitted], cfg.seed, facts, folder)
    return facts | classes_of(facts) | tree


def _count(
    spaces: list[np.ndarray], k: int | str, seed: int, folder: Path
) -> tuple[int, dict[str, Any]]:
    """K, and how it was voted for where it was; then with a table and a picture."""
    if isinstance(k, int):
        return k, {}
    from imclust.clustering.k_words import k_sentence, k_words
    from imclust.clustering.n_clusters import COUNTED, estimate_k
    from imclust.report.curves import k_evidence
    from imclust.report.figures import Sheet

    vote = estimate_k(spaces, seed)
    rows = ([f"{v:.6g}" for v in row.values()] for row in vote.table)
    write_csv(folder / "k.csv", tuple(vote.table[0]), rows)
    words = k_words(vote)
    k_evidence(Sheet(folder, 11), vote.table, vote.favourites, tuple(COUNTED), words)
    say(k_sentence(words))
    return vote.k, {"k_words": words, "k_clear": vote.clear, "levels": vote.levels}


def _save(
    rows: Assignment, z: np.ndarray | JoinedRows, folder: Path, *, parquet: bool = False
) -> dict[str, Any]:
    """The assignment, with what is told of every image."""
    from imclust.clustering.dendrogram import per_image

    seen = per_image(rows.probabilities, z)
    return rows.save(folder, (seen.runner_up, seen.distance), parquet=parquet)


def _tree(
    spaces: list[np.ndarray], p: np.ndarray, seed: int, facts: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """The tree over the clusters, how far apart they are, and colours where facts have none."""
    from imclust.clustering.graph_merging import cluster_tree
    from imclust.report.figures import Sheet, dendrogram

    tree = cluster_tree(spaces, p.argmax(1), p.shape[1], seed)
    names = cluster_names(facts, facts["n_clusters"])
    dendrogram(Sheet(folder, 7), tree.merges, names)
    np.save(folder / "apart.npy", tree.apart.astype(np.float32), allow_pickle=False)
    merges = tree.merges.round(6).tolist()
    colours = dealt_colours(merges, p.shape[1], facts.get("colours", ()))
    return {"merge_order": merges, "colours": colours}
