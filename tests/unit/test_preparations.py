"""Preparations of a space: principal directions, whitening, and the same for further rows."""

import pickle

import numpy as np
import pytest

from imclust.clustering.preprocessing import (
    concatenate_unit_rows,
    power_rows,
    prepare,
    principal,
    unit_rows,
)

SHAPES = [(80, 6), (20, 50), (30, 30)]
PREPARED = ("unit", "pca", "power", "white")


def lopsided(rng, n, d):
    return (rng.standard_normal((n, d)) * np.geomspace(5, 0.5, d) + 3).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_principal_equals_the_singular_value_decomposition(rng, shape):
    x = lopsided(rng, *shape)
    mean, axes, spread = principal(x, 4)
    _, values, directions = np.linalg.svd(x.astype(np.float64) - x.mean(0, dtype=np.float64))
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(spread, values[:4] / len(x) ** 0.5, rtol=1e-3)
    np.testing.assert_allclose(np.abs((axes.T * directions[:4]).sum(1)), 1, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_principal_axes_are_orthonormal_and_of_a_fixed_sign(rng, shape):
    x = lopsided(rng, *shape)
    _, axes, _ = principal(x, 5)
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-4)
    assert (axes[np.abs(axes).argmax(0), np.arange(5)] > 0).all()
    turned = principal(x[::-1].copy(), 5)[1]
    np.testing.assert_allclose(turned, axes, atol=1e-3)


@pytest.mark.parametrize(("n", "d", "kept"), [(3, 9, 2), (40, 5, 5), (200, 90, 64), (1, 4, 1)])
def test_no_more_directions_than_rows_columns_or_dims(rng, n, d, kept):
    assert principal(lopsided(rng, n, d), 64)[1].shape == (d, kept)


@pytest.mark.parametrize("how", PREPARED)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_of_unit_length(rng, how, shape):
    rows = prepare(lopsided(rng, *shape), how).rows
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-4)


def test_whitening_brings_directions_to_one_spread_before_the_unit_step(rng):
    z = lopsided(rng, 200, 8)
    rows = power_rows(z)
    mean, axes, spread = principal(rows, 5)
    assert spread[0] > 2 * spread[-1]
    white = (rows - mean) @ (axes / spread)
    np.testing.assert_allclose(white.std(0), 1, rtol=1e-3)
    np.testing.assert_allclose(prepare(z, "white", 5).rows, unit_rows(white), atol=1e-4)


def test_whitening_leaves_rounding_small(rng):
    z = np.hstack([lopsided(rng, 60, 3), np.zeros((60, 20), np.float32)])
    rows = prepare(z, "white").rows
    assert np.isfinite(rows).all()
    assert np.abs(rows[:, 3:]).max() < 0.1


@pytest.mark.parametrize("how", ["raw", *PREPARED])
def test_further_rows_are_prepared_as_fitted_ones(rng, how):
    z = lopsided(rng, 50, 70)
    made = prepare(z, how, 6)
    np.testing.assert_allclose(made.apply(z), made.rows, atol=1e-6)
    np.testing.assert_allclose(made.apply(z[7:9].astype(np.float64)), made.rows[7:9], atol=1e-4)
    again = pickle.loads(pickle.dumps(made.apply))
    np.testing.assert_array_equal(again(z), made.apply(z))


def test_power_rows_are_signed_roots():
    np.testing.assert_allclose(power_rows(np.array([[4.0, -9.0]])), [[2, -3] / np.sqrt(13)])
    np.testing.assert_array_equal(power_rows(np.zeros((2, 3))), np.zeros((2, 3)))


def test_rows_all_alike_stay_finite():
    for how in PREPARED:
        assert np.isfinite(prepare(np.ones((5, 3)), how).rows).all()


def test_one_space_stays_and_several_stand_side_by_side(rng):
    a, b = lopsided(rng, 9, 3), lopsided(rng, 9, 2)
    assert concatenate_unit_rows([a]) is a
    both = concatenate_unit_rows([a, 100 * b])
    np.testing.assert_allclose(both, np.hstack([unit_rows(a), unit_rows(b)]), atol=1e-6)
