"""k-means through a level of coarse cells, beside k-means of all centres at once."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from imclust.clustering.clusterers.kmeans import KMeansConfig, kmeans
from imclust.clustering.hierarchical_kmeans import hierarchical_kmeans, proportional_counts


def inertia(x, points):
    squares = np.square(x).sum(1)[:, None] - 2 * x @ points.T + np.square(points).sum(1)
    return squares.min(1).sum()


@pytest.fixture
def rows(rng):
    centres = 4 * rng.standard_normal((60, 8))
    return (centres[rng.integers(0, 60, 6000)] + rng.standard_normal((6000, 8))).astype(np.float32)


def test_centres_are_as_good_as_those_of_flat_kmeans(rows):
    found = hierarchical_kmeans(rows, 300)
    flat = KMeans(300, n_init=1, random_state=0).fit(rows)
    mine = inertia(rows, found.points)
    assert mine < 1.06 * flat.inertia_
    assert mine <= found.inertia * 1.001  # a bound from above
    one = KMeans(17, n_init=1, random_state=0).fit(rows)
    assert mine < 0.6 * one.inertia_


def test_the_same_seed_is_the_same_bytes(rows):
    a, b = (hierarchical_kmeans(rows, 100, seed=3).points for _ in range(2))
    assert a.tobytes() == b.tobytes()
    assert hierarchical_kmeans(rows, 100, seed=4).points.tobytes() != a.tobytes()


@pytest.mark.parametrize("total", [5, 6, 40, 99, 100])
def test_shares_are_a_number_each_cell_can_give(total):
    sizes = np.array([1, 3, 6, 20, 70])
    counts = proportional_counts(sizes, total)
    assert counts.sum() == total
    assert (counts >= 1).all()
    assert (counts <= sizes).all()
    assert (np.diff(counts) >= 0).all()


def test_as_many_clusters_as_rows_is_every_row(rng):
    x = rng.standard_normal((30, 4)).astype(np.float32)
    assert inertia(x, hierarchical_kmeans(x, 30).points) < 1e-3


def test_the_clusterer_takes_two_levels(rows):
    found = kmeans(rows, 100, KMeansConfig(levels=2), seed=0)
    assert found.probabilities.shape == (6000, 100)
    assert len(np.unique(found.labels)) > 95
    np.testing.assert_array_equal(found.predict(rows).argmax(1), found.labels)
