"""`name`: what the clusters may be called, by what their encoder knows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.cluster_names import (
    NamedCluster,
    class_shares,
    cluster_weights,
    name_clusters,
    seen_rows,
    seen_words,
)
from imclust.clustering.scene_names import SeenWord, add_scenes, split_scene
from imclust.clustering.word_pairs import word_pairs
from imclust.competitions.model_names import (
    ModelNames,
    ask_model_names,
    is_by_model,
    standing_names,
)
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, parse_json, read_manifest
from imclust.core.name_records import NAMES_KIND, named, names_before, namesakes
from imclust.core.records import Assignment, write_csv
from imclust.core.wording import counted
from imclust.encoders.class_head import imagenet_words, network_of
from imclust.encoders.scenes import is_landscape
from imclust.encoders.second_look import SIDES, SecondLook, is_small
from imclust.encoders.seen_images import (
    SeenImages,
    SeenScenes,
    TypicalImages,
    seen_again,
    seen_by_features,
    seen_by_tower,
    seen_scenes,
    typical_images,
)
from imclust.report.results import printable


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
    name_by: str = ""
    """Have a vision-language model name them: the address of its endpoint, which speaks OpenAI's
    chat completions, such as http://localhost:1234/v1. Five pictures of each cluster are sent
    there, 512 pixels large, without file names, place or date; a key that it asks for is taken from
    the environment variable IMCLUST_NAME_KEY. Where it fails, names are as without it."""
    name_model: str = ""
    """With --name-by: the name of the model there."""
    name_unencrypted: bool = False
    """With --name-by: send pictures through the internet also without encryption (http)."""
    index: Path | None = None
    """The `index` artefact of the images: of small ones some of each cluster are looked at again,
    at several sizes, which names more of them right than features do; and for --name-by."""
    look: Path | None = None
    """With --name-by: the `look` artefact of the images; of copies one is sent."""
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

    Raises
    ------
    ServiceError
        The model of `--name-by` failed; the names are made without it.
    """
    roles = {"assignment": cfg.assignment, "features": cfg.features}
    roles |= {"words": cfg.words} if cfg.words else {}
    asked = _asked(cfg) if cfg.name_by else standing_names(cfg.out, cfg.assignment)
    config = asked.config() if asked else {}
    config |= {"looked_at": SIDES} if _looks(cfg) else {}
    spec = ArtifactSpec(NAMES_KIND, config, roles, (__name__,))
    force = cfg.force or _left_out(cfg.out)
    if make_artifact(cfg.out, spec, lambda folder: _name(cfg, folder, asked), force=force):
        doc = read_manifest(cfg.assignment)
        given = doc.get("names") or [""] * doc["n_clusters"]
        yours = [f"{name} (yours)" if by_hand else name or "(none)"
                 for name, by_hand in zip(named(doc, cfg.out), given, strict=True)]  # fmt: skip
        say(f"names: {', '.join(yours)}")
        for line in _namesakes(named(doc, cfg.out)):
            say(line)
    if asked and asked.failure:
        raise asked.failure


def _left_out(out: Path) -> bool:
    """Whether pictures were not there when the names were made: they may be back."""
    path = out / MANIFEST
    return bool(((parse_json(path) if path.is_file() else None) or {}).get("left_out"))


def _namesakes(names: Sequence[str]) -> list[str]:
    """What to say of clusters of one name, which a model or a user may give."""
    return [
        f"{name} is the name of clusters {', '.join(map(str, same))}: if they show the same, merge "
        "them on the page; if not, rename one there"
        for name, same in namesakes(names).items()
    ]


def _asked(cfg: Name) -> ModelNames:
    """What the model of --name-by calls the clusters."""
    from imclust.competitions.clients.vision_model import KEY, vision_model

    if cfg.index is None:
        do = "add it: data/raw/<data set>/index"
        raise input_error("--name-by", "given with the images' --index", "none", do)
    model = vision_model(
        cfg.name_by, cfg.name_model, os.environ.get(KEY, ""), unencrypted=cfg.name_unencrypted
    )
    by = f"by {cfg.name_model} at {cfg.name_by.partition('://')[2].partition('/')[0]}"
    return ask_model_names(model, by, cfg.out, cfg.assignment, cfg.index, cfg.look)


def _looks(cfg: Name) -> bool:
    """Whether images are looked at again: the network is a bundled one, and they are at hand."""
    if cfg.index is None or cfg.words is not None:
        return False
    images = read_manifest(cfg.index, "index")["content"] == "images"
    return images and SecondLook.possible(network_of(cfg.features))


def _seen(
    cfg: Name,
    clustering: Assignment,
    typical: TypicalImages | None,
    folder: Path,
    left_out: list[str],
) -> SeenImages | None:
    """What a text tower, a second look, or else the features say; None where they say nothing.

    Photographs are not looked at again, for they are not enlarged and the first look showed all;
    nor is anything where an image is not at hand, which goes to `left_out`.
    """
    if typical and is_small(typical.rows):
        look = SecondLook.load(network_of(cfg.features), cfg.out)
        try:
            found = seen_again(look, typical)
        except InputError as e:
            alone = "clusters are named by their features alone"
            say(f"names: {alone}, for a picture is not there: {e}")
            left_out.append(str(e))
        else:
            look.save(folder)
            return found
    if cfg.words is not None:
        return seen_by_tower(cfg.words, cfg.features, clustering)
    return seen_by_features(cfg.features, clustering)


