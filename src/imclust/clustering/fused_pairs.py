"""The pairs of one group: which are looked at, what they score, and P(same)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from imclust.clustering.learned_metric import learned_likeness, unseen_mean
from imclust.clustering.pair_probability import (
    PairModel,
    learnable,
    learned_probability,
    mixture_probability,
)
from imclust.clustering.pair_scores import (
    WHITE_DIMS,
    candidate_pairs,
    k_reciprocal,
    mean_likeness,
    neighbour_rank,
)
from imclust.clustering.preprocessing import prepare

NAMES = ("cosine", "white", "reciprocal", "rank", "matches", "inliers", "learned", "tuned")
LOCAL_WEIGHT = 0.3  # of log inliers beside a cosine before neighbours are looked at again
Matcher: TypeAlias = "Callable[[np.ndarray], np.ndarray]"
# Spaces (n, d_v) of an encoder, and rows (n,) that it learned from.
Tuned: TypeAlias = "tuple[list[np.ndarray], np.ndarray]"


@dataclass(frozen=True)
class GroupPairs:
    """Of one group of n images.

    Parameters
    ----------
    pairs : np.ndarray
        (m, 2) int64, rows of the group.
    scores : np.ndarray
        (m, 8) float32, named `NAMES`; 0 where a score was not taken.
    model : PairModel
        Its probabilities are of these pairs.
    """

    pairs: np.ndarray
    scores: np.ndarray
    model: PairModel


def group_pairs(
    parts: list[np.ndarray],
    identities: np.ndarray,
    match: Matcher | None,
    neighbours: int,
    *,
    rerank: bool = True,
    metric: bool = True,
    tuned: Sequence[Tuned] = (),
    seed: int = 0,
) -> GroupPairs:
    """Score the likeliest pairs of a group and fuse the scores.

    Parameters
    ----------
    parts : list of np.ndarray
        (n, d_v) float spaces.
    identities : np.ndarray
        (n,) str, "" where unknown; published ones only.
    match : callable or None
        (m, 2) rows -> (m, 2) matches and inliers of keypoints; None to do without.
    neighbours : int
        Of a row, by each of two likenesses, that are looked at.
    rerank : bool
        Score reciprocal neighbourhoods, too.
    metric : bool
        Score by a metric learned from known identities, too.
    tuned : sequence of (list of np.ndarray, np.ndarray)
        Spaces (n, d_v) of encoders that learned from known identities, and the rows (n,) bool that
        each learned from.
    seed : int
        Of folds and models.

    Examples
    --------
    >>> x = np.eye(4, 8, dtype=np.float32)[[0, 0, 1, 1]] + 0.01 * np.eye(4, 8, dtype=np.float32)
    >>> found = group_pairs([x], np.full(4, ""), None, neighbours=2)
    >>> likeliest = found.model.probability.argmax()
    >>> found.pairs[likeliest].tolist(), found.scores.shape[1]
    ([0, 1], 8)
    """
    n = len(identities)
    if n < 2:
        nothing = np.empty((0, len(NAMES)), np.float32)
        return GroupPairs(np.empty((0, 2), np.int64), nothing, PairModel(np.empty(0), "none"))
    cosine, white = (mean_likeness(parts, how) for how in ("pca", "white"))
    pairs = candidate_pairs([cosine, white], neighbours)
    local = np.zeros((len(pairs), 2)) if match is None else match(pairs)
    a, b = pairs.T
    columns = {"cosine": cosine[a, b], "white": white[a, b]}
    columns |= {"matches": np.log1p(local[:, 0]), "inliers": np.log1p(local[:, 1])}
    whole = white.astype(np.float32)
    whole[a, b] += LOCAL_WEIGHT * columns["inliers"]
    whole[b, a] = whole[a, b]
    if rerank:
        columns["reciprocal"] = k_reciprocal(whole)[a, b]
        columns["rank"] = -np.log(neighbour_rank(whole)[a, b])
    known = learnable(identities, pairs)
    if known and metric:
        dims = max(2, min(WHITE_DIMS, n // 4))
        z = np.hstack([prepare(part, "white", dims).rows for part in parts])
        columns["learned"] = learned_likeness(z, identities, seed)[a, b]
    if known and tuned:
        each = [mean_likeness(own, "pca")[a, b] for own, _ in tuned]
        columns["tuned"] = unseen_mean(each, [learned for _, learned in tuned], pairs)
    zero = np.zeros(len(pairs))
    scores = np.stack([columns.get(name, zero) for name in NAMES], 1).astype(np.float32)
    if known:
        return GroupPairs(pairs, scores, learned_probability(scores, pairs, identities, seed))
    return GroupPairs(pairs, scores, mixture_probability(scores[:, _label_free(match)]))


def _label_free(match: Matcher | None) -> list[int]:
    """Scores that the mixture looks at: few, as each needs a covariance with each."""
    names = ("white", "reciprocal") if match is None else ("cosine", "matches", "inliers")
    return [NAMES.index(name) for name in names]
