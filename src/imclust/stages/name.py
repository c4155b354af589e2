"""`name`: what the clusters may be called, by what their encoder knows."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.blocks import sample_rows
from imclust.clustering.cluster_names import (
    NamedCluster,
    class_shares,
    cluster_weights,
    name_clusters,
    seen_rows,
    seen_words,
)
from imclust.clustering.scene_names import SCENES, SeenWord, add_scenes, split_scene
from imclust.clustering.typical_rows import typical_rows
from imclust.clustering.vocabulary import Vocabulary
from imclust.clustering.word_pairs import word_pairs
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError, ServiceError, input_error
from imclust.core.log import say
from imclust.core.look_records import Look
from imclust.core.manifest import MANIFEST, artifact_file, parse_json, read_manifest
from imclust.core.name_records import NAMES_KIND, named, namesakes
from imclust.core.records import Assignment, Features, parts_of, read_csv, rows_of_ids, write_csv
from imclust.core.word_records import SeenClasses
from imclust.core.wording import counted
from imclust.data.images import ImageRow, indexed
from imclust.encoders.class_head import class_logits, imagenet_words, network_of
from imclust.encoders.scenes import is_landscape, outdoors, scenes_of
from imclust.encoders.second_look import SIDES, SecondLook, is_small
from imclust.report.results import printable

MOST = 20_000  # images that names are told from
ALIKE = 2  # times the images that a cluster had when a model named it, up or down
OF_MODEL = ("names", "pictures", "sizes")  # see `_ByModel.config`


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
    asked = _asked(cfg) if cfg.name_by else _standing(cfg)
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


@dataclass(frozen=True)
class _ByModel:
    """Names of clusters that a model gave, now or at an earlier visit.

    Parameters
    ----------
    by : str
        Who, as the evidence says it.
    names : Mapping[int, str]
        Cluster -> its name.
    pictures : Mapping[int, Sequence[str]]
        Cluster -> ids of those that it was named by.
    sizes : Mapping[int, int]
        Cluster -> how many images it had then.
    failure : ServiceError, optional
        Why others have none.
    """

    by: str
    names: Mapping[int, str]
    pictures: Mapping[int, Sequence[str]]
    sizes: Mapping[int, int]
    failure: ServiceError | None = None

    def config(self) -> dict[str, Any]:
        """For the manifest."""
        told = zip(OF_MODEL, (self.names, self.pictures, self.sizes), strict=True)
        return {"by": self.by} | {
            what: {str(c): of[c] for c in sorted(self.names)} for what, of in told
        }


def _by(cfg: Name) -> str:
    """Who names, as the evidence says it."""
    return f"by {cfg.name_model} at {cfg.name_by.partition('://')[2].partition('/')[0]}"


def _standing(cfg: Name) -> _ByModel | None:
    """Names that a model gave at an earlier visit, which stand when it is not asked again: of
    clusters that hold most of the pictures that it saw, no other's, and about as many images.
    """
    path = cfg.out / MANIFEST
    doc = parse_json(path) if path.is_file() else None
    config = (doc or {}).get("config") or {}
    if not config.get("pictures"):
        return None
    rows = read_csv(artifact_file(cfg.assignment, "assignment.csv"))
    cluster = {row["id"]: int(row["cluster"]) for row in rows}
    sizes = Counter(cluster.values())
    now = defaultdict[int, list[str]](list)
    for old, ids in config["pictures"].items():
        places = Counter(cluster[i] for i in ids if i in cluster).most_common(1)
        if places and 2 * places[0][1] > len(ids):
            now[places[0][0]].append(old)
    like = {
        c: olds[0] for c, olds in now.items()
        if len(olds) == 1 and 1 / ALIKE <= sizes[c] / config["sizes"][olds[0]] <= ALIKE
    }  # fmt: skip
    of = {what: {c: config[what][old] for c, old in like.items()} for what in OF_MODEL}
    return _ByModel(config["by"], of["names"], of["pictures"], of["sizes"])


def _asked(cfg: Name) -> _ByModel:
    """What the model of --name-by calls the clusters that have no name by hand or by it."""
    from imclust.competitions.asked_names import ANSWERS, ask_names, central_pictures
    from imclust.competitions.clients.vision_model import KEY, vision_model

    if cfg.index is None:
        do = "add it: data/raw/<data set>/index"
        raise input_error("--name-by", "given with the images' --index", "none", do)
    model = vision_model(
        cfg.name_by, cfg.name_model, os.environ.get(KEY, ""), unencrypted=cfg.name_unencrypted
    )
    doc = read_manifest(cfg.assignment, Assignment.kind)
    by_hand = doc.get("names") or [""] * doc["n_clusters"]
    named_already = [bool(p) and p[1].split("; ")[0] == _by(cfg) for p in _kept_names(doc)]
    rows = read_csv(artifact_file(cfg.assignment, "assignment.csv"))
    images = {row.id: row for row, _ in indexed(cfg.index)}
    copies = Look.load(cfg.look).copy_of if cfg.look else {}
    members, copied = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for number, row in enumerate(rows):
        c = int(row["cluster"])
        if not by_hand[c] and not named_already[c]:
            (copied if copies.get(row["id"], row["id"]) != row["id"] else members)[c].append(number)
    distance = np.array([float(row["distance"]) for row in rows])
    digests = [images[row["id"]].digest for row in rows]
    pictures = {}
    for c in sorted({*members, *copied}):
        central = central_pictures(members[c] or copied[c], distance, digests)
        pictures[c] = [images[rows[n]["id"]] for n in central]
    found = ask_names(model, pictures, cfg.out.parent / ANSWERS)
    ids = {c: [row.id for row in seen] for c, seen in pictures.items()}
    sizes = Counter(int(row["cluster"]) for row in rows)
    return _ByModel(_by(cfg), found.names, ids, sizes, found.failure)


def _looks(cfg: Name) -> bool:
    """Whether images are looked at again: the network is a bundled one, and they are at hand."""
    if cfg.index is None or cfg.words is not None:
        return False
    images = read_manifest(cfg.index, "index")["content"] == "images"
    return images and SecondLook.possible(network_of(cfg.features))


@dataclass(frozen=True)
class _Seen:
    """What is seen in images.

    Parameters
    ----------
    clusters : np.ndarray
        (n,) int, of each image.
    logits : np.ndarray
        (n, c) float.
    words : Vocabulary
        For the c classes.
    pairs : bool
        Whether two words may name a cluster together.
    """

    clusters: np.ndarray
    logits: np.ndarray
    words: Vocabulary
    pairs: bool


@dataclass(frozen=True)
class _Typical:
    """Images that stand for their clusters.

    Parameters
    ----------
    at : np.ndarray
        (m,) int, their places among the images that are clustered.
    rows : list of ImageRow
        What the index says of them.
    clusters : np.ndarray
        (m,) int.
    """

    at: np.ndarray
    rows: list[ImageRow]
    clusters: np.ndarray


def _seen(
    cfg: Name,
    clustering: Assignment,
    typical: _Typical | None,
    folder: Path,
    left_out: list[str],
) -> _Seen | None:
    """What a text tower, a second look, or else the features say; None where they say nothing."""
    found = _looked(cfg, typical, folder, left_out) if typical else None
    if found is not None:
        return found
    features = Features.load(cfg.features)
    rows = sample_rows(len(clustering.ids), MOST, 0)  # of more, names are what these say
    at = rows_of_ids(features.ids, clustering.ids[rows])
    space, clusters = parts_of(cfg.features, features.x)[0], clustering.clusters[rows]
    if cfg.words is not None:
        return _Seen(clusters, *_by_tower(cfg.words, cfg.features, space[at]), pairs=False)
    logits = class_logits(network_of(cfg.features), np.asarray(space[at]))
    return None if logits is None else _Seen(clusters, logits, imagenet_words(), pairs=True)


def _looked(cfg: Name, typical: _Typical, folder: Path, left_out: list[str]) -> _Seen | None:
    """What a second look at some images of each cluster says; None of too many clusters, of
    photographs, which are not enlarged and of which the first look showed all, and where images are
    not at hand."""
    if not is_small(typical.rows):
        return None
    look = SecondLook.load(network_of(cfg.features), cfg.out)
    try:
        logits = look.logits(typical.rows)
    except InputError as e:
        say(f"names: clusters are named by their features alone, for a picture is not there: {e}")
        left_out.append(str(e))
        return None
    look.save(folder)
    return _Seen(typical.clusters, logits, imagenet_words(), pairs=True)


def _typical(cfg: Name, clustering: Assignment) -> _Typical:
    """Of the images that the index says can be read; none of too many clusters."""
    assert cfg.index is not None
    rows = {row.id: row for row, _ in indexed(cfg.index)}
    table = read_csv(artifact_file(cfg.assignment, "assignment.csv"))
    distance = {row["id"]: float(row["distance"]) for row in table}
    ids = clustering.ids.tolist()
    there = np.array([n for n, i in enumerate(ids) if i in rows and not rows[i].problem], int)
    far = np.array([distance[ids[n]] for n in there])
    at = there[typical_rows(clustering.clusters[there], far)]
    return _Typical(at, [rows[ids[n]] for n in at], clustering.clusters[at])


def _with_scenes(
    cfg: Name,
    clustering: Assignment,
    typical: _Typical,
    found: list[NamedCluster],
    kept: Mapping[int, str],
    left_out: list[str],
) -> list[NamedCluster]:
    """The clusters, with the weather in their pictures where that tells them apart; `left_out` gets
    pictures that are not what was indexed."""
    features = Features.load(cfg.features)
    at = rows_of_ids(features.ids, clustering.ids[typical.at])
    latents = np.asarray(parts_of(cfg.features, features.x)[0][at])
    logits = class_logits(network_of(cfg.features), latents)
    if logits is None or not (there := outdoors(logits)).any():
        return found
    shown, read = np.zeros((len(there), len(SCENES)), bool), ~there
    shown[there], read[there] = scenes_of([typical.rows[n] for n in np.flatnonzero(there)])
    if not read.all():
        gone = [typical.rows[n].id for n in np.flatnonzero(~read)]
        left_out += gone
        say(f"names: the weather goes by the other {counted(int(read[there].sum()), 'landscape')}, "
            f"for {printable(gone[0])} is no longer what was indexed")  # fmt: skip
    if not read.any():
        return found
    words = imagenet_words()
    seen = {}
    for c, each in enumerate(found):
        if places := words.places(each.name):
            members = words.members[:, places]
            rows = np.concatenate([block for _, block in seen_rows(logits[read], members)])
            seen[c] = SeenWord(np.any(rows, axis=1), is_landscape(np.any(members, axis=1)))
    weights = cluster_weights(clustering.clusters, len(found))
    labels = typical.clusters[read]
    return add_scenes(found, shown[read], there[read], labels, weights, kept, seen)


def _name(cfg: Name, folder: Path, asked: _ByModel | None) -> dict[str, Any]:
    clustering = Assignment.load(cfg.assignment)
    k = clustering.probabilities.shape[1]
    typical = _typical(cfg, clustering) if _looks(cfg) else None
    left_out: list[str] = []
    seen = _seen(cfg, clustering, typical, folder, left_out)
    before = _kept_names(read_manifest(cfg.assignment))
    kept = {c: str(pair[0]) for c, pair in enumerate(before) if pair}
    there = np.bincount(clustering.clusters, minlength=k) > 0
    found = [NamedCluster(kept.get(c, ""), ()) for c in range(k)]
    if seen is not None:
        found = _found(seen, k, {c: split_scene(name)[0] for c, name in kept.items()})
    if typical:
        found = _with_scenes(cfg, clustering, typical, found, kept, left_out)
    found = [each._replace(name=kept.get(c, each.name)) for c, each in enumerate(found)]
    by = {c: pair[1].split("; ")[0] for c, pair in enumerate(before) if pair and _of_model(pair[1])}
    names = {c: each.name for c, each in enumerate(found)}
    if asked:
        names |= asked.names
        by |= dict.fromkeys(asked.names, asked.by)
    told = [_told(each) if there[c] else "" for c, each in enumerate(found)]
    now = [(names[c], "; ".join(filter(None, (by.get(c), told[c])))) for c in range(k)]
    shares = [
        _share(seen, c, found[c]) if seen and there[c] and not _of_model(why) else None
        for c, (_, why) in enumerate(now)
    ]
    cells = ["" if share is None else f"{share:.4f}" for share in shares]
    numbered = ((c, *row, cells[c]) for c, row in enumerate(now))
    write_csv(folder / "names.csv", ("cluster", "name", "evidence", "share"), numbered)
    return {"names": [name for name, _ in now], "left_out": len({*left_out})}


def _found(seen: _Seen, k: int, kept: Mapping[int, str]) -> list[NamedCluster]:
    """The clusters named by what is seen in their images."""
    clusters, logits, words = seen.clusters, seen.logits, seen.words
    share = class_shares(logits, clusters, k) @ words.members
    there = seen_words(logits, clusters, k, words.members)
    pairs = word_pairs(logits, clusters, share, there, words) if seen.pairs else []
    return name_clusters(share, there, words, cluster_weights(clusters, k), kept, pairs)


def _share(seen: _Seen, cluster: int, found: NamedCluster) -> float | None:
    """In which share of a cluster's images its name is seen, either of two words, both a word and a
    scene; None of other names."""
    if split_scene(found.name)[1]:
        return next((held for word, *_, held in found.evidence if word == found.name), None)
    places, mine = seen.words.places(found.name), seen.clusters == cluster
    if not places or not mine.any():
        return None
    blocks = [rows for _, rows in seen_rows(seen.logits[mine], seen.words.members[:, places])]
    return float(np.concatenate(blocks).any(1).mean())


def _by_tower(folder: Path, features: Path, latents: np.ndarray) -> tuple[np.ndarray, Vocabulary]:
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
    return seen.fit(latents), Vocabulary(nouns, np.eye(len(nouns), dtype=bool))


def _kept_names(doc: Mapping[str, Any]) -> Sequence[Any]:
    """(name, evidence) of clusters that were named before, None of others."""
    return doc.get("found_names") or [None] * doc["n_clusters"]


def _of_model(why: str) -> bool:
    """Whether evidence is that of a name by a model."""
    return why.startswith("by ")


def _told(named: NamedCluster) -> str:
    """`dog 0.82 (elsewhere 0.05), in 0.97 of the images; hound 0.31 ...`."""
    return "; ".join(
        f"{word} {here:.2f} (elsewhere {there:.2f}), in {seen:.2f} of the images"
        for word, here, there, seen in named.evidence
    )
