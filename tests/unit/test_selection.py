"""Which of many clusterings to believe, without a label."""

import numpy as np
import pytest

from imclust.clustering.learnability import learnability
from imclust.clustering.metrics import ari, effective_clusters
from imclust.clustering.preprocessing import prepare
from imclust.clustering.selection import (
    Candidate,
    collapse,
    label_free_score,
    reject_nuisance_copies,
)


def groups(rng, n=240, k=4, dims=6):
    y = np.arange(n) % k
    centres = 6 * rng.standard_normal((k, dims))
    return (centres[y] + rng.standard_normal((n, dims))).astype(np.float32), y


def with_errors(rng, y, share=0.1):
    return np.where(rng.random(len(y)) < share, rng.integers(0, y.max() + 1, len(y)), y)


def named(*labellings, view="v"):
    return [Candidate(f"c{i}", view, c) for i, c in enumerate(labellings)]


def thrown_out(candidates):
    return [c.name for c in candidates if c.reason]


def test_collapse_says_what_is_wrong():
    even = np.arange(100) % 4
    assert collapse(even, 4) == ""
    assert collapse(even, 5) == "only 4 of 5 clusters are used"
    lone = np.zeros(1000, int)
    lone[:3] = [1, 2, 3]
    assert collapse(lone, 4).startswith("collapsed: 1.0")


def test_of_two_clusters_a_small_one_is_no_collapse():
    assert collapse((np.arange(100) < 10).astype(int), 2) == ""
    assert collapse((np.arange(1000) < 2).astype(int), 2) != ""


def test_an_outlier_that_repeats_brightness_is_thrown_out(rng):
    _, y = groups(rng)
    brightness = rng.random(240)
    dark = np.argsort(np.argsort(brightness)) * 4 // 240
    candidates = named(y, with_errors(rng, y), dark, with_errors(rng, y))
    reject_nuisance_copies(candidates, {"brightness": brightness}, 4)
    assert thrown_out(candidates) == ["c2"]
    assert candidates[2].reason == "repeats brightness (agreement 1.00)"


def test_classes_in_row_order_are_no_reason(rng):
    y = np.sort(groups(rng)[1])
    candidates = named(y, with_errors(rng, y), with_errors(rng, y))
    reject_nuisance_copies(candidates, {"row order": np.arange(240.0)}, 4)
    assert thrown_out(candidates) == []
    assert ari(y, np.arange(240) * 4 // 240) == 1


def test_unknown_values_are_passed_over(rng):
    _, y = groups(rng)
    brightness = rng.random(240)
    dark = np.argsort(np.argsort(brightness)) * 4 // 240
    brightness[rng.permutation(240)[:100]] = np.nan
    candidates = named(y, y, dark)
    reject_nuisance_copies(candidates, {"brightness": brightness, "size": np.full(240, np.nan)}, 4)
    assert thrown_out(candidates) == ["c2"]


def test_too_few_known_values_say_nothing(rng):
    _, y = groups(rng)
    size = np.full(240, np.nan)
    size[:19] = y[:19]
    candidates = named(rng.permutation(y), rng.permutation(y), y)
    reject_nuisance_copies(candidates, {"size": size}, 4)
    assert thrown_out(candidates) == []
    size[:20] = y[:20]
    reject_nuisance_copies(candidates, {"size": size}, 4)
    assert thrown_out(candidates) == ["c2"]


def test_the_first_reason_stays(rng):
    dark = np.arange(240) * 4 // 240
    candidates = named(*(rng.permutation(dark) for _ in range(3)), dark)
    candidates[3].reason = "collapsed"
    reject_nuisance_copies(candidates, {"row order": np.arange(240.0)}, 4)
    assert candidates[3].reason == "collapsed"


def test_judge_equals_learnability_times_evenness_in_two_views(rng):
    x, y = groups(rng)
    z = rng.standard_normal((240, 3)).astype(np.float32)
    labels = np.where(rng.random(240) < 0.3, 0, y)
    views = [prepare(s, how).rows for s in (x, z) for how in ("power", "white")]
    want = learnability(views, [labels])[0] * effective_clusters(labels, 4) / 4
    assert label_free_score(labels, [x, z], 4, 0) == pytest.approx(want)


def test_judge_prefers_groups_to_noise_and_even_ones_to_one_big(rng):
    x, y = groups(rng)
    lone = np.zeros(240, int)
    lone[:3] = [1, 2, 3]
    good, noise, big = (label_free_score(c, [x], 4, 0) for c in (y, rng.permutation(y), lone))
    assert good > 0.95
    assert good > 2 * max(noise, big)


def test_judge_looks_at_no_more_rows_than_the_sample(rng, monkeypatch):
    x, y = groups(rng)
    monkeypatch.setattr("imclust.clustering.selection.SAMPLE", 60)
    assert label_free_score(y, [x], 4, 1) == label_free_score(y, [x], 4, 1) > 0.9


def test_a_candidates_row_is_rounded_and_says_why():
    c = Candidate("kmeans", "1 unit", np.zeros(2, int), numbers={"a": 1 / 3}, reason="why")
    assert c.row() == {
        "head": "kmeans",
        "view": "1 unit",
        "score": 0.0,
        "a": 0.3333,
        "seconds": 0.0,
        "thrown out": "why",
    }
