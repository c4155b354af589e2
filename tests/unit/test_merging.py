"""Ward's tree over clusters, and many clusters down to K."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage, linkage

from imclust.clustering.metrics import ari
from imclust.clustering.ward import means_and_sizes, merge_to_k, ward_tree


@pytest.mark.parametrize("shape", [(2, 1), (3, 2), (40, 5), (60, 3)])
def test_on_single_points_the_tree_is_scipys(rng, shape):
    x = rng.standard_normal(shape) + 100
    tree, want = ward_tree(x, np.ones(len(x))), linkage(x, method="ward")
    np.testing.assert_array_equal(tree[:, [0, 1, 3]], want[:, [0, 1, 3]])
    np.testing.assert_allclose(tree[:, 2], want[:, 2], rtol=1e-6)


def test_a_cluster_of_copies_counts_as_that_many_points(rng):
    means, sizes = rng.standard_normal((8, 3)), rng.integers(1, 6, 8)
    tree = ward_tree(means, sizes)
    points = linkage(np.repeat(means, sizes, axis=0), method="ward")
    np.testing.assert_allclose(tree[:, 2], points[sizes.sum() - 8 :, 2], rtol=1e-6)
    assert is_valid_linkage(tree)


def test_means_and_sizes_equal_a_loop(rng):
    x, c = rng.standard_normal((50, 4)).astype(np.float32), np.arange(50) % 6
    means, sizes = means_and_sizes(c, x, 6)
    for k in range(6):
        np.testing.assert_allclose(means[k], x[c == k].mean(0), atol=1e-6)
        assert sizes[k] == (c == k).sum()


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_merging_ends_with_k(rng, k):
    x, labels = rng.standard_normal((90, 3)), np.arange(90) % 12
    found = merge_to_k(labels, x, k)
    assert found.dtype == np.int64
    assert sorted(set(found.tolist())) == list(range(k))
    pairs = {(a, b) for a, b in zip(labels.tolist(), found.tolist(), strict=True)}
    assert len(pairs) == 12  # no cluster is torn apart


@pytest.mark.parametrize("k", range(1, 8))
def test_merging_ends_with_k_when_steps_cost_the_same(k):
    grid = np.arange(8, dtype=float)[:, None] * [[1.0, 0.0]]
    labels = np.repeat(np.arange(8), 3)
    assert len(set(merge_to_k(labels, grid[labels], k).tolist())) == k
    assert len(set(merge_to_k(labels, np.zeros((24, 2)), k).tolist())) == k


def test_fewer_clusters_than_k_are_only_named_anew():
    np.testing.assert_array_equal(merge_to_k(np.array([7, 3, 7, 3]), np.eye(4), 3), [1, 0, 1, 0])


def test_parts_of_a_blob_find_together(rng):
    y = np.arange(300) % 3
    x = 10 * rng.standard_normal((3, 4))[y] + rng.standard_normal((300, 4))
    parts = y * 5 + rng.integers(0, 5, 300)
    assert ari(merge_to_k(parts, x, 3), y) == 1
