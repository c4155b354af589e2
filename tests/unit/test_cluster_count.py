"""How many clusters: groups of any number and size are counted, noise is said to be noise."""

import numpy as np
import pytest

from imclust.clustering.evidence import STRUCTURE
from imclust.clustering.k_words import k_lines, k_sentence, k_words
from imclust.clustering.metrics import ari
from imclust.clustering.n_clusters import (
    COUNTED,
    CRITERIA,
    GRID,
    KVote,
    cuts,
    detrended,
    estimate_k,
    voted,
)
from imclust.clustering.views import View
from imclust.core.errors import InputError
from imclust.report.curves import k_evidence
from imclust.report.figures import Sheet


@pytest.fixture
def rng():
    """One seed: a vote takes a second; `benchmarks/small_folders.py` counts over many."""
    return np.random.default_rng(0)


def groups(rng, k, n=400, dims=12, apart=4.0, shares=None):
    y = np.arange(n) % k if shares is None else rng.choice(k, n, p=shares)
    centres = apart * rng.standard_normal((k, dims))
    return (centres[y] + rng.standard_normal((n, dims))).astype(np.float32), y


@pytest.mark.parametrize("k", [2, 3, 9])
def test_finds_the_number_of_made_groups(rng, k):
    x, _ = groups(rng, k, 240)
    vote = estimate_k([x], 0)
    assert vote.k == k
    assert vote.clear
    assert set(vote.favourites) == set(CRITERIA)
    assert [row["k"] for row in vote.table] == [g for g in GRID if g <= 30]
    assert max(vote.table, key=lambda row: row["vote"])["k"] == k
    assert vote.levels["chosen"]["k"] == k
    assert vote.levels["chosen"]["support"] > 0.9


