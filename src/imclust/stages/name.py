"""`name`: what the clusters may be called, by what their encoder knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.blocks import sample_rows
from imclust.clustering.cluster_names import NamedCluster, class_shares, name_clusters, seen_words
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import (
    NAMES_KIND,
    Assignment,
    Features,
    named,
    parts_of,
    rows_of_ids,
    write_csv,
)
from imclust.core.word_records import SeenClasses
from imclust.encoders.class_head import ClassWords, class_logits, imagenet_words, network_of

MOST = 20_000  # images that names are told from


@dataclass(frozen=True)
class Name:
    """Name every cluster by the ImageNet classes that the bundled network sees in it, or by a
    common word above them, with the evidence. Names that corrections give stand above these."""

    assignment: Path
    """The `assignment` artefact."""
    features: Path
    """The `features` artefact of the images, from `encode` with a bundled network, or with that of
    the text tower of --words."""
    out: Path
    """Where names.csv goes."""
    words: Path | None = None
    """The `words` artefact of a text tower, whose nouns then name."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Name) -> None:
    """Read an `assignment` and `features`, write `names`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("name --assignment run/clusters --features run/latents --out run/names".split())
    names: (none), (none)
    0
    """
    roles = {"assignment": cfg.assignment, "features": cfg.features}
    roles |= {"words": cfg.words} if cfg.words else {}
    spec = ArtifactSpec(NAMES_KIND, {}, roles, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _name(cfg, folder), force=cfg.force):
        doc = read_manifest(cfg.assignment)
        given = doc.get("names") or [""] * doc["n_clusters"]
        yours = [f"{name} (yours)" if by_hand else name or "(none)"
                 for name, by_hand in zip(named(doc, cfg.out), given, strict=True)]  # fmt: skip
        say(f"names: {', '.join(yours)}")


def _name(cfg: Name, folder: Path) -> dict[str, Any]:
    clustering, features = Assignment.load(cfg.assignment), Features.load(cfg.features)
    k = clustering.probabilities.shape[1]
    rows = sample_rows(len(clustering.ids), MOST, 0)  # of more, names are what these say
    at = rows_of_ids(features.ids, clustering.ids[rows])
    space, clusters = parts_of(cfg.features, features.x)[0], clustering.clusters[rows]
    if cfg.words is None:
        logits, words = class_logits(network_of(cfg.features), np.asarray(space[at])), None
    else:
        logits, words = _by_tower(cfg.words, cfg.features, space[at])
    if logits is None:
        found = [NamedCluster("", ())] * k
    else:
        words = words or imagenet_words()
        share = class_shares(logits, clusters, k) @ words.members
        there = np.bincount(clusters, minlength=k) > 0
        seen = seen_words(logits, clusters, k, words.members)
        found = name_clusters(share, seen, words.rarity, words.words, there)
    kept = read_manifest(cfg.assignment).get("found_names") or [None] * k
    named_now = _with_kept([(each.name, _told(each)) for each in found], kept)
    numbered = ((c, *row) for c, row in enumerate(named_now))
    write_csv(folder / "names.csv", ("cluster", "name", "evidence"), numbered)
    return {"names": [name for name, _ in named_now]}


def _by_tower(folder: Path, features: Path, latents: np.ndarray) -> tuple[np.ndarray, ClassWords]:
    """How well a text tower's nouns fit images, (n, v), and the nouns.

    Raises
    ------
    InputError
        The words are of no tower, or of other latents.
    """
    seen, doc = SeenClasses.load(folder), read_manifest(folder)
    if seen.vectors is None or doc["inputs"]["features"] != read_manifest(features)["digest"]:
        got = "of a network's classes" if seen.vectors is None else "of other latents"
        do = f"make them: words --features {features} --text-tower MODEL"
        raise input_error("--words", "words of a text tower for these latents", got, do)
    nouns = tuple(mine[0] for mine in seen.classes)
    return seen.fit(latents), ClassWords(nouns, np.eye(len(nouns), dtype=bool))


def _with_kept(found: list[tuple[str, str]], kept: list[Any]) -> list[tuple[str, str]]:
    """Clusters that were named before keep that name, and no other gets it."""
    taken = {pair[0] for pair in kept if pair}
    free = [("", "") if name in taken else (name, why) for name, why in found]
    return [(old[0], old[1]) if old else new for old, new in zip(kept, free, strict=True)]


def _told(named: NamedCluster) -> str:
    """`dog 0.82 (elsewhere 0.05), in 0.97 of the images; hound 0.31 ...`."""
    return "; ".join(
        f"{word} {here:.2f} (elsewhere {there:.2f}), in {seen:.2f} of the images"
        for word, here, there, seen in named.evidence
    )
