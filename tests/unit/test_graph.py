"""The neighbour graph: whose neighbours, and smoothing along it."""

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse import csr_array

from imclust.clustering.eigenpairs import leading_eigenpairs
from imclust.clustering.metrics import ari
from imclust.clustering.neighbor_graph import (
    joint_graph,
    smooth_features,
    spectral_labels,
    top_eigenvectors,
)
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.views import View


def two_blobs(rng, n=80, dims=5):
    y = np.arange(n) % 2
    x = rng.standard_normal((n, dims)) + 8 * y[:, None] - 4
    return x.astype(np.float32), y


def literal_diffusion(a, x, steps, share):
    n = len(a)
    for _ in range(steps):
        new = np.zeros_like(x)
        for i in range(n):
            pull = sum(a[i, j] * x[j] for j in range(n)) / sum(a[i, j] for j in range(n))
            new[i] = (1 - share) * x[i] + share * pull
        x = new
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("steps", "share"), [(1, 0.5), (3, 0.8), (5, 1.0)])
def test_diffused_equals_a_dense_loop(rng, steps, share):
    a = rng.random((15, 15)) * (rng.random((15, 15)) < 0.4) + np.eye(15)
    x = rng.standard_normal((15, 3))
    want = literal_diffusion(a + a.T, x, steps, share)
    got = smooth_features(csr_array(a + a.T), x, steps, share)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_no_steps_change_nothing_but_the_length(rng):
    x, _ = two_blobs(rng)
    same = smooth_features(joint_graph([x]), x, 0)
    np.testing.assert_allclose(same, x / np.linalg.norm(x, axis=1, keepdims=True), atol=1e-6)


def test_rows_of_a_blob_draw_together_and_blobs_stay_apart(rng):
    x, y = two_blobs(rng)
    graph = joint_graph([x], 10)
    before, after = smooth_features(graph, x, 0), smooth_features(graph, x)

    def widths(z):
        return [float(z[y == c].std(0).mean()) for c in (0, 1)]

    def gap(z):
        return float(np.linalg.norm(z[y == 0].mean(0) - z[y == 1].mean(0)))

    assert max(widths(after)) < min(widths(before)) / 2
    assert gap(after) > gap(before)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_a_row_is_never_its_own_neighbour(rng, chunk):
    x = rng.standard_normal((40, 4)).astype(np.float32)
    x = np.vstack([x, x, x[:20]])  # every row comes again
    index, distance = nearest_neighbors(x, x, 6, same=True, chunk=chunk)
    assert (index != np.arange(100)[:, None]).all()
    assert all(len(set(row)) == 6 for row in index.tolist())
    np.testing.assert_allclose(distance[:, 0], 0, atol=2e-3)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_of_rows_all_alike_each_has_all_others(chunk):
    index, _ = nearest_neighbors(np.ones((9, 2)), np.ones((9, 2)), 8, same=True, chunk=chunk)
    for i, row in enumerate(index.tolist()):
        assert sorted([*row, i]) == list(range(9))


def test_a_graph_has_no_loops_even_with_copies(rng):
    x = np.repeat(rng.standard_normal((10, 3)), 5, axis=0).astype(np.float32)
    graph = joint_graph([x], 8)
    np.testing.assert_array_equal(graph.diagonal(), 0)
    assert np.isfinite(graph.data).all()
    assert (graph.sum(1) > 0).all()


def test_few_rows_make_a_graph_of_all_pairs(rng):
    graph = joint_graph([rng.standard_normal((6, 2)).astype(np.float32)], 20).toarray()
    assert ((graph > 0) == ~np.eye(6, dtype=bool)).all()


def test_cut_names_every_part_once_whatever_the_order(rng):
    x, y = two_blobs(rng)
    order = rng.permutation(80)
    found = [
        spectral_labels(top_eigenvectors(joint_graph([x[o]]), 2)[1], 2)
        for o in (np.arange(80), order)
    ]
    assert ari(y, found[0]) == 1
    assert ari(y[order], found[1]) == 1


def test_a_graph_of_copies_has_eigenvectors():
    """One whose repeated eigenvalues end LAPACK's solver for a part of them."""
    rng = np.random.default_rng(1)
    kinds = 3 * rng.normal(size=(28, 5)).astype(np.float32)
    view = View.of([kinds[rng.integers(0, 28, 700)]], (0,), "power", 0)
    values, vectors = top_eigenvectors(view.graph, 10)
    np.testing.assert_allclose(view.graph @ vectors, vectors * values, atol=1e-4)


def test_leading_eigenpairs_are_those_of_the_whole(rng, monkeypatch):
    a = rng.normal(size=(12, 12))
    a = a + a.T
    values, vectors = np.linalg.eigh(a)
    for _ in range(2):
        found = leading_eigenpairs(a, 4)
        np.testing.assert_allclose(found[0], values[-4:])
        np.testing.assert_allclose(np.abs(found[1]), np.abs(vectors[:, -4:]), atol=1e-8)
        whole = scipy.linalg.eigh

        def fails(a, whole=whole, **how):
            if "subset_by_index" in how:
                raise scipy.linalg.LinAlgError
            return whole(a, **how)

        monkeypatch.setattr(scipy.linalg, "eigh", fails)
