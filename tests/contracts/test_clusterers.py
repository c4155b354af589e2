"""What every registered clusterer promises."""

import pickle

import numpy as np
import pytest

from imclust.clusterers import CLUSTERERS
from imclust.metrics import hungarian_accuracy

ALL = list(CLUSTERERS)


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_probabilities_seed_and_order(entry, blobs, rng):
    z, _ = blobs
    a = entry.method(z, 3, entry.config(), 0)
    assert a.probabilities.shape == (90, 3)
    np.testing.assert_allclose(a.probabilities.sum(1), 1, atol=1e-5)
    again = entry.method(z, 3, entry.config(), 0)
    np.testing.assert_array_equal(a.probabilities, again.probabilities)
    order = rng.permutation(90)
    shuffled = entry.method(z[order], 3, entry.config(), 0)
    assert hungarian_accuracy(a.labels[order], shuffled.labels) > 0.95
    assert entry.paper


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_groups_are_found_only_where_there_are_some(entry, blobs, rng):
    z, y = blobs
    noise = rng.standard_normal(z.shape).astype(np.float32)
    found, guessed = (
        hungarian_accuracy(y, entry.method(v, 3, entry.config(), 0).labels) for v in (z, noise)
    )
    assert guessed < 0.6 < 0.95 < found


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_new_rows_join_their_group(entry, blobs):
    z, _ = blobs
    a = entry.method(z, 3, entry.config(), 0)
    np.testing.assert_allclose(a.place(z), a.probabilities, atol=1e-4)
    assert (a.place(z + 0.01).argmax(1) == a.labels).mean() > 0.95


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_a_fitted_one_survives_pickling(entry, blobs):
    z, _ = blobs
    a = entry.method(z, 3, entry.config(), 0)
    place = pickle.loads(pickle.dumps(a.place))
    np.testing.assert_array_equal(place(z + 0.01), a.place(z + 0.01))


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_as_many_clusters_as_rows(entry, rng):
    z = rng.standard_normal((5, 2)).astype(np.float32)
    assert entry.method(z, 5, entry.config(), 0).probabilities.shape == (5, 5)
