"""`link`: clusters from pairs, any number of them, each group apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.correction_facts import report_corrections
from imclust.clustering.corrections import Corrections
from imclust.clustering.doubt_tables import write_doubts
from imclust.clustering.linked_groups import (
    Linked,
    known_pairs,
    link_group,
    memberships,
    stable_names,
    value_pairs,
)
from imclust.clustering.pair_answers import Answered
from imclust.clustering.pair_clustering import Linkage
from imclust.clustering.pair_thresholds import METHODS
from imclust.clustering.pairwise_constraints import Pairs
from imclust.clustering.uncorrected import Uncorrected, keep_files, make_corrected, refuse_another
from imclust.competitions.submission_check import published
from imclust.core.artifacts import ArtifactSpec
from imclust.core.checks import in_range, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import file_digest, read_manifest
from imclust.core.pair_records import PairScores, names_by_id
from imclust.core.records import (
    Assignment,
    Features,
    PairHints,
    read_csv,
    write_csv,
)
from imclust.core.wording import counted

MOST_CELLS = 1 << 29  # images x clusters: 2 GiB of float32


@dataclass(frozen=True)
class Link:
    """Cluster the images of every group by their pairs' P(same); singletons are normal. The method
    and the threshold are chosen on the known identities, or where there are none by stability."""

    pairs: Path
    """A `pairs` artefact, from `pairs`."""
    features: Path
    """The `features` artefact that the report looks for neighbours in."""
    index: Path
    """The `index` artefact; knows groups, photographs and bursts."""
    out: Path
    """Where the assignment goes: assignment.csv, clusters.csv, probabilities.npy (N, K)."""
    methods: tuple[Linkage, ...] = METHODS
    """To choose among."""
    threshold: float | None = None
    """On P(same), for all groups, instead of one that is chosen for each."""
    names_from: Path | None = None
    """An earlier assignment of `link`, or a table of ids and clusters such as an earlier
    submission.csv: clusters keep the names that most of their images have there, and new ones get
    new numbers."""
    corrections: tuple[Path, ...] = ()
    """What was said of the assignment afterwards: files saved from its page. Each corrects it after
    those before. They stay with the assignment in --out."""
    without_corrections: bool = False
    """Leave out what the assignment in --out was corrected with; it is kept beside it."""
    seed: int = 0
    """Of the folds of identities, and of Leiden."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        if not self.methods:
            raise input_error("--methods", f"some of {', '.join(METHODS)}", "none", "name one")
        if self.threshold is not None:
            in_range("link", "threshold", self.threshold, 0.01, 0.99)


def run(cfg: Link) -> None:
    """Read `pairs`, `features` and an `index`, write an `assignment`: as many clusters as fit.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> words = "link --index raw/index --pairs run/pairs --features run/latents --threshold 0.5"
    >>> main([*words.split(), "--out", "run/who"])  # doctest: +ELLIPSIS
    group all: ... clusters of 24 images (average at 0.50)
    0
    """
    config: dict[str, Any] = {"method": "link", "split": "train", "methods": list(cfg.methods)}
    config |= {"threshold": cfg.threshold, "seed": cfg.seed}
    roles = {"pairs": cfg.pairs, "features": cfg.features, "index": cfg.index}
    if cfg.names_from is not None:
        if _names_before(cfg.names_from) and cfg.names_from.is_dir():
            roles["names"] = cfg.names_from
        else:
            config["names"] = file_digest(cfg.names_from)
    if published(cfg.index):
        roles["published"] = cfg.index.parent / "published"
    spec = ArtifactSpec(Assignment.kind, config, roles, (__name__,))
    made = make_corrected(
        cfg.out, spec, partial(_link, cfg), partial(_corrected, cfg), cfg.corrections,
        without=cfg.without_corrections, force=cfg.force,
    )  # fmt: skip
    if made:
        for group, how in read_manifest(cfg.out)["groups"].items():
            told = f", AMI {how['ami']:.3f} on held-out identities" if how["ami"] else ""
            say(
                f"group {group}: {counted(how['clusters'], 'cluster')} of "
                f"{counted(how['images'], 'image')} "
                f"({how['method']} at {how['threshold']:.2f}{told})"
            )


def _link(cfg: Link, folder: Path) -> dict[str, Any]:
    return _save(cfg, _clusters(cfg), _names_before(cfg.names_from), folder)[1]


def _corrected(
    cfg: Link, files: list[Corrections], before: Uncorrected, folder: Path
) -> dict[str, Any]:
    """The assignment of the same settings, and what the user said of it."""
    shown = there = before.bring(folder, files[0].assignment)
    keep_files(files, folder)
    assignment, names = Assignment.load(there), _names_before(there)
    refuse_another(files[0], [], shown)
    files[0].check(assignment.ids.tolist(), assignment.probabilities.shape[1])
    at = _clusters(cfg)
    facts: dict[str, Any] = {}
    for n, file in enumerate(files):
        refuse_another(file, files[:n], shown)
        at = at.after(file, assignment.clusters, assignment.probabilities.max(1), cfg.seed)
        assignment, facts = _save(cfg, at, names, folder)
        shown = folder
    report_corrections(facts)
    return facts


