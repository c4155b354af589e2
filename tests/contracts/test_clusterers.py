"""What every registered clusterer promises."""

import pickle
from functools import lru_cache

import numpy as np
import pytest

from helpers import QUICK, quick
from imclust.api import cluster_latents
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.metrics import hungarian_accuracy
from imclust.core.errors import InputError

ALL = list(CLUSTERERS)
pytestmark = pytest.mark.usefixtures("one_thread")

# Heads that cut a large group to even the sizes out, by design, and why.
BALANCED = {
    "deepcluster": "learns to tell parts of even size apart, and a large group has most of them",
    "scan": "maximises the entropy of the clusters' sizes, with five times the weight of the rest",
    "temi": "divides by the clusters' sizes; its beta allows for milder differences only",
    "turtle": "maximises the entropy of the clusters' sizes, with ten times the weight of the rest",
}

# Slow heads see one draw of the data, the others three.
CASES = [
    pytest.param(entry, seed, id=f"{entry.name}-{seed}")
    for entry in ALL
    for seed in ((0,) if entry.name in QUICK else (0, 1, 2))
]
each_case = pytest.mark.parametrize(("entry", "seed"), CASES)
each_head = pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)


def groups(sizes, dims=8, seed=0):
    """Well separated groups: rows (n, dims) float32, group after group, and their numbers."""
    rng = np.random.default_rng(seed)
    centres = 6 * rng.standard_normal((len(sizes), dims))
    y = np.repeat(np.arange(len(sizes)), sizes)
    return (centres[y] + rng.standard_normal((len(y), dims))).astype(np.float32), y


@lru_cache
def blobs(seed):
    """Three groups of thirty."""
    return groups((30, 30, 30), seed=seed)


@lru_cache
def fitted(name, seed):
    """One head on `blobs(seed)`; to be read, not changed."""
    entry = CLUSTERERS[name]
    return entry.method(blobs(seed)[0], 3, quick(entry), 0)


def answer(entry, z, k):
    """A head's answer through the interface for Python, after a look at its form."""
    found = cluster_latents(z, k, method=entry.name, seed=0, **QUICK.get(entry.name, {}))
    assert found.labels.shape == (len(z),)
    assert found.probabilities.shape == (len(z), k)
    assert np.isfinite(found.probabilities).all()
    assert found.probabilities.min() >= 0
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(1))
    assert 0 <= found.score <= 1
    return found.labels


@each_case
def test_probabilities_seed_and_order(entry, seed):
    z, _ = blobs(seed)
    a = fitted(entry.name, seed)
    assert a.probabilities.shape == (90, 3)
    np.testing.assert_allclose(a.probabilities.sum(1), 1, atol=1e-5)
    again = entry.method(z, 3, quick(entry), 0)
    np.testing.assert_array_equal(a.probabilities, again.probabilities)
    order = np.random.default_rng(seed).permutation(90)
    shuffled = entry.method(z[order], 3, quick(entry), 0)
    assert hungarian_accuracy(a.labels[order], shuffled.labels) > 0.95
    assert entry.paper


@each_case
def test_groups_are_found_only_where_there_are_some(entry, seed):
    z, y = blobs(seed)
    noise = np.random.default_rng(seed).standard_normal(z.shape).astype(np.float32)
    guess = entry.method(noise, 3, quick(entry), 0)
    found = hungarian_accuracy(y, fitted(entry.name, seed).labels)
    assert hungarian_accuracy(y, guess.labels) < 0.6 < 0.95 < found


@each_case
def test_new_rows_join_their_group(entry, seed):
    z, _ = blobs(seed)
    a = fitted(entry.name, seed)
    np.testing.assert_allclose(a.predict(z), a.probabilities, atol=1e-4)
    assert (a.predict(z + 0.01).argmax(1) == a.labels).mean() > 0.95


@each_case
def test_a_fitted_one_survives_pickling(entry, seed):
    z, _ = blobs(seed)
    a = fitted(entry.name, seed)
    predict = pickle.loads(pickle.dumps(a.predict))
    np.testing.assert_array_equal(predict(z + 0.01), a.predict(z + 0.01))


@each_case
def test_as_many_clusters_as_rows(entry, seed):
    z = np.random.default_rng(seed).standard_normal((5, 2)).astype(np.float32)
    answer(entry, z, 5)


@each_head
def test_a_small_group_beside_a_large_one(entry):
    z, y = groups((72, 8))
    labels = answer(entry, z, 2)
    assert set(labels.tolist()) == {0, 1}
    if entry.name not in BALANCED:
        assert hungarian_accuracy(y, labels) > 0.95


@each_head
def test_equal_rows_share_a_cluster(entry):
    z, y = groups((10, 10, 10))
    labels = answer(entry, np.repeat(z, 3, axis=0), 3).reshape(-1, 3)
    np.testing.assert_array_equal(labels, np.repeat(labels[:, :1], 3, axis=1))
    assert hungarian_accuracy(y, labels[:, 0]) > 0.95


@each_head
def test_constant_columns_change_nothing(entry):
    z, _ = blobs(0)
    constant = np.tile(np.float32([0, 1, -2]), (len(z), 1))
    labels = answer(entry, np.hstack([z, constant]), 3)
    assert hungarian_accuracy(fitted(entry.name, 0).labels, labels) > 0.95


@each_head
def test_more_columns_than_rows(entry):
    z, y = groups((20, 20), dims=200)
    assert hungarian_accuracy(y, answer(entry, z, 2)) > 0.95


@each_head
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_numbers_of_other_widths(entry, dtype):
    z, y = blobs(0)
    assert hungarian_accuracy(y, answer(entry, z.astype(dtype), 3)) > 0.95


@each_head
@pytest.mark.parametrize(
    ("bad", "k", "words"),
    [
        (np.nan, 2, "must be finite; got 1 NaN or infinite values"),
        (np.inf, 2, "must be finite; got 1 NaN or infinite values"),
        (0.0, 7, r"from 2 to the number of rows \(6\); got 7"),
        (0.0, 1, r"from 2 to the number of rows \(6\); got 1"),
    ],
    ids=["nan", "infinity", "more clusters than rows", "one cluster"],
)
def test_what_cannot_be_clustered_is_refused_in_one_sentence(entry, bad, k, words):
    z = np.arange(12, dtype=np.float32).reshape(6, 2)
    z[3, 1] += bad
    with pytest.raises(InputError, match=words) as caught:
        cluster_latents(z, k, method=entry.name)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert ". " not in sentence