@pytest.mark.parametrize(("n", "k"), [(10, 2), (12, 3), (20, 4), (60, 5)])
def test_finds_the_groups_of_a_small_folder(rng, n, k):
    x, _ = groups(rng, k, n)
    vote = estimate_k([x], 0)
    assert vote.k == k
    assert [row["k"] for row in vote.table] == list(range(2, max(4, min(n // 3, 10)) + 1)) + [
        g for g in (12,) if n // 3 >= g
    ]


def test_the_words_say_how_sure_it_is(rng):
    sure = k_words(estimate_k([groups(rng, 3, 240, apart=8.0)[0]], 0))
    assert sure["k"] == 3
    assert sure["sure"].startswith("well supported: no other K does nearly as well")
    assert [name for name, _, _, counts in sure["criteria"] if counts] == list(COUNTED)
    assert k_sentence(sure) == f"K = 3 by vote, {sure['sure']}"
    assert [line.split()[:3] for line in k_lines(sure)[:-1]] == [
        [name, "favours", f"{favours}:"] for name, _, favours, _ in sure["criteria"]
    ]
    noise = estimate_k([np.random.default_rng(0).standard_normal((240, 60))], 0)
    assert k_words(noise)["sure"].startswith("not supported")
    table = [{"k": k, "vote": v, "agreement": 0.5} for k, v in ((2, 0.9), (3, 1.0), (4, 0.2))]
    close = KVote(3, table, dict.fromkeys(CRITERIA, 2), True)
    assert k_words(close)["sure"] == "not sure: 2 does nearly as well"
    table[0]["vote"] = 0.0
    said = k_words(close)["sure"]
    assert said.startswith("somewhat supported: no other K does as well")
    assert "each criterion alone stands out most at 2" in said
    assert said.endswith("all together are highest at 3: look at both")
    mixed = dict.fromkeys(CRITERIA, 2) | {"modularity": 3}
    assert "stands out" not in k_words(KVote(3, table, mixed, True))["sure"]
    for row in table:
        row["agreement"] = 0.9
    alone = dict.fromkeys(CRITERIA, 3)
    said = k_words(KVote(3, table, alone, True))["sure"]
    assert said.startswith("somewhat supported: so few images allow K up to 4 only")
    table.append({"k": 8, "vote": 0.0, "agreement": 0.9})
    assert k_words(KVote(3, table, alone, True))["sure"].startswith("well supported")
    four = k_words(KVote(3, table, dict.fromkeys(CRITERIA, 4), True))["sure"]
    assert four.count("alone") == 1  # it is said once
    alone |= {"modularity": 5, "separation": 6, "agreement": 9}
    said = k_words(KVote(3, table, alone, True))["sure"]
    assert said.startswith(
        "somewhat supported: 3 by the criteria together, but alone they favour 3"
    )


def test_pictures_that_are_all_alike_are_told_as_such():
    with pytest.raises(InputError, match=r"all alike.*see whether they are copies of one"):
        estimate_k([np.ones((12, 4), np.float32)], 0)


def test_finds_groups_of_very_different_sizes(rng):
    x, y = groups(rng, 4, 300, apart=6.0, shares=[0.7, 0.15, 0.1, 0.05])
    assert estimate_k([x], 0).k == 4
    assert np.bincount(y).min() < 25


def test_finds_fifty_groups(rng):
    x, _ = groups(rng, 50, 600, dims=40, apart=3.0)
    vote = estimate_k([x], 0)
    assert 40 <= vote.k <= 60


def test_same_seed_same_vote(rng):
    x, _ = groups(rng, 4, 120, apart=1.0)
    assert estimate_k([x, x[:, :4]], 3, 2, 8) == estimate_k([x, x[:, :4]], 3, 2, 8)


@pytest.mark.parametrize("dims", [5, 60])
def test_says_when_there_is_no_structure(rng, dims):
    assert not estimate_k([rng.standard_normal((240, dims)).astype(np.float32)], 0).clear


def test_levels_lie_below_and_above(rng):
    x, _ = groups(rng, 6, 240)
    levels = estimate_k([x], 0).levels
    assert levels["coarse"]["k"] < 6 < levels["fine"]["k"]


def test_cuts_are_three_clusterings_of_a_view(rng):
    x, y = groups(rng, 3, 90)
    made = cuts(View.of([x], (0,), "pca"), 3, 0)
    assert [ari(y, c) for c in made] == [1, 1, 1]


def test_detrended_is_blind_to_a_slope_in_log_k():
    ks = np.array(GRID[:12])
    slope = -np.log(ks)
    peak = slope + np.where(ks == 7, 0.5, 0)
    assert ks[peak.argmax()] == 2
    assert ks[detrended(peak, ks).argmax()] == 7
    np.testing.assert_allclose(detrended(slope, ks), 0, atol=1e-12)


def test_the_vote_weighs_every_criterion_alike_whatever_its_scale():
    curves = np.array([[0.1, 10, 0], [0.3, 30, 0], [0.2, 20, 1]])
    np.testing.assert_allclose(voted(curves), voted(curves * [1, 100, 0.01]))
    assert voted(curves[:, :2]).argmax() == 1
    assert voted(curves[:, [0, 2, 2]]).argmax() == 2
    assert not voted(np.ones((3, 2))).any()


def test_criteria_are_numbers_that_are_measured():
    assert set(COUNTED.values()) <= set(STRUCTURE)


@pytest.mark.parametrize(
    ("spaces", "low", "high", "words"),
    [
        ([], 2, 30, "at least one"),
        ([np.ones((9, 3))], 2, 30, "at least 10; got 9"),
        ([np.ones((200, 3)), np.ones((199, 3))], 2, 30, "n=200"),
        ([np.ones((200, 3))], 5, 6, "at least three numbers"),
        ([np.ones((200, 3))], 1, 6, "at least three numbers"),
        ([np.full((200, 3), np.nan)], 2, 30, "finite"),
        ([np.ones((200, 3))], 2, 30, "all alike"),
    ],
)
def test_refuses_what_no_number_can_be_told_from(spaces, low, high, words):
    with pytest.raises(InputError, match=words):
        estimate_k(spaces, 0, low, high)


def test_picture_of_the_evidence(rng, tmp_path):
    from PIL import Image

    vote = estimate_k([groups(rng, 4, 160)[0]], 0, 2, 9)
    k_evidence(Sheet(tmp_path, 11), vote.table, vote.favourites, tuple(COUNTED), k_words(vote))
    pixels = np.asarray(Image.open(tmp_path / "k.png").convert("L"))
    assert pixels.std() > 5
