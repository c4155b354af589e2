"""What is seen in the images of clusters, which these are named by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imclust.clustering.blocks import sample_rows
from imclust.clustering.scene_names import SCENES
from imclust.clustering.typical_rows import typical_rows
from imclust.clustering.vocabulary import Vocabulary
from imclust.core.errors import input_error
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.records import Assignment, Features, parts_of, read_csv, rows_of_ids
from imclust.core.word_records import SeenClasses
from imclust.data.images import ImageRow, indexed
from imclust.encoders.class_head import class_logits, imagenet_words, network_of
from imclust.encoders.scenes import outdoors, scenes_of
from imclust.encoders.second_look import SecondLook

MOST = 20_000  # images that features tell of


@dataclass(frozen=True)
class SeenImages:
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
class TypicalImages:
    """Images that stand for their clusters.

    Parameters
    ----------
    ids : np.ndarray
        (m,) str.
    rows : list of ImageRow
        What the index says of them.
    clusters : np.ndarray
        (m,) int.
    """

    ids: np.ndarray
    rows: list[ImageRow]
    clusters: np.ndarray


@dataclass(frozen=True)
class SeenScenes:
    """The weather in images.

    Parameters
    ----------
    shown : np.ndarray
        (m, 3) bool, which of SCENES each shows.
    outdoors : np.ndarray
        (m,) bool, which are landscapes.
    logits : np.ndarray
        (m, 1000) float.
    clusters : np.ndarray
        (m,) int.
    gone : list of str
        Ids of further landscapes that are no longer what was indexed.
    """

    shown: np.ndarray
    outdoors: np.ndarray
    logits: np.ndarray
    clusters: np.ndarray
    gone: list[str]


def typical_images(index: Path, assignment: Path, clustering: Assignment) -> TypicalImages:
    """Of the images that the index says can be read, those nearest to their centres; none of too
    many clusters.

    Parameters
    ----------
    index : Path
        The `index` artefact.
    assignment : Path
        The `assignment` artefact.
    clustering : Assignment
        What is in it.

    Examples
    --------
    >>> clusters = Path("run/clusters")
    >>> len(typical_images(Path("raw/index"), clusters, Assignment.load(clusters)).rows)
    24
    """
    rows = {row.id: row for row, _ in indexed(index)}
    table = read_csv(artifact_file(assignment, "assignment.csv"))
    distance = {row["id"]: float(row["distance"]) for row in table}
    ids = clustering.ids.tolist()
    there = np.array([n for n, i in enumerate(ids) if i in rows and not rows[i].problem], int)
    far = np.array([distance[ids[n]] for n in there])
    at = there[typical_rows(clustering.clusters[there], far)]
    return TypicalImages(clustering.ids[at], [rows[ids[n]] for n in at], clustering.clusters[at])


def seen_again(look: SecondLook, typical: TypicalImages) -> SeenImages:
    """What a second look at typical images says.

    Parameters
    ----------
    look : SecondLook
        What earlier visits have seen; it learns of these.
    typical : TypicalImages
        At least one.

    Raises
    ------
    InputError
        An image that was readable before is no longer.

    Examples
    --------
    >>> clusters = Path("run/clusters")
    >>> typical = typical_images(Path("raw/index"), clusters, Assignment.load(clusters))
    >>> seen_again(SecondLook("tf_efficientnet_lite0"), typical).logits.shape
    (24, 1000)
    """
    return SeenImages(typical.clusters, look.logits(typical.rows), imagenet_words(), pairs=True)


def seen_by_features(features: Path, clustering: Assignment) -> SeenImages | None:
    """What the network of a `features` artefact says, if it is a bundled one.

    Parameters
    ----------
    features : Path
        The `features` artefact.
    clustering : Assignment
        Of the same images.

    Examples
    --------
    >>> clustering = Assignment.load(Path("run/clusters"))
    >>> seen_by_features(Path("run/latents"), clustering) is None  # these are pixels
    True
    """
    clusters, latents = _sample(features, clustering)
    logits = class_logits(network_of(features), latents)
    return None if logits is None else SeenImages(clusters, logits, imagenet_words(), pairs=True)


def seen_by_tower(words: Path, features: Path, clustering: Assignment) -> SeenImages:
    """How well a text tower's nouns fit images.

    Parameters
    ----------
    words : Path
        The `words` artefact of a text tower.
    features : Path
        The `features` artefact that it is of.
    clustering : Assignment
        Of the same images.

    Raises
    ------
    InputError
        The words are of no tower, or of other latents.

    Examples
    --------
    >>> clustering = Assignment.load(Path("run/clusters"))
    >>> seen = seen_by_tower(Path("run/words"), Path("run/latents"), clustering)
    ...     # doctest: +SKIP
    >>> seen.logits.shape  # doctest: +SKIP
    (24, 3000)
    """
    seen, doc = SeenClasses.load(words), read_manifest(words)
    if seen.vectors is None or doc["inputs"]["features"] != read_manifest(features)["digest"]:
        got = "of a network's classes" if seen.vectors is None else "of other latents"
        do = f"make them: words --features {features} --text-tower MODEL"
        raise input_error("--words", "words of a text tower for these latents", got, do)
    nouns = tuple(mine[0] for mine in seen.classes)
    vocabulary = Vocabulary(nouns, np.eye(len(nouns), dtype=bool))
    clusters, latents = _sample(features, clustering)
    return SeenImages(clusters, seen.fit(latents), vocabulary, pairs=False)


def seen_scenes(features: Path, typical: TypicalImages) -> SeenScenes | None:
    """The weather in typical images; None where none of them is a landscape.

    Parameters
    ----------
    features : Path
        The `features` artefact of a bundled network.
    typical : TypicalImages
        Which images.

    Examples
    --------
    >>> clusters = Path("run/clusters")
    >>> typical = typical_images(Path("raw/index"), clusters, Assignment.load(clusters))
    >>> seen_scenes(Path("run/latents"), typical) is None  # pixels tell of no landscape
    True
    """
    known = Features.load(features)
    latents = parts_of(features, known.x)[0][rows_of_ids(known.ids, typical.ids)]
    logits = class_logits(network_of(features), np.asarray(latents))
    if logits is None or not (there := outdoors(logits)).any():
        return None
    shown, read = np.zeros((len(there), len(SCENES)), bool), ~there
    shown[there], read[there] = scenes_of([typical.rows[n] for n in np.flatnonzero(there)])
    gone = [typical.rows[n].id for n in np.flatnonzero(~read)]
    return SeenScenes(shown[read], there[read], logits[read], typical.clusters[read], gone)


def _sample(features: Path, clustering: Assignment) -> tuple[np.ndarray, np.ndarray]:
    """Clusters (m,) and vectors (m, d) of the images, of many of a sample."""
    known = Features.load(features)
    rows = sample_rows(len(clustering.ids), MOST, 0)  # of more, names are what these say
    at = rows_of_ids(known.ids, clustering.ids[rows])
    return clustering.clusters[rows], np.asarray(parts_of(features, known.x)[0][at])
