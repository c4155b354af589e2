"""Names for clusters: the words that fit their images and not the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imclust.clustering.size_constraints import softmax
from imclust.clustering.vocabulary import AND, Vocabulary

LEAST = 0.08  # share of a cluster's mass that a word must have to be told,
NAMING = 0.12  # to name the cluster,
TWICE = 2.0  # and so many times the share that it has elsewhere
HELD = 0.3  # share of the cluster's images in which the word must be seen,
DISTINCT = 3.0  # and so many times the share of the other images
LIKELIEST = 5  # classes of an image that count as seen
BLOCK = 1024  # images that are looked at together
SHARPNESS = 1.5  # see `class_shares`
TINY = 0.01  # added to shares before they are compared
SHOWN = 4  # words of the evidence
FEW = 30  # images of a cluster that counts half as much as a large one
RIVAL = 0.4  # share of the best word's score down to which another one may stand in for it


class NamedCluster(NamedTuple):
    """What a cluster may be called.

    Parameters
    ----------
    name : str
        "" where no word fits.
    evidence : tuple of (str, float, float, float)
        Words, the best first: share of the cluster's mass, mean share of the other clusters',
        share of the cluster's images in which it is seen.
    """

    name: str
    evidence: tuple[tuple[str, float, float, float], ...]


class SeenWords(NamedTuple):
    """In how many images words are seen.

    Parameters
    ----------
    here : np.ndarray
        (k, v) float64, share of a cluster's images in which a word is seen.
    elsewhere : np.ndarray
        (k, v) float64, that of all other images.
    """

    here: np.ndarray
    elsewhere: np.ndarray


def seen_words(logits: np.ndarray, labels: np.ndarray, k: int, members: np.ndarray) -> SeenWords:
    """In which share of its images, and of the others, a classifier sees each word.

    A word is seen where more of the LIKELIEST classes are of its kind than as many drawn blindly
    would hold: one of `school bus`, three of `animal`, which names 398 of 1000.

    Parameters
    ----------
    logits : np.ndarray
        (n, c) float.
    labels : np.ndarray
        (n,) int in [0, k).
    k : int
        Clusters.
    members : np.ndarray
        (c, v) bool, whether a class is of the kind that a word names.

    Examples
    --------
    >>> logits = np.eye(20)[[18, 18, 19]]  # two images of a bus, then one of a cat
    >>> members = np.eye(20, 2, -18, dtype=bool)  # the words bus and cat, one class each
    >>> seen_words(logits, np.array([0, 0, 1]), 2, members).here.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    seen = np.zeros((k, members.shape[1]))
    for block, there in seen_rows(logits, members):
        np.add.at(seen, labels[block], there)
    return _of_counts(seen, labels)


def seen_scenes(there: np.ndarray, labels: np.ndarray, k: int) -> SeenWords:
    """In which share of a cluster's images, and of the others, something is: there (n, v) bool.

    Examples
    --------
    >>> seen_scenes(np.array([[True], [False], [False]]), np.array([0, 0, 1]), 2).here.tolist()
    [[0.5], [0.0]]
    """
    seen = np.zeros((k, there.shape[1]))
    np.add.at(seen, labels, there)
    return _of_counts(seen, labels)


def _of_counts(seen: np.ndarray, labels: np.ndarray) -> SeenWords:
    """Shares, from the number of each cluster's images in which each word is seen."""
    sizes = np.bincount(labels, minlength=len(seen))[:, None]
    others = np.maximum(len(labels) - sizes, 1)
    return SeenWords(seen / np.maximum(sizes, 1), (seen.sum(0) - seen) / others)


