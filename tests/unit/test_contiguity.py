from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest

from imclust.clustering import row_order as contiguity
from imclust.clustering.row_order import feature_segments, order_signal, sceptical, segments, smooth
from imclust.core.errors import InputError


def blocks(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def noisy(y, k, rng, wrong=0.4, sharp=0.9):
    """Posteriors whose argmax is another cluster in `wrong` of the rows."""
    c = np.where(rng.random(len(y)) < wrong, rng.integers(0, k, len(y)), y)
    p = np.full((len(y), k), (1 - sharp) / (k - 1))
    p[np.arange(len(y)), c] = sharp
    p *= rng.uniform(0.8, 1.2, p.shape)
    return p / p.sum(1, keepdims=True)


# --- whether row order carries signal -------------------------------------------------------------


def test_the_null_moments_are_those_of_all_orders():
    y = [0, 0, 0, 1, 1, 2, 2]
    equal = [sum(a == b for a, b in pairwise(o)) for o in permutations(y)]
    found = order_signal(np.array(y))
    assert found.expected == pytest.approx(np.mean(equal) / 6)
    assert found.z == pytest.approx((4 - np.mean(equal)) / np.std(equal))


def test_loud_on_blocks_and_silent_on_shuffled_rows(rng):
    y = blocks([50, 120, 30])
    found = order_signal(y)
    assert found.significant
    assert found.share == pytest.approx(197 / 199)
    assert found.sentence.startswith("row order carries signal: 99.0% of neighbouring rows")
    shuffled = [order_signal(rng.permutation(y)) for _ in range(100)]
    assert sum(s.p < 0.05 for s in shuffled) <= 15
    assert sum(s.significant for s in shuffled) <= 1
    assert "no signal" in shuffled[0].sentence


def test_signal_of_noisy_posteriors_is_that_of_their_argmax(rng):
    p = noisy(blocks([200, 100, 300]), 3, rng)
    assert order_signal(p) == order_signal(p.argmax(1))
    assert order_signal(p).significant


@pytest.mark.parametrize("y", [[], [0], [0, 1], [2] * 50, list(range(50)), [0, 1] * 30])
def test_nothing_to_say_about_one_cluster_or_a_row_each(y):
    found = order_signal(np.array(y, int))
    assert not found.significant
    assert np.isfinite([found.share, found.expected, found.z, found.p]).all()


# --- segments of posteriors -----------------------------------------------------------------------


def naive_segments(log_p, distinct):
    """Every way to cut and to name, read aloud."""
    n, k = log_p.shape
    best = -np.inf
    for cuts in combinations(range(1, n), k - 1):
        edges = [0, *cuts, n]
        for names in permutations(range(k)) if distinct else product(range(k), repeat=k):
            if any(a == b for a, b in pairwise(names)):
                continue
            parts = zip(names, edges, edges[1:], strict=False)
            best = max(best, sum(log_p[a:b, c].sum() for c, a, b in parts))
    return best


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize(("n", "k"), [(7, 2), (8, 3), (3, 3), (6, 4), (5, 1)])
def test_segments_are_the_best_of_all(rng, monkeypatch, n, k, distinct):
    if not distinct:
        monkeypatch.setattr(contiguity, "DISTINCT", 0)
    log_p = np.log(rng.dirichlet(np.ones(k), n))
    labels = segments(log_p)
    assert (np.diff(labels) != 0).sum() == k - 1
    if distinct:
        assert sorted(set(labels)) == list(range(k))
    assert log_p[np.arange(n), labels].sum() == pytest.approx(naive_segments(log_p, distinct))


@pytest.mark.parametrize("k", [5, 14])
def test_segments_repair_noisy_posteriors(rng, k):
    y = rng.permutation(k)[blocks(rng.integers(20, 80, k))]
    p = noisy(y, k, rng)
    before = (p.argmax(1) == y).mean()
    after = (segments(sceptical(p)) == y).mean()
    assert before < 0.75
    assert after > 0.96


def test_long_inputs_are_cut_between_blocks(rng, monkeypatch):
    y = blocks([100, 40, 160])
    log_p = sceptical(noisy(y, 3, rng, wrong=0.2))
    monkeypatch.setattr(contiguity, "CELLS", 8 * 30)  # blocks of ten rows
    labels = segments(log_p)
    assert set((np.flatnonzero(np.diff(labels)) + 1) % 10) == {0}
    assert (labels == y).mean() > 0.9


def test_more_segments_than_rows_are_refused():
    with pytest.raises(InputError, match="at least as many as segments"):
        segments(np.zeros((2, 3)))
    with pytest.raises(InputError, match="at least as many as segments"):
        feature_segments(np.zeros((2, 3)), 3)


# --- segments of features -------------------------------------------------------------------------


def squared_error(x, labels):
    return sum(((x[labels == c] - x[labels == c].mean(0)) ** 2).sum() for c in set(labels))


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_feature_segments_have_the_least_error_of_all(rng, k):
    x = rng.standard_normal((9, 2)) + 5
    found = feature_segments(x, k)
    assert np.array_equal(np.unique(np.diff(found)), np.unique(np.diff(found)).clip(0, 1))
    cuts = combinations(range(1, 9), k - 1)
    errors = [squared_error(x, np.repeat(range(k), np.diff([0, *c, 9]))) for c in cuts]
    assert squared_error(x, found) == pytest.approx(min(errors))


def test_long_sequences_are_cut_to_the_row_as_short_ones(rng, monkeypatch):
    y = blocks([131, 48, 220, 77])
    x = (3 * rng.standard_normal((4, 6))[y] + rng.standard_normal((len(y), 6))).astype(np.float32)
    exact = feature_segments(x, 4)
    monkeypatch.setattr(contiguity, "BLOCKS", 30)
    np.testing.assert_array_equal(feature_segments(x, 4), exact)
    assert (exact == y).mean() > 0.98


# --- smoothing ------------------------------------------------------------------------------------


def naive_posteriors(evidence, mean, stay):
    """Sum over every sequence of states."""
    n, k = evidence.shape
    step = stay * np.eye(k) + (1 - stay) * mean[None, :]
    gamma, kept, total = np.zeros((n, k)), 0.0, 0.0
    for path in product(range(k), repeat=n):
        w = mean[path[0]] * evidence[0, path[0]]
        for i in range(1, n):
            w *= step[path[i - 1], path[i]] * evidence[i, path[i]]
        total += w
        gamma[np.arange(n), path] += w
        kept += w * sum(stay / step[a, a] for a, b in pairwise(path) if a == b)
    return gamma / total, kept / total / (n - 1), np.log(total)


def test_forward_backward_is_the_sum_over_all_paths(rng):
    evidence, mean = rng.uniform(0.1, 3, (6, 3)), rng.dirichlet(np.ones(3))
    for stay in (0.0, 0.4, 0.95):
        found = contiguity._forward_backward(evidence, mean, stay)
        for a, b in zip(found, naive_posteriors(evidence, mean, stay), strict=True):
            np.testing.assert_allclose(a, b)


def test_smoothing_repairs_noisy_posteriors_and_finds_how_long_they_stay(rng):
    y = blocks([150, 60, 240, 100])
    p = noisy(y, 4, rng)
    found = smooth(p)
    assert (p.argmax(1) == y).mean() < 0.75
    assert (found.probabilities.argmax(1) == y).mean() > 0.97
    assert found.stay > 0.95
    assert 0.2 < found.noise < 0.6
    assert found.log_likelihood > 50
    np.testing.assert_allclose(found.probabilities.sum(1), 1)


def test_smoothing_leaves_shuffled_rows_as_they_are(rng):
    p = noisy(rng.permutation(blocks([150, 60, 240])), 3, rng)
    found = smooth(p)
    assert (found.probabilities.argmax(1) == p.argmax(1)).mean() > 0.9
    assert found.log_likelihood < 10


def test_certain_posteriors_can_be_smoothed_too(rng):
    y = blocks([150, 60, 240])
    p = np.eye(3)[np.where(rng.random(450) < 0.3, rng.integers(0, 3, 450), y)]
    found = smooth(p).probabilities
    assert np.isfinite(found).all()
    assert (found.argmax(1) == y).mean() > 0.97 > (p.argmax(1) == y).mean()
