"""Names by the weather: `sunshine` where no word fits a cluster, else `seashore in sunshine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imclust.clustering.cluster_names import (
    HELD,
    SHOWN,
    TWICE,
    NamedCluster,
    name_clusters,
    seen_scenes,
)
from imclust.clustering.vocabulary import Vocabulary

SCENES = ("sunrise or sunset", "sunshine", "cloudy sky")
PHRASES = (" at sunrise or sunset", " in sunshine", " under a cloudy sky")  # behind a word


def split_scene(name: str) -> tuple[str, str]:
    """The word and the scene of a name, either of which may be "".

    Examples
    --------
    >>> split_scene("seashore in sunshine"), split_scene("sunshine"), split_scene("dog")
    (('seashore', 'sunshine'), ('', 'sunshine'), ('dog', ''))
    """
    for scene, phrase in zip(SCENES, PHRASES, strict=True):
        if name == scene or name.endswith(phrase):
            return name.removesuffix(scene if name == scene else phrase), scene
    return name, ""


class SeenWord(NamedTuple):
    """Where the word of a cluster's name is seen.

    Parameters
    ----------
    images : np.ndarray
        (m,) bool, in which images, of all clusters.
    landscape : bool
        Whether it names landscapes only, such as `shore`.
    """

    images: np.ndarray
    landscape: bool


def add_scenes(
    found: Sequence[NamedCluster],
    shown: np.ndarray,
    outdoors: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    kept: Mapping[int, str],
    seen: Mapping[int, SeenWord],
) -> list[NamedCluster]:
    """Clusters with their scenes in their names, and in the evidence.

    A scene names a cluster as words do, but TWICE as many of its images as of the others must show
    it, for there are three only, and more than show any other scene. Behind the word for a
    landscape it stands where HELD of the images show both, and another cluster is of landscapes
    too: there it tells which of them this is. Of another word and a scene that which more images
    show is the name.

    Parameters
    ----------
    found : sequence of NamedCluster
        By words, the scenes of kept names left out; "" for clusters that no word names.
    shown : np.ndarray
        (m, 3) bool, which of SCENES each of some images shows.
    outdoors : np.ndarray
        (m,) bool, whether it is a landscape.
    labels : np.ndarray
        (m,) int, clusters of these images.
    weights : np.ndarray
        (k,) float, see `cluster_weights`.
    kept : mapping of int to str
        Clusters that keep the name they had.
    seen : mapping of int to SeenWord
        Cluster -> where the word that names it is seen.

    Examples
    --------
    >>> shown, outdoors = np.eye(4, 3, dtype=bool)[[0, 0, 3, 3]], np.array([1, 1, 1, 0], bool)
    >>> beach, word = NamedCluster("seashore", ()), SeenWord(outdoors, True)
    >>> labels, weights = np.array([0, 0, 1, 1]), np.ones(2)
    >>> named = add_scenes([beach] * 2, shown, outdoors, labels, weights, {}, {0: word, 1: word})
    >>> [each.name for each in named]
    ['seashore at sunrise or sunset', 'seashore']
    """
    k = len(found)
    there = seen_scenes(shown, labels, k)
    landscape = seen_scenes(outdoors[:, None], labels, k).here[:, 0] >= HELD
    fixed = {c: split_scene(name)[1] for c, name in kept.items()}
    if landscape.sum() < 2:
        fixed |= {c: "" for c, each in enumerate(found) if each.name and c not in kept}
    words = Vocabulary(SCENES, np.eye(len(SCENES) + 1, len(SCENES), dtype=bool))
    scenes = name_clusters(_only_most(there.here), there, words, weights, fixed, distinct=TWICE)
    named = []
    for c, (word, scene) in enumerate(zip(found, scenes, strict=True)):
        alone = _with_evidence(scene.name, scene, word)
        if not scene.name or not word.name:
            named.append(alone if scene.name else word)
            continue
        mine = seen.get(c, SeenWord(np.zeros(len(labels), bool), landscape=False))
        s = SCENES.index(scene.name)
        both = seen_scenes((mine.images & shown[:, s])[:, None], labels, k)
        if c in kept or (mine.landscape and both.here[c, 0] >= HELD):
            share, other = float(both.here[c, 0]), float(both.elsewhere[c, 0])
            name = word.name + PHRASES[s]
            together = NamedCluster(name, ((name, share, other, share), *word.evidence[:1]))
            named.append(_with_evidence(name, together, scene, word))
        else:
            more = there.here[c, s] > mine.images[labels == c].mean()
            named.append(alone if more else word)
    return named


def _only_most(here: np.ndarray) -> np.ndarray:
    """Shares (k, 3) of the scene that most images of a cluster show, 0 of others and where two are
    equal."""
    ranked = np.sort(here, axis=1)
    single = ranked[:, -1:] > ranked[:, -2:-1]
    return np.where((here == ranked[:, -1:]) & single, here, 0)


def _with_evidence(name: str, *parts: NamedCluster) -> NamedCluster:
    """A name with the evidence of all parts, each piece once."""
    told = dict.fromkeys(piece for part in parts for piece in part.evidence)
    return NamedCluster(name, tuple(told)[:SHOWN])
