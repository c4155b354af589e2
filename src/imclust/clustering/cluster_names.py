"""Names for clusters: the words that fit their images and not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imclust.clustering.size_constraints import softmax

LEAST = 0.1  # share of a cluster's mass that a word must have to be told,
NAMING = 0.15  # to name the cluster,
TWICE = 2.0  # and so many times the share that it has elsewhere
HELD = 0.3  # share of the cluster's images in which the word must be seen,
DISTINCT = 3.0  # and so many times the share of the other images
LIKELIEST = 5  # classes of an image that count as seen
BLOCK = 1024  # images that are looked at together
SHARPNESS = 1.5  # see `class_shares`
TINY = 0.01  # added to shares before they are compared
SHOWN = 4  # words of the evidence
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
    needed = 1 + np.round(LIKELIEST * members.mean(0))
    seen = np.zeros((k, members.shape[1]))
    for a in range(0, len(logits), BLOCK):
        block = slice(a, a + BLOCK)
        top = np.argsort(-logits[block], axis=1, kind="stable")[:, :LIKELIEST]
        count = sum(members[top[:, i]].astype(np.int8) for i in range(top.shape[1]))
        np.add.at(seen, labels[block], count >= needed)
    sizes = np.bincount(labels, minlength=k)[:, None]
    others = np.maximum(len(labels) - sizes, 1)
    return SeenWords(seen / np.maximum(sizes, 1), (seen.sum(0) - seen) / others)


def class_shares(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """What a classifier sees in each cluster and not in the others: (k, c) float64, rows sum to 1.

    The softmax of SHARPNESS times the mean logits of a cluster's images less the mean of all
    clusters: what is common to all pictures of a folder, such as how they were taken, names none.
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
    mean[sizes > 0] -= mean[sizes > 0].mean(0)
    return softmax(SHARPNESS * mean)


def name_clusters(
    share: np.ndarray,
    seen: SeenWords,
    rarity: np.ndarray,
    words: Sequence[str],
    there: np.ndarray,
    kept: Mapping[int, str] | None = None,
) -> list[NamedCluster]:
    """The word of the highest tf-idf of every cluster, none for two of them, or none at all.

    A word counts by how much of the cluster it covers, by the logarithm of how much more that is
    than elsewhere, and by how few classes it names: `dog` for a cluster of many breeds, `school
    bus` where all are such. The cluster that a word fits best has it; the others take their next.
    A word that is not seen in HELD of the cluster's images, and DISTINCT times as often as in the
    others, names nothing. DISTINCT was set on Tiny ImageNet 15, natural images and weather; HELD on
    Tiny ImageNet's other classes and on CIFAR-10, where 0.3 names more clusters than 0.5, and about
    the same part of the names are right (0.65 and 0.59, 0.53 and 0.57).

    Parameters
    ----------
    share : np.ndarray
        (k, v) float in [0, 1], how much of a cluster a word covers.
    seen : SeenWords
        In how many images each word is seen.
    rarity : np.ndarray
        (v,) float >= 0, of words that name everything 0.
    words : sequence of str
        v of them.
    there : np.ndarray
        (k,) bool, which clusters hold images; the others have no name.
    kept : mapping of int to str, optional
        Clusters that keep the name they had, which no other gets; the evidence begins with it.

    Examples
    --------
    >>> share, there = np.array([[0.9, 0.9], [0.1, 0.9]]), np.array([True, True])
    >>> seen = SeenWords(share, share[::-1])
    >>> found = name_clusters(share, seen, np.array([1.0, 0.5]), ("cat", "animal"), there)
    >>> [c.name for c in found]
    ['cat', '']
    """
    k = len(share)
    others = (share[there].sum(0) - share) / max(int(there.sum()) - 1, 1)
    if there.sum() == 1:
        others = np.zeros_like(share)
    lift = np.log((share + TINY) / (others + TINY))
    score = np.where(share >= LEAST, share * lift * rarity, 0) * there[:, None]
    best = score.max(1)
    kept = kept or {}
    at = {word: v for v, word in enumerate(words)}
    taken = {c: at[name] for c, name in kept.items() if name in at}
    order = np.argsort(-score, axis=None, kind="stable")
    used = set(taken.values())
    naming = (share >= NAMING) & (share >= TWICE * others)
    naming &= (seen.here >= HELD) & (seen.here >= DISTINCT * seen.elsewhere)
    for flat in order.tolist():
        c, v = divmod(flat, share.shape[1])
        if score[c, v] <= 0:
            break
        free = c not in taken and c not in kept and v not in used
        if naming[c, v] and free and score[c, v] >= RIVAL * best[c]:
            taken[c] = v
            used.add(v)
    found = []
    for c in range(k):
        best_first = np.argsort(-score[c], kind="stable")[: SHOWN + 1]
        top = [v for v in best_first.tolist() if score[c, v] > 0]
        if c in kept and c in taken:
            top = [taken[c], *(v for v in top if v != taken[c])]
        top = top[:SHOWN]
        shown = tuple(
            (words[v], float(share[c, v]), float(others[c, v]), float(seen.here[c, v])) for v in top
        )
        name = words[taken[c]] if c in taken else kept.get(c, "")
        found.append(NamedCluster(name, shown))
    return found
