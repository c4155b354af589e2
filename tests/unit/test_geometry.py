"""Matches that agree on a homography or a fundamental matrix."""

import numpy as np
import pytest

from imclust.data.geometry import agreeing, plausible


def two_views(n, seed=0, flat=False):
    """Pixels (n, 2) of points in space as two cameras see them."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1, -1, 4], [1, 1, 4 if flat else 8], (n, 3))
    turn = np.array([[np.cos(0.1), 0, np.sin(0.1)], [0, 1, 0], [-np.sin(0.1), 0, np.cos(0.1)]])
    moved = points @ turn.T + [0.8, 0.1, 0.2]
    return [(400 * p[:, :2] / p[:, 2:] + 160).astype(np.float32) for p in (points, moved)]


def test_a_thing_with_depth_has_a_fundamental_matrix_and_no_homography():
    one, other = two_views(60)
    assert agreeing(one, other, "fundamental").mean() > 0.95
    assert agreeing(one, other, "homography").mean() < 0.6
    one, other = two_views(60, flat=True)
    assert agreeing(one, other, "homography").mean() > 0.95


@pytest.mark.parametrize("geometry", ["homography", "fundamental"])
def test_wrong_matches_are_told_from_right_ones(geometry):
    one, other = two_views(80, flat=geometry == "homography")
    rng = np.random.default_rng(1)
    other[60:] = rng.uniform(0, 320, (20, 2))
    agree = agreeing(one, other, geometry)
    assert agree[:60].mean() > 0.9
    assert agree[60:].mean() < 0.2
    np.testing.assert_array_equal(agree, agreeing(one, other, geometry))


@pytest.mark.parametrize("geometry", ["homography", "fundamental"])
def test_points_that_no_matrix_fits_agree_on_nothing(geometry):
    """OpenCV ends in an error for some of them."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        one, other = rng.integers(0, 3, (2, 9, 2)).astype(np.float32)
        assert agreeing(one, other * 100, geometry).dtype == bool


@pytest.mark.parametrize(("geometry", "most"), [("homography", 4), ("fundamental", 7)])
def test_so_few_that_they_always_agree_say_nothing(geometry, most):
    one, other = two_views(most, flat=True)
    assert not agreeing(one, other, geometry).any()
    assert agreeing(one, other, geometry).shape == (most,)


def test_mirrored_and_squeezed_geometries_are_none():
    assert plausible(np.eye(3))
    assert not plausible(np.diag([-1.0, 1, 1]))
    assert not plausible(np.diag([0.1, 0.1, 1]))
