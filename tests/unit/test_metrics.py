from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from imclust.clustering import metrics
from imclust.core.errors import InputError

AGAINST_LABELS = [metrics.hungarian_accuracy, metrics.nmi, metrics.ari]


@pytest.mark.parametrize("metric", AGAINST_LABELS, ids=lambda f: f.__name__)
def test_names_of_clusters_do_not_matter(metric, rng):
    y, c = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    for names in permutations(range(4)):
        assert metric(y, np.array(names)[c]) == pytest.approx(metric(y, c))


@pytest.mark.parametrize("metric", AGAINST_LABELS, ids=lambda f: f.__name__)
def test_perfect_is_one_and_one_cluster_is_nothing(metric, rng):
    y = rng.integers(0, 3, 90)
    assert metric(y, (y + 1) % 3) == pytest.approx(1)
    assert metric(y, np.zeros(90, int)) < 0.6


def test_hungarian_equals_trying_every_matching(rng):
    y, c = rng.integers(0, 4, 40), rng.integers(0, 4, 40)
    best = max((np.array(p)[c] == y).mean() for p in permutations(range(4)))
    assert metrics.hungarian_accuracy(y, c) == pytest.approx(best)


def test_hungarian_with_more_clusters_than_classes():
    y = np.array([0, 0, 0, 1, 1, 1])
    c = np.array([0, 0, 2, 1, 1, 3])
    assert metrics.hungarian_accuracy(y, c) == pytest.approx(4 / 6)


def test_flip_is_hungarian_for_two(rng):
    y, c = rng.integers(0, 2, 51), rng.integers(0, 2, 51)
    assert metrics.best_binary_accuracy(y, c) == pytest.approx(metrics.hungarian_accuracy(y, c))
    assert metrics.best_binary_accuracy(y, 1 - c) == pytest.approx(
        metrics.best_binary_accuracy(y, c)
    )
    with pytest.raises(InputError, match="0 or 1"):
        metrics.best_binary_accuracy(y, c + 1)


def test_labels_of_another_length_are_refused():
    with pytest.raises(InputError, match="one a row"):
        metrics.contingency(np.zeros(3, int), np.zeros(4, int))


@pytest.mark.parametrize("chunk", [1, 7, 60, 4096])
def test_cosine_silhouette_equals_scikit_learn(rng, chunk):
    x = rng.standard_normal((60, 5)) + 1
    c = rng.integers(0, 4, 60)
    c[:2] = [4, 5]  # two clusters of a single row
    want = silhouette_score(x, c, metric="cosine")
    assert metrics.cosine_silhouette(x, c, chunk=chunk) == pytest.approx(want, abs=1e-9)


def test_cosine_silhouette_skips_empty_clusters(rng):
    x, c = rng.standard_normal((30, 5)), rng.integers(0, 2, 30) * 3
    want = silhouette_score(x, c, metric="cosine")
    assert metrics.cosine_silhouette(x, c) == pytest.approx(want, abs=1e-9)


def test_size_entropy_ends():
    assert metrics.size_entropy(np.repeat([0, 1, 2], 5), 3) == pytest.approx(1)
    assert metrics.size_entropy(np.zeros(9, int), 3) == pytest.approx(0)


def test_stability_is_one_only_for_equal_runs(rng):
    a, b = rng.integers(0, 2, 200), rng.integers(0, 2, 200)
    assert metrics.mean_pairwise_ari([a, 1 - a, a]) == pytest.approx(1)
    assert abs(metrics.mean_pairwise_ari([a, b])) < 0.1
