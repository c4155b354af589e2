"""The fuzzy graph of UMAP against a slow twin, and what its layout keeps together."""

from __future__ import annotations

import numpy as np
import pytest

from imclust.clustering.preprocessing import unit_rows
from imclust.clustering.umap_embedding import fuzzy_graph, umap_embedding


def slow_fuzzy_graph(rows, neighbours):
    """Algorithms 2 and 3 of the paper, an entry at a time."""
    n = len(rows)
    a = np.zeros((n, n))
    for i in range(n):
        distance = np.array([1 - float(rows[i] @ rows[j]) for j in range(n)])
        distance[i] = np.inf
        near = np.argsort(distance, kind="stable")[: neighbours - 1]
        rho = distance[near].min()
        low, high = 0.0, 1e6
        for _ in range(100):
            sigma = (low + high) / 2
            total = sum(np.exp(-(distance[j] - rho) / sigma) for j in near)
            low, high = (low, sigma) if total > np.log2(neighbours) else (sigma, high)
        for j in near:
            a[i, j] = np.exp(-(distance[j] - rho) / sigma)
    return np.array(
        [[p + q - p * q for p, q in zip(*r, strict=True)] for r in zip(a, a.T, strict=True)]
    )


def test_the_fuzzy_graph_equals_its_slow_twin(rng):
    rows = unit_rows(rng.standard_normal((40, 6)))
    graph = fuzzy_graph(rows, 8).toarray()
    assert np.allclose(graph, slow_fuzzy_graph(rows.astype(float), 8), atol=2e-3)
    assert (graph == graph.T).all()


def test_neighbours_at_distance_zero_and_far_ones_make_a_graph(rng):
    rows = unit_rows(np.repeat(rng.standard_normal((5, 3)), 8, axis=0))
    graph = fuzzy_graph(rows, 10)
    assert np.isfinite(graph.data).all()
    assert graph.data.min() > 0
    assert graph.data.max() <= 1


@pytest.mark.slow
def test_groups_stay_together_copies_fall_on_one_point_and_the_seed_decides(rng):
    centres = 6 * rng.standard_normal((3, 8))
    y = np.repeat(np.arange(3), 30)
    rows = np.repeat(centres[y] + rng.standard_normal((90, 8)), 2, axis=0)
    z, again, other = (umap_embedding(rows, 10, 2, seed) for seed in (0, 0, 1))
    assert z.shape == (180, 2)
    assert z.tobytes() == again.tobytes() != other.tobytes()
    assert (z[::2] == z[1::2]).all()
    middles = np.array([z[::2][y == c].mean(0) for c in range(3)])
    nearest = ((z[::2, None] - middles) ** 2).sum(2).argmin(1)
    assert (nearest == y).all()


def test_few_rows_stay_as_they_are(rng):
    rows = rng.standard_normal((12, 4)).astype(np.float32)
    assert (umap_embedding(rows, 10, 2, 0) == rows).all()
