"""Names by the weather: `sunshine` where no word fits a cluster, else `seashore in sunshine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
WORDS = Vocabulary(SCENES, np.eye(len(SCENES) + 1, len(SCENES), dtype=bool))


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


def add_scenes(
    found: Sequence[NamedCluster],
    shown: np.ndarray,
    outdoors: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    kept: Mapping[int, str],
) -> list[NamedCluster]:
    """Clusters with their scenes in their names, and in the evidence.

    A scene names a cluster as words do, but TWICE as many of its images as of the others must show
    it, for there are three only. Behind a word it stands where another cluster is of landscapes
    too: there it tells which of them this is.

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

    Examples
    --------
    >>> shown, outdoors = np.eye(4, 3, dtype=bool)[[0, 0, 3, 3]], np.array([1, 1, 1, 0], bool)
    >>> beach = NamedCluster("seashore", ())
    >>> add_scenes([beach, beach], shown, outdoors, np.array([0, 0, 1, 1]), np.ones(2), {})[0].name
    'seashore at sunrise or sunset'
    """
    k = len(found)
    there = seen_scenes(shown, labels, k)
    landscape = seen_scenes(outdoors[:, None], labels, k).here[:, 0] >= HELD
    fixed = {c: split_scene(name)[1] for c, name in kept.items()}
    if landscape.sum() < 2:
        fixed |= {c: "" for c, each in enumerate(found) if each.name and c not in kept}
    scenes = name_clusters(there.here, there, WORDS, weights, fixed, distinct=TWICE)
    return [_joined(word, scene) for word, scene in zip(found, scenes, strict=True)]


def _joined(word: NamedCluster, scene: NamedCluster) -> NamedCluster:
    """Its name and evidence with those of the scene, if it has one."""
    if not scene.name:
        return word
    name = word.name + PHRASES[SCENES.index(scene.name)] if word.name else scene.name
    first = word.evidence[:1] if word.name else ()
    return NamedCluster(name, (*first, *scene.evidence, *word.evidence[len(first) :])[:SHOWN])
