from itertools import product

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from imclust.clustering.clusterers._base import centre_probabilities
from imclust.clustering.metrics import effective_clusters
from imclust.clustering.priors import Priors, apply_priors
from imclust.clustering.size_constraints import matched, offsets, spread_to, whole
from imclust.core.errors import InputError


def softmax(s):
    q = np.exp(s - s.max(1, keepdims=True))
    return q / q.sum(1, keepdims=True)


def posterior(rng, n=200, k=3, sharp=2.0):
    return softmax(sharp * rng.standard_normal((n, k)))


def partition(p):
    """Which rows are together, whatever the names."""
    c = p.argmax(1)
    return c[:, None] == c[None, :]


def sizes(p):
    return np.bincount(p.argmax(1), minlength=p.shape[1])


def unequal(rng, shares=(0.8, 0.2), n=1000, apart=2.0):
    """A head that takes both groups for equally likely: it cuts too much off the larger one."""
    y = rng.permutation(np.repeat([0, 1], [int(n * s) for s in shares]))
    x = rng.standard_normal(n) + apart * y
    centres = np.array([-0.1, 1.1])  # both in the larger group
    return softmax(-0.5 * (x[:, None] - centres) ** 2 * 3), y


def test_no_priors_change_nothing(rng):
    p = posterior(rng).astype(np.float32)
    found = apply_priors(p, Priors())
    np.testing.assert_array_equal(found.probabilities, p)
    np.testing.assert_array_equal(found.predict(p[:7]), p[:7])
    assert set(found.facts) == {"row_order"}
    assert found.facts["row_order"]["significant"] is False


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(0.8, 0.2), (20, 80)])
def test_given_sizes_recover_groups_that_the_head_splits_wrongly(rng, given):
    p, y = unequal(rng)
    found = apply_priors(p, Priors(given))
    assert sorted(sizes(found.probabilities)) == [200, 800]
    before, after = (np.mean(q.argmax(1) == y) for q in (p, found.probabilities))
    assert before < 0.78
    assert after > 0.85
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)
    assert found.probabilities.dtype == np.float32


@pytest.mark.parametrize("sharp", [0.3, 3, 100])
@pytest.mark.parametrize("k", [2, 3, 6])
def test_sizes_are_exact_and_the_assignment_is_the_best_of_its_sizes(rng, sharp, k):
    p = posterior(rng, 60, k, sharp)
    counts = whole(rng.dirichlet(np.ones(k)), 60)
    log_p = np.log(p)
    c = (log_p + offsets(log_p, counts)).argmax(1)
    np.testing.assert_array_equal(np.bincount(c, minlength=k), counts)
    best = np.repeat(log_p, counts, axis=1)  # a column for every place there is
    total = best[linear_sum_assignment(best, maximize=True)].sum()
    assert log_p[np.arange(60), c].sum() == pytest.approx(total)


def test_the_order_of_rows_does_not_matter_and_new_rows_are_treated_alike(rng):
    p, order = posterior(rng, 300, 4), rng.permutation(300)
    found = apply_priors(p, Priors((5, 3, 1, 1)))
    shuffled = apply_priors(p[order], Priors((5, 3, 1, 1)))
    np.testing.assert_allclose(shuffled.probabilities, found.probabilities[order], atol=1e-5)
    np.testing.assert_array_equal(found.predict(p), found.probabilities)


def test_certain_rows_move_in_the_order_of_how_certain_they_are(rng):
    """In 4000 dims float32 holds only certainties; the row nearest the middle still goes first."""
    x = np.sort(rng.uniform(-1, 1, 400))
    distances = np.stack([np.abs(x + 1), np.abs(x - 1)], 1) * 10
    p = centre_probabilities(distances, 4000, 1.0)
    assert (p.astype(np.float32).max(1) == 1).mean() > 0.9
    c = apply_priors(p, Priors((0.9, 0.1))).probabilities.argmax(1)
    assert sorted(np.bincount(c)) == [40, 360]
    assert (np.diff(c) != 0).sum() == 1  # one cut along x


def test_rows_that_nothing_tells_apart_stay_together():
    hard = np.eye(2)[np.repeat([0, 1], [60, 40])]
    found = apply_priors(hard, Priors((0.2, 0.8)))
    np.testing.assert_array_equal(found.probabilities, hard)
    assert found.facts["priors"]["sizes"]["reached"] == [60, 40]
    tied = np.where(hard == 1, 0.9, 0.1)
    found = apply_priors(tied, Priors((0.2, 0.8)))
    np.testing.assert_array_equal(found.probabilities.argmax(1), hard.argmax(1))


