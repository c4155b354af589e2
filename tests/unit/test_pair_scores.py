"""Likeness of pairs against slow twins."""

import numpy as np
import pytest

from imclust.clustering.learned_metric import learned_likeness, within_whitening
from imclust.clustering.pair_probability import identity_folds
from imclust.clustering.pair_scores import (
    candidate_pairs,
    k_reciprocal,
    likeness,
    mean_likeness,
    neighbour_rank,
)


def some_likeness(n=24, seed=0):
    z = np.random.default_rng(seed).normal(size=(n, 6))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return (z @ z.T).astype(np.float32)


def slow_k_reciprocal(s, k1, k2):
    """Zhong et al. 2017, eq. 3, 4, 7, 10 and 11, one pair at a time."""
    n = len(s)
    order = [sorted(range(n), key=lambda j: (j != i, -s[i, j])) for i in range(n)]

    def reciprocal(i, k):
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    v = np.zeros((n, n))
    for i in range(n):
        mine = reciprocal(i, k1)
        extended = set(mine)
        for j in mine:
            half = reciprocal(j, max(1, round(k1 / 2)))
            if len(half & mine) > 2 / 3 * len(half):
                extended |= half
        for j in extended:
            v[i, j] = np.exp(float(s[i, j]) - 1)
        v[i] /= v[i].sum()
    v = np.array([v[order[i][:k2]].mean(0) for i in range(n)])
    return np.array([[np.minimum(a, b).sum() / np.maximum(a, b).sum() for b in v] for a in v])


@pytest.mark.parametrize(("k1", "k2"), [(6, 3), (20, 6), (3, 1)])
def test_reciprocal_neighbours_as_one_pair_at_a_time(k1, k2):
    s = some_likeness()
    np.testing.assert_allclose(k_reciprocal(s, k1, k2), slow_k_reciprocal(s, k1, k2), atol=1e-5)


def test_reciprocal_neighbours_of_fewer_rows_than_are_looked_at():
    assert k_reciprocal(some_likeness(3)).shape == (3, 3)
    assert k_reciprocal(np.ones((1, 1))).tolist() == [[1.0]]


def test_ranks_and_candidates_as_one_row_at_a_time():
    s, other = some_likeness(), some_likeness(seed=1)
    n = len(s)
    rank = np.zeros((n, n))
    for i in range(n):
        for r, j in enumerate(sorted(set(range(n)) - {i}, key=lambda j: -s[i, j]), 1):
            rank[i, j] = r
    np.testing.assert_array_equal(neighbour_rank(s), np.minimum(rank, rank.T))
    want = set()
    for m in (s, other):
        for i in range(n):
            near = sorted(set(range(n)) - {i}, key=lambda j: -m[i, j])[:4]
            want |= {(min(i, j), max(i, j)) for j in near}
    assert candidate_pairs([s, other], 4).tolist() == [list(p) for p in sorted(want)]


def test_what_all_images_of_a_group_share_says_nothing():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 8)) + 100
    for how in ("pca", "white"):
        s = likeness(z, how)
        assert abs(s[np.triu_indices(40, 1)].mean()) < 0.2
        assert (np.diag(s) == 1).all()
    parts = [z[:, :4], z[:, 4:]]
    want = (likeness(parts[0], "pca") + likeness(parts[1], "pca")) / 2
    np.testing.assert_allclose(mean_likeness(parts, "pca"), want, atol=1e-6)


def loud_nuisance(n=10, seed=0):
    """Eight images of each of n identities; what tells them apart is drowned by what does not."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n), 8)
    means = rng.normal(size=(n, 6))
    z = np.hstack([means[y] + rng.normal(0, 0.2, (len(y), 6)), rng.normal(0, 3, (len(y), 6))])
    return z, np.array([f"i{v}" for v in y])


def test_a_metric_of_known_identities_finds_others():
    z, y = loud_nuisance()
    known = np.where(np.isin(y, [f"i{v}" for v in range(5)]), y, "")
    unknown = known == ""
    same = (y[unknown][:, None] == y[unknown])[np.triu_indices(unknown.sum(), 1)]

    def gap(s):
        s = s[np.ix_(unknown, unknown)][np.triu_indices(unknown.sum(), 1)]
        return s[same].mean() - s[~same].mean()

    plain = z / np.linalg.norm(z, axis=1, keepdims=True)
    assert gap(learned_likeness(z, known)) > gap(plain @ plain.T) + 0.2


def test_no_pair_is_judged_by_a_metric_of_its_own_identities():
    z, y = loud_nuisance(6)
    y = np.where(np.arange(len(y)) % 8 == 0, "", y)
    s = learned_likeness(z, y)
    fold = np.full(len(y), -1)
    for number, (_, judge) in enumerate(identity_folds(y)):
        fold[judge] = number
    for a, b in [(1, 2), (1, 9), (0, 1), (0, 8), (20, 45)]:
        learn = (fold >= 0) & ~np.isin(fold, [fold[a], fold[b]])
        w = within_whitening(z[learn], y[learn])
        u, v = z[a] @ w, z[b] @ w
        want = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
        assert s[a, b] == pytest.approx(want, abs=1e-5)
        assert s[b, a] == s[a, b]
