"""Keypoints that agree on a geometry."""

import numpy as np
import pytest

from imclust.data.keypoints import (
    Keypoints,
    find_keypoints,
    match_pairs,
    mutual_matches,
    verified_matches,
)
from textures import photograph, texture


@pytest.fixture(scope="module")
def seen():
    """Two photographs of each of three textures."""
    rng = np.random.default_rng(3)
    pictures = [texture(rng) for _ in range(3)]
    return [find_keypoints(photograph(p, rng)) for p in pictures for _ in range(2)]


def test_two_views_of_one_thing_agree_and_of_two_do_not(seen):
    inliers = {(a, b): verified_matches(seen[a], seen[b])[1] for a in range(6) for b in range(a)}
    same = [v for (a, b), v in inliers.items() if a // 2 == b // 2]
    other = [v for (a, b), v in inliers.items() if a // 2 != b // 2]
    assert min(same) > 2 * max(other)
    assert min(same) >= 15


def test_matches_as_one_keypoint_at_a_time(seen):
    a, b = seen[:2]
    x, y = (k.descriptors.astype(np.float64) for k in (a, b))
    far = ((x[:, None] - y[None]) ** 2).sum(2)
    want = []
    for i, row in enumerate(far):
        first, second = np.argsort(row)[:2]
        if far[:, first].argmin() == i and row[first] <= 0.85**2 * row[second]:
            want.append((i, int(first)))
    got = set(map(tuple, mutual_matches(a, b).tolist()))
    assert len(got ^ set(want)) <= 0.02 * len(want)  # descriptors are no exact unit rows: 16 bit
    assert len(want) > 20


def test_pictures_without_structure_match_nothing():
    flat = find_keypoints(np.full((60, 40, 3), 90, np.uint8))
    assert verified_matches(flat, flat) == (0, 0)
    one = Keypoints(np.zeros((1, 2), np.float32), np.eye(1, 128, dtype=np.float16))
    assert verified_matches(one, one) == (0, 0)


@pytest.mark.parametrize("kept", [0, 8, 13, 24])
def test_matching_goes_on_where_a_kill_ended_it(seen, tmp_path, kept):
    """Whatever part of the file is there, the last number cut or not, is taken as it is."""
    pairs = np.array([[0, 1], [0, 2], [2, 3], [1, 4], [4, 5]])
    whole = match_pairs(seen, pairs, tmp_path / "a", 2)
    assert not (tmp_path / "a").exists()
    marked = whole.astype(np.int32) + 1000
    (tmp_path / "b").write_bytes(marked.tobytes()[:kept])
    found = match_pairs(seen, pairs, tmp_path / "b", 1, every=2)
    done = kept // 8
    np.testing.assert_array_equal(found[:done], marked[:done])
    np.testing.assert_array_equal(found[done:], whole[done:])
