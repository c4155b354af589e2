import numpy as np
import pytest
from sklearn import manifold

from imclust.clustering.neighbors import nearest_neighbors, trustworthiness


def dense(queries, rows, k, same):
    d = np.linalg.norm(queries[:, None].astype(float) - rows[None], axis=2)
    if same:
        np.fill_diagonal(d, np.inf)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(d, order, 1)


@pytest.mark.parametrize("chunk", [1, 7, 50, 4096])
@pytest.mark.parametrize("same", [True, False])
def test_chunked_equals_dense(rng, chunk, same):
    rows = rng.standard_normal((50, 6)).astype(np.float32)
    queries = rows if same else rng.standard_normal((23, 6)).astype(np.float32)
    index, distance = nearest_neighbors(queries, rows, 5, same=same, chunk=chunk)
    want_index, want_distance = dense(queries, rows, 5, same)
    np.testing.assert_array_equal(index, want_index)
    np.testing.assert_allclose(distance, want_distance, rtol=1e-3)


@pytest.mark.parametrize("chunk", [1, 9, 100, 4096])
def test_trustworthiness_equals_scikit_learn(rng, chunk):
    x = rng.standard_normal((80, 10)).astype(np.float32)
    e = x[:, :2] + 0.3 * rng.standard_normal((80, 2)).astype(np.float32)
    want = manifold.trustworthiness(x, e, n_neighbors=7)
    assert trustworthiness(x, e, 7, chunk=chunk) == pytest.approx(want, abs=1e-6)


def test_trustworthiness_is_one_for_itself_and_half_for_noise(rng):
    x = rng.standard_normal((300, 2)).astype(np.float32)
    noise = rng.standard_normal((300, 2)).astype(np.float32)
    assert trustworthiness(x, x) == 1
    assert 0.4 < trustworthiness(x, noise) < 0.6
