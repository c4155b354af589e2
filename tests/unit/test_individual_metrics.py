"""Metrics of many small clusters against their definitions, one image and one pair at a time."""

from itertools import combinations

import numpy as np
import pytest

from imclust.clustering.individual_metrics import (
    b_cubed,
    individual_scores,
    pair_scores,
    v_measure,
)


@pytest.mark.parametrize("seed", range(4))
def test_as_their_definitions(seed):
    rng = np.random.default_rng(seed)
    y, c = rng.integers(0, 6, 40), rng.integers(0, 9, 40)
    precision = np.mean([(y[c == c[i]] == y[i]).mean() for i in range(40)])
    recall = np.mean([(c[y == y[i]] == c[i]).mean() for i in range(40)])
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(b_cubed(y, c), (precision, recall, f1))
    pairs = list(combinations(range(40), 2))
    both = sum(y[a] == y[b] and c[a] == c[b] for a, b in pairs)
    precision = both / sum(c[a] == c[b] for a, b in pairs)
    recall = both / sum(y[a] == y[b] for a, b in pairs)
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(pair_scores(y, c), (precision, recall, f1))


def test_homogeneity_falls_by_mixing_and_completeness_by_dividing():
    y = np.repeat(np.arange(4), 5)
    h, k, _ = v_measure(y, y // 2)
    assert h < 0.9 < k
    h, k, _ = v_measure(y, np.arange(20))
    assert k < 0.9 < h


def test_perfect_and_lonely_answers():
    y = np.repeat(np.arange(4), 5)
    assert set(individual_scores(y, y[::-1]).values()) == {1.0}
    alone = np.arange(3)
    assert pair_scores(alone, alone) == (1, 1, 1)
    assert pair_scores(np.zeros(3, int), alone) == (1, 0, 0)
