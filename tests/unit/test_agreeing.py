"""One clustering out of many."""

from itertools import permutations

import numpy as np
import pytest
from scipy.sparse.linalg import ArpackError
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from imclust.clustering.ensembles import (
    SHRINKAGE,
    align_labels,
    coassociation_consensus,
    lda_self_training,
    vote_shares,
)
from imclust.clustering.metrics import ari
from imclust.clustering.preprocessing import unit_rows


def noisy_runs(rng, n=90, k=3, runs=9, wrong=0.2):
    """A partition, and runs that misplace a share of rows and name the clusters as they like."""
    y = np.arange(n) % k
    return y, [
        rng.permutation(k)[np.where(rng.random(n) < wrong, rng.integers(0, k, n), y)]
        for _ in range(runs)
    ]


def literal(runs, k, seed):
    """Spectral clustering of the co-association matrix, each pair over its cluster's size."""
    n = len(runs[0])
    together = np.zeros((n, n))
    for c in runs:
        for i in range(n):
            for j in range(n):
                if c[i] == c[j]:
                    together[i, j] += 1 / (c == c[i]).sum()
    degree = together.sum(1)
    np.testing.assert_allclose(degree, len(runs))  # so it is normalised already
    vectors = np.linalg.eigh(together)[1][:, -k:]
    return KMeans(k, n_init=10, random_state=seed).fit_predict(unit_rows(vectors))


@pytest.mark.parametrize("k", [2, 3, 5])
def test_shared_groups_are_what_most_runs_share(rng, k):
    y, runs = noisy_runs(rng, k=k)
    found = coassociation_consensus(runs, k, 0)
    assert ari(y, found) > 0.95
    assert ari(y, found) > max(ari(y, run) for run in runs)
    assert found.dtype == np.int64


@pytest.mark.parametrize("k", [2, 3, 4])
def test_shared_groups_equal_spectral_clustering_of_the_co_association(rng, k):
    _, runs = noisy_runs(rng, 48, k, 6, 0.15)
    runs.append(runs[0] // 2)
    assert ari(coassociation_consensus(runs, k, 1), literal(runs, k, 1)) == pytest.approx(1)


@pytest.mark.parametrize("k", [2, 4, 12])
@pytest.mark.parametrize("count", [1, 2, 8])
def test_runs_that_agree_throughout_give_what_they_say(rng, k, count):
    y = rng.permutation(np.arange(240) % k)
    runs = [rng.permutation(k)[y] for _ in range(count)]
    assert ari(y, coassociation_consensus(runs, k, 0)) == 1


def test_a_small_group_counts_as_much_as_a_large_one(rng):
    y = np.repeat([0, 1, 2], [80, 6, 6])
    runs = [np.where(y == 0, rng.integers(0, 2, 92), y + 1) for _ in range(5)]
    found = coassociation_consensus(runs, 3, 0)
    assert ari(y, found) == 1
    assert ari(found, literal(runs, 3, 0)) == 1


def test_groups_of_finer_runs_are_the_coarse_ones(rng):
    y = np.arange(120) % 3
    runs = [y * 2 + rng.integers(0, 2, 120) for _ in range(6)]
    assert ari(y, coassociation_consensus(runs, 3, 0)) == 1


def test_alignment_equals_trying_every_naming(rng):
    reference, labels = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    best = max((np.array(p)[labels] == reference).mean() for p in permutations(range(4)))
    found = align_labels(labels, reference, 4)
    assert (found == reference).mean() == pytest.approx(best)
    assert ari(found, labels) == pytest.approx(1)
    for p in permutations(range(4)):
        np.testing.assert_array_equal(align_labels(np.array(p)[reference], reference, 4), reference)


def test_votes_are_shares_of_the_runs(rng):
    y, runs = noisy_runs(rng)
    share = vote_shares(runs, y, 3)
    want = np.zeros((90, 3))
    for run in runs:
        for i, c in enumerate(align_labels(run, y, 3)):
            want[i, c] += 1 / len(runs)
    np.testing.assert_allclose(share, want)
    np.testing.assert_allclose(share.sum(1), 1)
    assert (share.argmax(1) == y).mean() > 0.95


def corners(rng, k=3):
    """Groups none of which lies between others: (30 k, 8) and their numbers."""
    y = np.repeat(np.arange(k), 30)
    centres = 12 * np.linalg.qr(rng.standard_normal((8, k)))[0].T
    return centres[y] + rng.standard_normal((30 * k, 8)), y


def with_errors(rng, y, count=6):
    labels, rows = y.copy(), rng.permutation(len(y))[:count]
    labels[rows] = (labels[rows] + 1) % (y.max() + 1)
    return labels


@pytest.mark.parametrize("trusted", [True, False])
def test_retraining_mends_wrong_labels_of_blobs(rng, trusted):
    x, y = corners(rng)
    labels = with_errors(rng, y)
    trust = (labels == y).astype(float) if trusted else None
    np.testing.assert_array_equal(lda_self_training(x, labels, 3, trust), y)


@pytest.mark.parametrize("k", [3, 5, 8])
def test_retraining_keeps_right_labels(rng, k):
    x, y = corners(rng, k)
    np.testing.assert_array_equal(lda_self_training(x, y, k), y)


def test_retraining_mends_two_clusters_in_one_direction(rng):
    y = np.arange(80) % 2
    x = rng.standard_normal((80, 5)) + 6 * y[:, None]
    np.testing.assert_array_equal(lda_self_training(x, with_errors(rng, y), 2), y)


def test_too_few_rows_are_left_alone(rng):
    labels = np.arange(9) % 3
    assert lda_self_training(rng.standard_normal((9, 4)), labels, 3) is labels


def test_retraining_never_loses_a_cluster(rng):
    labels = rng.permutation(np.arange(60) % 5)
    assert len(set(lda_self_training(rng.standard_normal((60, 4)), labels, 5).tolist())) == 5


def literal_retrained(rows, labels, k):
    """The adapter on the columns as they are, however many."""
    for _ in range(4):
        adapter = LinearDiscriminantAnalysis("eigen", shrinkage=SHRINKAGE, n_components=k - 1)
        projected = adapter.fit(rows, labels).transform(rows)
        projected = unit_rows(projected) if k > 2 else projected
        means = np.array([projected[labels == c].mean(0) for c in range(k)])
        found = KMeans(k, init=means, n_init=1).fit_predict(projected)
        if len(np.unique(found)) < k or (found == labels).all():
            return labels
        labels = found
    return labels


@pytest.mark.parametrize("k", [2, 3])
def test_fewer_rows_than_columns_learn_the_same(rng, k):
    y = np.arange(50) % k
    x = rng.standard_normal((50, 120)) + 0.6 * rng.standard_normal((k, 120))[y]
    labels = with_errors(rng, y, 12)
    np.testing.assert_array_equal(lda_self_training(x, labels, k), literal_retrained(x, labels, k))


def test_a_consensus_whose_eigenvectors_are_not_found_step_by_step_is_solved_at_once(
    rng, monkeypatch
):
    truth = np.repeat(np.arange(4), 60)
    runs = [np.where(rng.random(240) < 0.1, rng.integers(0, 4, 240), truth) for _ in range(5)]
    wanted = coassociation_consensus(runs, 4, seed=0)

    def stuck(*_, **__):
        raise ArpackError(3)

    monkeypatch.setattr("scipy.sparse.linalg.svds", stuck)
    assert ari(wanted, coassociation_consensus(runs, 4, seed=0)) == 1
