"""`words`: what is seen in every image, in words that it can be found by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imclust.clustering.blocks import each_block
from imclust.clustering.size_constraints import softmax
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import Features, parts_of
from imclust.core.word_records import SeenClasses
from imclust.encoders.class_head import class_logits, class_words, network_of

KEPT = 5  # classes of an image,
KEPT_OF_MANY = 3  # where there are more images than these:
MANY = 20_000


@dataclass(frozen=True)
class Words:
    """Tell what is seen in every image: the likeliest classes of the bundled network, with the
    words above them; or the nouns that a text tower finds nearest."""

    features: Path
    """The `features` artefact of the images: of a bundled network, or of the image half of the
    text tower's model."""
    out: Path
    """Where classes.json, likeliest.npy and shares.npy go."""
    text_tower: str = ""
    """A CLIP or SigLIP model whose text half knows words: a folder, or a name on the Hugging Face
    hub such as google/siglip2-base-patch16-224; needs imclust[text]."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Words) -> None:
    """Read `features`, write `words`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("words --features run/latents --out run/words".split())
    words: none, because no network that knows any made run/latents
    0
    """
    config, roles = {"text_tower": cfg.text_tower}, {"features": cfg.features}
    spec = ArtifactSpec(SeenClasses.kind, config, roles, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _seen(cfg).save(folder), force=cfg.force):
        classes = SeenClasses.load(cfg.out).classes
        why = f"none, because no network that knows any made {cfg.features}"
        say(f"words: {f'of {len(classes)} classes' if classes else why}")


def _seen(cfg: Words) -> SeenClasses:
    features = Features.load(cfg.features)
    space = parts_of(cfg.features, features.x)[0]
    found = _of_tower(cfg) if cfg.text_tower else _of_network(cfg, space)
    kept = min(KEPT if len(space) <= MANY else KEPT_OF_MANY, len(found.classes))
    likeliest, shares = np.zeros((2, len(space), kept))

    def look(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = found.fit(block) if found.tower else class_logits(network_of(cfg.features), block)
        assert logits is not None
        order = np.argsort(-logits, axis=1, kind="stable")[:, :kept]
        return order, np.take_along_axis(softmax(logits), order, 1)

    for place, (order, share) in each_block(space, look) if kept else ():
        likeliest[place], shares[place] = order, share
    return replace(found, ids=features.ids, likeliest=likeliest, shares=shares)


def _of_network(cfg: Words, space: np.ndarray) -> SeenClasses:
    """The classes of the bundled network that made the latents, none of another's."""
    known = class_logits(network_of(cfg.features), space[:1]) is not None
    none = np.zeros((0, 0))  # of no image yet
    return SeenClasses(none, class_words() if known else (), none, none)


def _of_tower(cfg: Words) -> SeenClasses:
    """The nouns, with their vectors."""
    from imclust.encoders.text_tower import TextTower, nouns
    from imclust.training.pretrained import read_state

    tower = TextTower(cfg.text_tower)
    there = read_manifest(cfg.features, Features.kind)["inputs_at"].get("weights")
    file = cfg.features / str(there) / "weights.safetensors"
    tower.refuse_another(read_state(file) if there else {}, cfg.features)
    none = np.zeros((0, 0))  # of no image yet
    return SeenClasses(
        none,
        tuple((word,) for word in nouns()),
        *(none, none),
        tower.vectors(nouns()),
        tower.projection,
        tower.scale,
        cfg.text_tower,
    )