def seen_rows(logits: np.ndarray, members: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Whether each word is seen in each image, in blocks: where these lie, and (b, v) bool.

    Examples
    --------
    >>> [(block, there)] = seen_rows(np.eye(20)[[18, 19]], np.eye(20, 2, -18, dtype=bool))
    >>> there.tolist()
    [[True, False], [False, True]]
    """
    needed = 1 + np.round(LIKELIEST * members.mean(0))
    for a in range(0, len(logits), BLOCK):
        block = slice(a, a + BLOCK)
        top = np.argsort(-logits[block], axis=1, kind="stable")[:, :LIKELIEST]
        count = sum(members[top[:, i]].astype(np.int8) for i in range(top.shape[1]))
        yield block, np.asarray(count >= needed)


def cluster_weights(labels: np.ndarray, k: int) -> np.ndarray:
    """How much each cluster counts where it is compared with the others: (k,) float64 in [0, 1).

    A cluster of FEW images counts half as much as a large one: what is seen in a handful would
    otherwise change what all others are compared with.

    Examples
    --------
    >>> cluster_weights(np.repeat([0, 1], [30, 10]), 3).tolist()
    [0.5, 0.25, 0.0]
    """
    sizes = np.bincount(labels, minlength=k)
    return np.asarray(sizes / (sizes + FEW))


def elsewhere(share: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of the other clusters' shares (k, ...), for each cluster; 0 for the only one.

    Examples
    --------
    >>> elsewhere(np.array([[0.9], [0.1], [0.3]]), np.array([1, 1, 1.0])).ravel().round(2).tolist()
    [0.2, 0.6, 0.5]
    """
    mine = weights.reshape(-1, *[1] * (share.ndim - 1))
    return (np.tensordot(weights, share, 1) - mine * share) / np.maximum(
        weights.sum() - mine, np.finfo(float).tiny
    )


def class_shares(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """What a classifier sees in each cluster and not in the others: (k, c) float64, rows sum to 1.

    The softmax of SHARPNESS times the mean logits of a cluster's images less the mean of all
    clusters, the large ones before the small: what is common to all pictures of a folder, such as
    how they were taken, names none.
    SHARPNESS was chosen on 400 images of each of three sets (Tiny ImageNet 15, natural images,
    weather), where it named 0.93, 0.50 and 0.00 of the true classes, and softmax images 0.67, 0.38
    and 0.00.

    Parameters
    ----------
    logits : np.ndarray
        (n, c) float.
    labels : np.ndarray
        (n,) int in [0, k).
    k : int
        Clusters.

    Examples
    --------
    >>> logits = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    >>> class_shares(logits, np.array([0, 0, 1]), 2).argmax(1)
    array([0, 1])
    """
    sizes = np.bincount(labels, minlength=k)
    mean = np.zeros((k, logits.shape[1]))
    np.add.at(mean, labels, logits)
    mean[sizes > 0] /= sizes[sizes > 0, None]
    mean[sizes > 0] -= common_logits(logits, labels, k)
    return softmax(SHARPNESS * mean)


def common_logits(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """The weighted mean (c,) of the clusters' mean logits.

    Examples
    --------
    >>> logits = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    >>> common_logits(logits, np.array([0, 0, 1]), 2).round(2).tolist()
    [1.98, 1.02]
    """
    sizes, weights = np.bincount(labels, minlength=k), cluster_weights(labels, k)
    each = (weights / np.maximum(sizes, 1) / weights.sum())[labels]
    return np.asarray(each @ logits)


def word_scores(share: np.ndarray, weights: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """How well each word fits each cluster: (k, v) float64, 0 where it does not.

    How much of the cluster it covers, times the logarithm of how much more that is than elsewhere,
    times what it is worth.

    Examples
    --------
    >>> word_scores(np.array([[0.5, 0.01], [0.1, 0.9]]), np.ones(2), np.ones(2)).round(2).tolist()
    [[0.77, 0.0], [0.0, 3.44]]
    """
    lift = np.log((share + TINY) / (elsewhere(share, weights) + TINY))
    there = (weights > 0)[:, None]
    return np.where((share >= LEAST) & there, np.maximum(share * lift * worth, 0), 0)


class Candidate(NamedTuple):
    """A name that a cluster may have.

    Parameters
    ----------
    score : float
        How well it fits.
    cluster : int
        Which.
    words : tuple of int
        The places of its words.
    """

    score: float
    cluster: int
    words: tuple[int, ...]


def name_clusters(
    share: np.ndarray,
    seen: SeenWords,
    vocabulary: Vocabulary,
    weights: np.ndarray,
    kept: Mapping[int, str] | None = None,
    pairs: Sequence[Candidate] = (),
    distinct: float = DISTINCT,
) -> list[NamedCluster]:
    """The best of the words, and of pairs of them, for every cluster, none for two, or none at all.

    `dog` for a cluster of many breeds, `school bus` where all are such. The cluster that a word
    fits best has it; the others take their next. A word that is not seen in HELD of the cluster's
    images, and `distinct` times as often as in the others, names nothing. DISTINCT was set on Tiny
    ImageNet 15, natural images and weather; HELD on Tiny ImageNet's other classes and on CIFAR-10,
    where 0.3 names more clusters than 0.5, and about the same part of the names are right (0.65 and
    0.59, 0.53 and 0.57).

    Parameters
    ----------
    share : np.ndarray
        (k, v) float in [0, 1], how much of a cluster a word covers.
    seen : SeenWords
        In how many images each word is seen.
    vocabulary : Vocabulary
        The v words.
    weights : np.ndarray
        (k,) float, see `cluster_weights`; 0 for a cluster without images, which has no name.
    kept : mapping of int to str, optional
        Clusters that keep the name they had, which no other gets; the evidence begins with it.
    pairs : sequence of Candidate, optional
        See `imclust.clustering.word_pairs`.
    distinct : float
        Smaller where the words are few, so that two clusters may well show some of the same.

    Examples
    --------
    >>> share, weights = np.array([[0.9, 0.9], [0.1, 0.9]]), np.ones(2)
    >>> seen = SeenWords(share, share[::-1])
    >>> words = Vocabulary(("cat", "animal"), np.array([[1, 1], [0, 1], [0, 0]], bool))
    >>> found = name_clusters(share, seen, words, weights)
    >>> [c.name for c in found]
    ['cat', '']
    """
    k, kept = len(share), kept or {}
    others = elsewhere(share, weights)
    score = word_scores(share, weights, vocabulary.worth)
    naming = (share >= NAMING) & (share >= TWICE * others) & (score > 0)
    naming &= (seen.here >= HELD) & (seen.here >= distinct * seen.elsewhere)
    single = [Candidate(float(score[c, v]), c, (v,)) for c, v in np.argwhere(naming).tolist()]
    old = {c: tuple(vocabulary.places(name)) for c, name in kept.items()}
    taken = _taken([*single, *pairs], score.max(1), old)
    found = []
    for c in range(k):
        best_first = np.argsort(-score[c], kind="stable")[: SHOWN + 1]
        own = taken.get(c, ())
        top = [*own, *(v for v in best_first.tolist() if score[c, v] > 0 and v not in own)]
        shown = tuple(
            (vocabulary.words[v], float(share[c, v]), float(others[c, v]), float(seen.here[c, v]))
            for v in top[:SHOWN]
        )
        name = kept[c] if c in kept else AND.join(vocabulary.words[v] for v in own)
        found.append(NamedCluster(name, shown))
    return found


def _taken(
    candidates: Sequence[Candidate], best: np.ndarray, old: Mapping[int, tuple[int, ...]]
) -> dict[int, tuple[int, ...]]:
    """The words of every cluster's name: those it had, else of the best candidate that shares none
    with another cluster's, and is not much worse than its best word."""
    taken = {c: words for c, words in old.items() if words}
    used = {v for words in taken.values() for v in words}
    for score, c, words in sorted(candidates, key=lambda one: (-one.score, one.cluster, one.words)):
        free = c not in taken and c not in old and not used.intersection(words)
        if free and score >= RIVAL * best[c]:
            taken[c] = words
            used.update(words)
    return taken
