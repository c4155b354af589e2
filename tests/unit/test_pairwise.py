"""The adjusted Rand index of all pairs at once."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from imclust.clustering.metrics import mean_pairwise_ari, pairwise_ari


def some_runs(rng, n=50):
    y = rng.integers(0, 4, n)
    noisy = np.where(rng.random(n) < 0.3, rng.integers(0, 4, n), y)
    gaps = 3 * rng.integers(0, 3, n)  # clusters 1, 2, 4, 5 are empty
    return [y, noisy, gaps, np.zeros(n, int), np.arange(n), np.arange(n)[::-1], 2 + y // 2]


def test_all_pairs_equal_scikit_learn(rng):
    runs = some_runs(rng)
    want = [[adjusted_rand_score(a, b) for b in runs] for a in runs]
    np.testing.assert_allclose(pairwise_ari(runs), want, atol=1e-12)


def test_the_mean_leaves_out_the_diagonal(rng):
    runs = some_runs(rng)[:3]
    pairs = [(0, 1), (0, 2), (1, 2)]
    want = np.mean([adjusted_rand_score(runs[a], runs[b]) for a, b in pairs])
    assert mean_pairwise_ari(runs) == pytest.approx(want)


def test_two_rows_and_one_run():
    np.testing.assert_allclose(pairwise_ari([np.array([0, 1]), np.array([1, 0])]), 1)
    np.testing.assert_allclose(pairwise_ari([np.array([0, 1, 1])]), [[1]])
