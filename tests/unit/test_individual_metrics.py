"""Metrics of many small clusters against their definitions, one image and one pair at a time."""

from itertools import combinations

import numpy as np
import pytest

from imclust.clustering.individual_metrics import (
    REWARDS,
    b_cubed,
    individual_scores,
    pair_scores,
    row_f1,
    scene_scores,
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


@pytest.mark.parametrize("seed", range(4))
def test_row_wise_f1_as_sets_of_matches(seed):
    rng = np.random.default_rng(seed)
    y, c = rng.integers(0, 8, 30), rng.integers(0, 12, 30)
    values = []
    for i in range(30):
        true, said = set(np.flatnonzero(y == y[i])), set(np.flatnonzero(c == c[i]))
        precision, recall = len(true & said) / len(said), len(true & said) / len(true)
        values.append(2 * precision * recall / (precision + recall))
    assert row_f1(y, c) == pytest.approx(np.mean(values))


@pytest.mark.parametrize("seed", range(6))
def test_scenes_as_their_definition(seed):
    rng = np.random.default_rng(seed)
    y, c = rng.integers(0, 12, 25), rng.integers(0, 6, 25)
    shared = inside = whole = 0
    for scene in sorted(set(y.tolist())):
        mine = set(np.flatnonzero(y == scene))
        if len(mine) < 2:
            continue
        clusters = [set(np.flatnonzero(c == k)) for k in set(c.tolist())]
        best = max(clusters, key=lambda k: (len(k & mine), -len(k)))
        shared, inside = shared + len(best & mine), inside + len(best)
        whole += len(mine)
    purity, coverage = shared / inside, shared / whole
    want = purity, coverage, 2 * purity * coverage / (purity + coverage)
    np.testing.assert_allclose(scene_scores(y, c), want)


def test_one_cluster_of_all_covers_every_scene_and_is_pure_of_none():
    y = np.repeat(np.arange(5), 4)
    purity, coverage, _ = scene_scores(y, np.zeros(20, int))
    assert (purity, coverage) == (0.2, 1.0)
    assert row_f1(y, np.zeros(20, int)) == pytest.approx(2 * 4 / 24)


def test_an_outlier_harms_within_a_scene_s_cluster_only():
    y = np.array([0, 0, 0, 1, 2])
    assert scene_scores(y, np.array([0, 0, 0, 1, 1])) == (1, 1, 1)
    assert scene_scores(y, np.array([0, 0, 0, 0, 1]))[0] == 0.75
    assert scene_scores(np.arange(3), np.zeros(3, int)) == (1, 1, 1)


def test_of_every_number_it_is_said_what_it_rewards():
    assert set(REWARDS) == set(individual_scores(np.arange(3), np.arange(3)))