def test_sizes_go_to_the_clusters_that_they_fit(rng):
    p = posterior(rng, 600, 3)
    p[:, 2] *= 6
    p[:, 0] *= 2
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(matched(np.log(p), np.array([0.1, 0.6, 0.3])), [0.3, 0.1, 0.6])


def test_uniform_and_effective_number(rng):
    p = posterior(rng, 300, 3)
    p = p * [1, 20, 200]
    p /= p.sum(1, keepdims=True)
    assert sizes(apply_priors(p, Priors("uniform")).probabilities).tolist() == [100] * 3
    had = effective_clusters(p.argmax(1), 3)
    assert had < 2
    for wanted in (1.0, 2.5, 3.0):
        q = apply_priors(p, Priors(min_effective=wanted)).probabilities
        got = effective_clusters(q.argmax(1), 3)
        assert max(had, wanted) - 1e-9 <= got <= max(had, wanted) + 0.05
    np.testing.assert_array_equal(
        apply_priors(p, Priors(min_effective=1.0)).probabilities, p.astype(np.float32)
    )


def test_equal_sizes_are_mixed_in_as_little_as_it_takes():
    shares = np.array([0.9, 0.06, 0.04])
    counts, weight = spread_to(shares, 1000, 2.0)
    assert effective_clusters(np.repeat(range(3), counts), 3) >= 2
    less, _ = spread_to(shares, 1000, 1.99)
    assert less[0] > counts[0]
    assert 0 < weight < 1
    assert spread_to(shares, 1000, 0)[1] == 0
    assert spread_to(shares, 1000, 3)[0].tolist() == [334, 333, 333]


# --- row order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["segments", "smooth"])
def test_row_order_repairs_what_single_rows_get_wrong(rng, how):
    y = np.repeat([2, 0, 1], [120, 50, 230])
    p = softmax(1.2 * np.eye(3)[y] + rng.standard_normal((400, 3)))
    found = apply_priors(p, Priors(row_order=how))
    assert np.mean(p.argmax(1) == y) < 0.85
    assert np.mean(found.probabilities.argmax(1) == y) > 0.96
    assert found.facts["row_order"]["significant"] is True


def test_segments_of_features_need_no_head_that_is_right(rng):
    y = np.repeat([2, 0, 1], [120, 50, 230])
    x = 2 * rng.standard_normal((3, 5))[y] + rng.standard_normal((400, 5))
    p = softmax(rng.standard_normal((400, 3)) + 0.3 * np.eye(3)[y])
    found = apply_priors(p, Priors(row_order="segments"), x)
    assert np.mean(partition(found.probabilities) == (y[:, None] == y)) > 0.98
    order = found.facts["priors"]["order"]
    assert order["of"] == "features"
    assert np.abs(np.array(order["starts"]) - [0, 120, 170]).max() <= 3
    assert 0 <= order["posteriors_agree"] <= 1


# --- pairs ----------------------------------------------------------------------------------------


def test_rows_that_must_be_together_share_the_product_of_their_posteriors(rng):
    p = posterior(rng, 20)
    q = apply_priors(p, Priors(must_link=((0, 1), (1, 2), (7, 8)))).probabilities
    shared = p[0] * p[1] * p[2]
    np.testing.assert_allclose(q[:3], [shared / shared.sum()] * 3, rtol=1e-4)
    np.testing.assert_allclose(q[3:7], p[3:7], rtol=1e-4)
    assert q[7].tolist() == q[8].tolist()


def test_certainties_that_contradict_a_link_are_outvoted():
    p = np.eye(3)[[0, 1, 1, 2]]
    q = apply_priors(p, Priors(must_link=((0, 1), (1, 2)))).probabilities
    assert q.argmax(1).tolist() == [1, 1, 1, 2]


def test_cannot_links_are_kept_by_the_most_probable_assignment(rng):
    p = posterior(rng, 7)
    pairs = tuple({tuple(sorted(rng.choice(7, 2, False).tolist())) for _ in range(7)})
    allowed = [c for c in product(range(3), repeat=7) if not any(c[a] == c[b] for a, b in pairs)]
    if not allowed:
        with pytest.raises(InputError, match="cannot-link pairs"):
            apply_priors(p, Priors(cannot_link=pairs))
        return
    best = max(allowed, key=lambda c: np.log(p[np.arange(7), c]).sum())
    found = apply_priors(p, Priors(cannot_link=pairs))
    assert tuple(found.probabilities.argmax(1).tolist()) == best
    assert found.facts["priors"]["links"]["exact"] is True