def _with_scenes(
    found: list[NamedCluster],
    scenes: SeenScenes,
    weights: np.ndarray,
    kept: Mapping[int, str],
    left_out: list[str],
) -> list[NamedCluster]:
    """The clusters, with the weather in their pictures where that tells them apart; `left_out` gets
    pictures that are not what was indexed."""
    if scenes.gone:
        left_out += scenes.gone
        others = counted(int(scenes.outdoors.sum()), "landscape")
        gone = f"{printable(scenes.gone[0])} is no longer what was indexed"
        say(f"names: the weather goes by the other {others}, for {gone}")
    if not len(scenes.shown):
        return found
    words = imagenet_words()
    seen = {}
    for c, each in enumerate(found):
        if places := words.places(each.name):
            members = words.members[:, places]
            rows = np.concatenate([block for _, block in seen_rows(scenes.logits, members)])
            seen[c] = SeenWord(np.any(rows, axis=1), is_landscape(np.any(members, axis=1)))
    return add_scenes(found, scenes.shown, scenes.outdoors, scenes.clusters, weights, kept, seen)


def _name(cfg: Name, folder: Path, asked: ModelNames | None) -> dict[str, Any]:
    clustering = Assignment.load(cfg.assignment)
    k = clustering.probabilities.shape[1]
    typical = None
    if cfg.index and _looks(cfg):
        typical = typical_images(cfg.index, cfg.assignment, clustering)
    left_out: list[str] = []
    seen = _seen(cfg, clustering, typical, folder, left_out)
    before = names_before(read_manifest(cfg.assignment))
    kept = {c: pair[0] for c, pair in enumerate(before) if pair}
    there = np.bincount(clustering.clusters, minlength=k) > 0
    found = [NamedCluster(kept.get(c, ""), ()) for c in range(k)]
    if seen is not None:
        found = _found(seen, k, {c: split_scene(name)[0] for c, name in kept.items()})
    if typical and (scenes := seen_scenes(cfg.features, typical)):
        weights = cluster_weights(clustering.clusters, k)
        found = _with_scenes(found, scenes, weights, kept, left_out)
    found = [each._replace(name=kept.get(c, each.name)) for c, each in enumerate(found)]
    by = {
        c: pair[1].split("; ")[0] for c, pair in enumerate(before) if pair and is_by_model(pair[1])
    }
    names = {c: each.name for c, each in enumerate(found)}
    if asked:
        names |= asked.names
        by |= dict.fromkeys(asked.names, asked.by)
    told = [_told(each) if there[c] else "" for c, each in enumerate(found)]
    now = [(names[c], "; ".join(filter(None, (by.get(c), told[c])))) for c in range(k)]
    shares = [
        _share(seen, c, found[c]) if seen and there[c] and not is_by_model(evidence) else None
        for c, (_, evidence) in enumerate(now)
    ]
    cells = ["" if share is None else f"{share:.4f}" for share in shares]
    numbered = ((c, *row, cells[c]) for c, row in enumerate(now))
    write_csv(folder / "names.csv", ("cluster", "name", "evidence", "share"), numbered)
    return {"names": [name for name, _ in now], "left_out": len({*left_out})}


def _found(seen: SeenImages, k: int, kept: Mapping[int, str]) -> list[NamedCluster]:
    """The clusters named by what is seen in their images."""
    clusters, logits, words = seen.clusters, seen.logits, seen.words
    share = class_shares(logits, clusters, k) @ words.members
    there = seen_words(logits, clusters, k, words.members)
    pairs = word_pairs(logits, clusters, share, there, words) if seen.pairs else []
    return name_clusters(share, there, words, cluster_weights(clusters, k), kept, pairs)


def _share(seen: SeenImages, cluster: int, found: NamedCluster) -> float | None:
    """In which share of a cluster's images its name is seen, either of two words, both a word and a
    scene; None of other names."""
    if split_scene(found.name)[1]:
        return next((held for word, *_, held in found.evidence if word == found.name), None)
    places, mine = seen.words.places(found.name), seen.clusters == cluster
    if not places or not mine.any():
        return None
    blocks = [rows for _, rows in seen_rows(seen.logits[mine], seen.words.members[:, places])]
    return float(np.concatenate(blocks).any(1).mean())


def _told(named: NamedCluster) -> str:
    """`dog 0.82 (elsewhere 0.05), in 0.97 of the images; hound 0.31 ...`."""
    return "; ".join(
        f"{word} {here:.2f} (elsewhere {there:.2f}), in {seen:.2f} of the images"
        for word, here, there, seen in named.evidence
    )
