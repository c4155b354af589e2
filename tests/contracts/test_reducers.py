"""What every registered reducer promises."""

import numpy as np
import pytest

from imclust.clustering.reducers import REDUCERS

ALL = list(REDUCERS)


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_shape_dtype_seed_and_order(entry, blobs, rng):
    x, _ = blobs
    a = entry.method(x, entry.config(), 0)
    assert a.embedding.dtype == np.float32
    assert a.embedding.shape[0] == 90
    assert np.isfinite(a.embedding).all()
    assert a.predict(x[:7]).shape == (7, a.embedding.shape[1])
    np.testing.assert_array_equal(a.embedding, entry.method(x, entry.config(), 0).embedding)
    assert entry.paper


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_groups_stay_apart(entry, blobs):
    x, y = blobs
    e = entry.method(x, entry.config(), 0).embedding
    d = np.linalg.norm(e[:, None] - e[None], axis=2)
    np.fill_diagonal(d, np.inf)
    assert (y[d.argmin(1)] == y).mean() > 0.95


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_fewer_rows_than_components(entry, rng):
    x = rng.standard_normal((6, 5)).astype(np.float32)
    assert len(entry.method(x, entry.config(), 0).embedding) == 6


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_input_is_left_as_it_was(entry, blobs):
    x, _ = blobs
    before = x.copy()
    entry.method(x, entry.config(), 0)
    np.testing.assert_array_equal(x, before)
