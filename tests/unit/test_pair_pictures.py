"""Pairs of images drawn side by side, with the keypoints that agree, in a bounded size."""

import cv2
import numpy as np
import pytest

from imclust.data.images import ImageRow
from imclust.data.keypoints import find_keypoints, verified_matches
from imclust.encoders.local_features._base import LocalConfig
from imclust.encoders.local_features.sift import Sift
from imclust.report.pair_pictures import HEIGHT, WIDEST, PairPictures, agreeing_points, encoded
from textures import photograph, texture

SIFT = Sift(LocalConfig(160, 300))


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(0)
    one, other = texture(rng), texture(rng)
    return [photograph(one, rng), photograph(one, rng), photograph(other, rng)]


def test_as_many_points_as_were_counted_lie_on_one_geometry(photographs):
    a, b, c = (find_keypoints(x, 160, 300) for x in photographs)
    for one, other in ((a, b), (a, c), (b, c)):
        here, there = agreeing_points(one, other, SIFT)
        assert len(here) == len(there) == verified_matches(one, other)[1]
    here, there = agreeing_points(a, b, SIFT)
    assert len(here) > 8
    h, _ = cv2.findHomography(here, there, 0)
    moved = cv2.perspectiveTransform(here[:, None], h)[:, 0]
    assert np.median(np.linalg.norm(moved - there, axis=1)) < 4


def test_both_images_are_there_and_lines_between_them(photographs, tmp_path):
    np.save(tmp_path / "x.npy", np.array(photographs))
    rows = [ImageRow(str(i), "train", str(tmp_path / "x.npy"), str(i), 96, 96) for i in range(3)]
    lined, agree = PairPictures(SIFT, 160).draw(rows[0], rows[1])
    plain, none = PairPictures(None, 160).draw(rows[0], rows[1])
    assert agree > 8
    assert none == 0
    assert lined.shape == plain.shape
    assert plain.shape[0] <= HEIGHT
    assert plain.shape[1] <= 2 * WIDEST + 10
    left = cv2.resize(photographs[0], (HEIGHT, HEIGHT), interpolation=cv2.INTER_CUBIC)
    assert np.abs(plain[:, :HEIGHT].astype(int) - left).mean() < 4  # it was scaled twice
    changed = (lined != plain).any(2)
    assert 0.002 < changed.mean() < 0.5
    assert (PairPictures(SIFT, 160).draw(rows[0], rows[1])[0] == lined).all()


def test_files_stay_within_the_budget_the_first_ones_last():
    noise = np.random.default_rng(0).integers(0, 256, (12, 120, 240, 3), dtype=np.uint8)
    whole = encoded(list(noise), 10**9)
    coarse = encoded(list(noise), sum(map(len, whole)) * 3 // 4)
    assert len(whole) == len(coarse) == 12
    assert sum(map(len, coarse)) <= sum(map(len, whole)) * 3 // 4
    few = encoded(list(noise), 40_000)
    assert 0 < len(few) < 12
    assert sum(map(len, few)) <= 40_000