def test_rows_that_tie_are_kept_apart():
    q = apply_priors(
        np.full((3, 3), 1 / 3), Priors(cannot_link=((0, 1), (1, 2), (0, 2)))
    ).probabilities
    assert sorted(q.argmax(1)) == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("k", "many"), [(2, 1500), (3, 400)])
def test_many_pairs_are_kept_too(rng, k, many):
    """True groups allow them all; a search over 400 rows is not exact, but it keeps every pair."""
    y = np.arange(400) % k
    a, b = rng.integers(0, 400, (2, many))
    pairs = tuple((int(i), int(j)) for i, j in zip(a, b, strict=True) if y[i] != y[j])
    p = softmax(np.eye(k)[y] + rng.standard_normal((400, k)))
    found = apply_priors(p, Priors(cannot_link=pairs, must_link=((0, k), (k, 2 * k))))
    c = found.probabilities.argmax(1)
    assert all(c[i] != c[j] for i, j in pairs)
    assert c[0] == c[k] == c[2 * k]
    assert np.mean(c == y) > np.mean(p.argmax(1) == y)


def test_contradictions_are_refused():
    p = np.full((4, 2), 0.5)
    for cannot, must in (
        (((0, 0),), ()),
        (((0, 2),), ((0, 1), (1, 2))),
        (((0, 1), (1, 2), (2, 0)), ()),
    ):
        with pytest.raises(InputError, match="cannot-link"):
            apply_priors(p, Priors(must_link=must, cannot_link=cannot))


# --- names ----------------------------------------------------------------------------------------


def test_anchors_change_names_and_not_who_is_together(rng):
    p = posterior(rng, 50, 4)
    c, wanted = p.argmax(1), np.array([2, 3, 1, 0])
    rows = [int(np.flatnonzero(c == j)[0]) for j in range(4)]
    anchors = tuple((r, int(wanted[c[r]])) for r in rows)
    found = apply_priors(p, Priors(anchors=anchors))
    np.testing.assert_array_equal(found.probabilities.argmax(1), wanted[c])
    np.testing.assert_allclose(np.sort(found.probabilities, 1), np.sort(p, 1), rtol=1e-5)
    np.testing.assert_array_equal(found.predict(p), found.probabilities)


def test_anchors_that_disagree_are_counted_and_the_majority_names(rng):
    p = np.eye(2)[[0, 0, 0, 0, 1, 1]] * 0.8 + 0.1
    found = apply_priors(p, Priors(anchors=((0, 1), (1, 1), (2, 0), (4, 0))))
    assert found.probabilities.argmax(1).tolist() == [1, 1, 1, 1, 0, 0]
    assert found.facts["priors"]["anchors"] == {"rows": 4, "agree": 3, "columns": [1, 0]}


def test_one_anchor_leaves_the_other_columns_where_they_are():
    p = np.eye(4)[[0, 1, 2, 3]] * 0.8 + 0.05
    found = apply_priors(p, Priors(anchors=((1, 1),)))
    np.testing.assert_allclose(found.probabilities, p, atol=1e-6)


def test_with_anchors_the_sizes_have_names(rng):
    p = unequal(rng)[0]
    anchors = ((int(np.flatnonzero(p[:, 0] > 0.9)[0]), 1),)  # the larger group is class 1
    for given in ((0.3, 0.7), (0.7, 0.3)):
        q = apply_priors(p, Priors(given, anchors=anchors)).probabilities
        assert sizes(q).tolist() == [int(1000 * g) for g in given]
        assert q[p[:, 0].argmax()].argmax() == 1


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"proportions": "equal"}, "uniform, free, or K positive"),
        ({"proportions": ()}, "K positive numbers"),
        ({"proportions": (1.0, 0.0)}, "positive"),
        ({"proportions": (1.0, float("nan"))}, "positive"),
        ({"proportions": (1.0, float("inf"))}, "positive"),
        ({"proportions": (0.5, 0.5)}, "K = 3"),
        ({"min_effective": 3.1}, "min_effective"),
        ({"min_effective": -1}, "min_effective"),
        ({"min_effective": float("nan")}, "min_effective"),
        ({"row_order": "sorted"}, "segments or smooth"),
        ({"must_link": ((0, 99),)}, "from 0 to 9"),
        ({"cannot_link": ((-1, 2),)}, "from 0 to 9"),
        ({"anchors": ((10, 0),)}, "from 0 to 9"),
        ({"anchors": ((0, 3),)}, "class of an anchor"),
        ({"anchors": ((0, 1), (0, 2))}, "of one class"),
    ],
)
def test_priors_that_fit_nothing_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        apply_priors(np.full((10, 3), 1 / 3), Priors(**settings))
