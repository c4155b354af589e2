import numpy as np
import pytest

from imclust.clustering.metrics import effective_clusters
from imclust.core.errors import InputError
from imclust.training.self_labels import balanced_weights, confident_rows


def naive_confident(p, share):
    """The rule read aloud; no ties in p."""
    chosen = []
    for c in range(p.shape[1]):
        mine = sorted((i for i in range(len(p)) if p[i].argmax() == c), key=lambda i: -p[i].max())
        chosen += mine[: -int(-share * len(mine) // 1)]
    return sorted(chosen)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 1.0])
def test_confident_rows_are_the_top_share_of_every_cluster(rng, share):
    p = rng.dirichlet(np.ones(4), 200)
    rows = confident_rows(p, share, 0)
    assert rows.tolist() == naive_confident(p, share)
    assert set(p[rows].argmax(1)) == set(p.argmax(1))


def test_a_small_and_unsure_cluster_keeps_rows():
    p = np.array([[0.99, 0.01]] * 98 + [[0.4, 0.6]] * 2)
    rows = confident_rows(p, 0.5, 0)
    assert (p[rows].argmax(1) == 1).sum() == 1


def test_equal_confidences_are_drawn_by_seed_and_not_by_position():
    p = np.tile([1.0, 0.0], (1000, 1))
    a, b, c = (confident_rows(p, 0.5, s) for s in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert 200 < (a < 500).sum() < 300


@pytest.mark.parametrize("share", [0, -1, 1.1, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(InputError, match="share"):
        confident_rows(np.eye(2), share, 0)


def test_every_class_that_has_rows_weighs_the_same():
    y = np.array([0] * 80 + [1] * 15 + [3] * 5)
    w = balanced_weights(y, 4)
    assert w[2] == 0
    totals = [w[y][y == c].sum() for c in (0, 1, 3)]
    assert totals == pytest.approx([100 / 3] * 3)
    assert w[y].mean() == pytest.approx(1)


def test_effective_clusters_runs_from_one_to_k():
    assert effective_clusters(np.arange(30) % 5, 5) == pytest.approx(5)
    assert effective_clusters(np.zeros(30, int), 5) == pytest.approx(1)
    halves = effective_clusters(np.arange(30) % 2, 5)
    assert halves == pytest.approx(2)
