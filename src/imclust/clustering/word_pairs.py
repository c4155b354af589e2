"""Names of two words, for clusters that hold two kinds of things: `dog and cat`, not `mammal`."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from imclust.clustering.cluster_names import (
    DISTINCT,
    HELD,
    LEAST,
    NAMING,
    SHARPNESS,
    TINY,
    TWICE,
    Candidate,
    SeenWords,
    cluster_weights,
    common_logits,
    elsewhere,
    seen_rows,
    word_scores,
)
from imclust.clustering.size_constraints import softmax
from imclust.clustering.vocabulary import Vocabulary

LEADING = 12  # best words of a cluster, of which two may name it together
PART = 0.25  # share of the images that each of them must fit better than the other, and be seen in
SMALLEST = 8  # images of a cluster in which two kinds can be told
# How much a pair's score counts: one word is better unless two say clearly more. On Tiny ImageNet,
# its classes put together by their parents, and CIFAR-10, 0.7 to 0.8 name most clusters right: 0.74
# of them where 0.6 does 0.72, 0.9 0.72, and no pairs 0.69 (with the words of an earlier table).
TOGETHER = 0.75


def word_pairs(
    logits: np.ndarray, labels: np.ndarray, share: np.ndarray, seen: SeenWords, words: Vocabulary
) -> list[Candidate]:
    """Pairs of words that may name a cluster: each fits a part of its images, and few others.

    Parameters
    ----------
    logits : np.ndarray
        (n, c) float, of a classifier.
    labels : np.ndarray
        (n,) int in [0, k).
    share : np.ndarray
        (k, v) float in [0, 1], how much of a cluster a word covers.
    seen : SeenWords
        In how many images each word is seen.
    words : Vocabulary
        The v words for the c classes.

    Returns
    -------
    list of Candidate
        The word that fits more images comes first.

    Examples
    --------
    >>> logits = 9 * np.eye(30)[np.repeat([0, 1, 2], [9, 7, 16])]  # dogs and cats, then cars
    >>> labels, words = np.repeat([0, 1], 16), Vocabulary(("cat", "dog"), np.eye(30)[:, [1, 0]] > 0)
    >>> share = np.array([[0.4, 0.5], [0.0, 0.0]])
    >>> seen = SeenWords(share, 0 * share)
    >>> [pair.words for pair in word_pairs(logits, labels, share, seen, words)]
    [(1, 0)]
    """
    k, weights = len(share), cluster_weights(labels, len(share))
    score = word_scores(share, weights, words.worth)
    common = common_logits(logits, labels, k)
    fits = (seen.here >= PART) & (seen.here >= DISTINCT * seen.elsewhere) & (score > 0)
    found = []
    for c in range(k):
        mine = labels == c
        best = np.argsort(-score[c], kind="stable")[:LEADING]
        top = best[fits[c, best]]
        if mine.sum() < SMALLEST or len(top) < 2:
            continue
        members = words.members[:, top]
        of_images = softmax(SHARPNESS * (logits[mine] - common)) @ members
        there = np.concatenate([block for _, block in seen_rows(logits[mine], members)])
        for i, j in combinations(range(len(top)), 2):
            first = float((of_images[:, i] > of_images[:, j]).mean())
            told_apart = PART <= first <= 1 - PART and not (members[:, i] & members[:, j]).any()
            if not told_apart or there[:, [i, j]].any(1).mean() < HELD:
                continue
            both = [int(top[i]), int(top[j])]
            together = share[:, both].sum(1)
            here, there_too = float(together[c]), float(elsewhere(together, weights)[c])
            if min(share[c, both]) >= LEAST and here >= max(NAMING, TWICE * there_too):
                lift = np.log((here + TINY) / (there_too + TINY))
                gain = TOGETHER * here * lift * words.worth_of(both)
                found.append(Candidate(gain, c, tuple(both if first >= 0.5 else both[::-1])))
    return found