def _clusters(cfg: Link) -> Answered:
    """The clusters of every group, before anything is said of them."""
    found = PairScores.load(cfg.pairs)
    hints, given = PairHints.load(cfg.index), published(cfg.index)
    identities = np.array([given.get(i, "") for i in found.ids.tolist()], dtype=str)
    linked: dict[str, tuple[np.ndarray, Linked]] = {}
    held: dict[str, Pairs] = {}
    for group in np.unique(found.groups).tolist():
        rows = np.flatnonzero(found.groups == group)
        place = np.full(len(found.ids), -1)
        place[rows] = np.arange(len(rows))
        mine = found.groups[found.pairs[:, 0]] == group
        ids = found.ids[rows].tolist()
        must = value_pairs([hints.bursts.get(i, "") for i in ids])
        linked[group] = rows, link_group(
            len(rows), place[found.pairs[mine]], found.probability[mine], identities[rows],
            cfg.methods, cfg.threshold, names=ids, seed=cfg.seed, must=must,
            cannot=value_pairs([hints.photos.get(i, "") for i in ids]),
        )  # fmt: skip
        held[group] = (*must, *known_pairs(identities[rows])[0])
    return Answered(found.ids, linked, held)


def _save(
    cfg: Link, at: Answered, before: dict[str, str], folder: Path
) -> tuple[Assignment, dict[str, Any]]:
    """Write the assignment, its clusters, and what is doubtful about them."""
    found, given = PairScores.load(cfg.pairs), published(cfg.index)
    identities = np.array([given.get(i, "") for i in at.ids.tolist()], dtype=str)
    p, names, owners = _together(at.linked, at.ids, identities, before)
    assignment = Assignment(at.ids, found.splits, p)
    names = at.names(assignment.clusters, names)
    z = np.asarray(Features.load(cfg.features).at(at.ids))
    header = ("cluster", "name", "identities")
    table = ((c, names[c], inside) for c, (_, inside) in enumerate(owners))
    write_csv(folder / "clusters.csv", header, table)
    write_doubts(folder, at.linked, assignment, names)
    groups = {
        g: {
            "images": len(rows), "clusters": int(part.labels.max()) + 1,
            "method": part.cut.method, "threshold": part.cut.threshold,
            "ami": None if np.isnan(part.cut.ami) else round(part.cut.ami, 4),
        }
        for g, (rows, part) in at.linked.items()
    }  # fmt: skip
    from imclust.clustering.dendrogram import per_image

    seen = per_image(assignment.probabilities, z)
    facts = assignment.save(folder, (seen.runner_up, seen.distance))
    said = at.facts() if at.told else {}
    return assignment, facts | {"names": names, "groups": groups} | said


def _together(
    linked: Mapping[str, tuple[np.ndarray, Linked]],
    ids: np.ndarray,
    identities: np.ndarray,
    before: dict[str, str],
) -> tuple[np.ndarray, list[str], list[tuple[str, str]]]:
    """Memberships (n, k) of all groups, names of the k clusters, and the identities in each."""
    n, k = len(ids), sum(int(part.labels.max()) + 1 for _, part in linked.values())
    if n * k > MOST_CELLS:
        do = "cluster fewer images at a time"
        raise input_error("images times clusters", f"at most {MOST_CELLS}", f"{n} x {k}", do)
    p = np.zeros((n, k), np.float32)
    names: list[str] = []
    owners: list[tuple[str, str]] = []
    for group, (rows, part) in linked.items():
        own = memberships(part.labels, part.matrix)
        p[rows[:, None], len(names) + np.arange(own.shape[1])] = own
        called = stable_names(group, part.labels, ids[rows].tolist(), before)
        for c, name in enumerate(called):
            inside = sorted(set(identities[rows[part.labels == c]].tolist()) - {""})
            names.append(name)
            owners.append((name, " ".join(inside)))
    return p, names, owners


def _names_before(source: Path | None) -> dict[str, str]:
    """id -> name of its cluster in an earlier assignment."""
    if source is None:
        return {}
    if source.is_dir():
        return names_by_id(source)
    if not source.is_file():
        allowed = "an assignment of `link`, or a table of ids and clusters"
        raise input_error("--names-from", allowed, f"{source}, which is not there", "check it")
    rows = read_csv(source)
    columns = [c for c in rows[0] if c] if rows else []
    if len(columns) < 2:
        allowed = "a table of ids and clusters, such as an earlier submission.csv"
        got = f"columns {','.join(columns)}" if rows else "no rows"
        raise input_error(str(source), allowed, got, "name another")
    of, called = (columns[0], "cluster" if "cluster" in columns[1:] else columns[1])
    # A name without an id is one that no image has now, and that nobody else may get.
    return {r[of] or f"\0{r[called]}": r[called] for r in rows if r[called]}
