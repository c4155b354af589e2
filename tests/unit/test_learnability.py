"""TURTLE's score: how well linear classifiers learn a labelling."""

import numpy as np
import pytest

from imclust.clustering.learnability import FOLDS, RIDGE, learnability


def groups(rng, n=120, k=4, dims=6, apart=6.0):
    y = np.arange(n) % k
    centres = apart * rng.standard_normal((k, dims))
    return (centres[y] + rng.standard_normal((n, dims))).astype(np.float32), y


def literal(views, labels):
    """One ridge regression a fold and view, on the rows themselves."""
    n, k, right = len(labels), labels.max() + 1, 0
    fold = np.random.default_rng(0).permutation(n) % min(FOLDS, n)
    for view in views:
        rows = np.hstack([view - view.mean(0), np.ones((n, 1))]).astype(np.float64)
        ridge = RIDGE * (rows**2).sum() / rows.shape[1]
        for f in range(fold.max() + 1):
            kept = rows[fold != f]
            hot = np.eye(k)[labels[fold != f]]
            left = kept.T @ kept + ridge * np.eye(rows.shape[1])
            weights = np.linalg.inv(left) @ kept.T @ hot
            for i in np.flatnonzero(fold == f):
                right += int((rows[i] @ weights).argmax() == labels[i])
    return right / (n * len(views))


@pytest.mark.parametrize("n", [7, 61, 120])
def test_equals_a_literal_loop_of_ridge_regressions(rng, n):
    x, y = groups(rng, n, 3, apart=0.7)
    z = rng.standard_normal((n, 15)).astype(np.float32)
    labellings = [y, rng.permutation(y), rng.integers(0, 5, n), y // 2]
    got = learnability([x, z], labellings)
    np.testing.assert_allclose(got, [literal([x, z], c) for c in labellings], atol=1e-9)


def test_groups_are_learnable_and_random_labels_are_guessed(rng):
    x, y = groups(rng, 400)
    right, wrong = learnability([x], [y, rng.integers(0, 4, 400)])
    assert right > 0.97
    assert wrong == pytest.approx(1 / 4, abs=0.1)


def test_labels_in_row_order_are_judged_alike(rng):
    x, y = groups(rng, 200)
    order = np.argsort(y, kind="stable")
    assert learnability([x[order]], [y[order]])[0] > 0.97


def test_a_labelling_is_judged_by_itself(rng):
    x, y = groups(rng, apart=0.5)
    others = [rng.integers(0, k, 120) for k in (2, 7)]
    assert learnability([x], [others[0], y, others[1]])[1] == learnability([x], [y])[0]


def test_a_view_that_knows_nothing_halves_the_way_to_chance(rng):
    x, y = groups(rng, 400)
    noise = rng.standard_normal(x.shape).astype(np.float32)
    alone = [learnability([v], [y])[0] for v in (x, noise)]
    assert learnability([x, noise], [y])[0] == pytest.approx(np.mean(alone))
