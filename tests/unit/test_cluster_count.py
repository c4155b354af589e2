import numpy as np
import pytest
from scipy.sparse import csr_array

from imclust.clustering.metrics import ari, cosine_silhouette
from imclust.clustering.n_clusters import (
    COUNTED,
    CRITERIA,
    coding_length,
    detrended_zscore,
    eigengaps,
    estimate_k,
    modularity,
    pooled_silhouette,
    prediction_strength,
    principal,
)
from imclust.clustering.neighbor_graph import joint_graph, spectral_labels, top_eigenvectors
from imclust.core.errors import InputError
from imclust.report import plots


def groups(rng, k, n=400, dims=12, apart=4.0):
    y = np.arange(n) % k
    centres = apart * rng.standard_normal((k, dims))
    return (centres[y] + rng.standard_normal((n, dims))).astype(np.float32), y


def test_coding_length_equals_a_literal_loop(rng):
    z, c = groups(rng, 3, 60, 4)
    n, d, eps, want = 60, 4, 0.1, 0.0
    for k in range(3):
        gram, size = np.zeros((d, d)), 0
        for i in range(n):
            if c[i] == k:
                gram += np.outer(z[i].astype(float), z[i].astype(float))
                size += 1
        det = np.linalg.det(np.eye(d) + d / (eps * size) * gram)
        want += (size + d) / 2 * np.log(det) + size * -np.log(size / n)
    assert coding_length(z, c, eps) == pytest.approx(want / n)


def test_spectrum_equals_the_dense_laplacian(rng):
    x, _ = groups(rng, 4, 300, apart=0.8)
    graph = joint_graph([x], 10)
    dense = np.linalg.eigvalsh(np.eye(300) - graph.toarray())
    values, vectors = top_eigenvectors(graph, 12)
    np.testing.assert_allclose(1 - values, dense[:12], atol=1e-5)
    np.testing.assert_allclose(graph @ vectors, vectors * values, atol=1e-3)
    ks = np.arange(2, 11)
    gaps = [np.log(max(dense[k], 1e-3) / max(dense[k - 1], 1e-3)) for k in ks]
    smooth = [
        (gaps[max(i - 1, 0)] + 2 * gaps[i] + gaps[min(i + 1, len(gaps) - 1)]) / 4
        for i in range(len(gaps))
    ]
    np.testing.assert_allclose(eigengaps(values, ks), smooth, atol=1e-2)


def test_separate_groups_share_the_eigenvalue_one_and_none_is_missed(rng):
    x, y = groups(rng, 20, 1000, apart=30.0)
    values, vectors = top_eigenvectors(joint_graph([x], 8), 22)
    assert (values > 1 - 1e-6).sum() == 20
    assert ari(y, spectral_labels(vectors, 20)) == 1


def test_graph_is_the_mean_of_normalised_ones_and_symmetric(rng):
    x, _ = groups(rng, 3, 100)
    z = rng.standard_normal((100, 5)).astype(np.float32)
    both = joint_graph([x, 1000 * z], 7).toarray()
    mean = (joint_graph([x], 7).toarray() + joint_graph([z], 7).toarray()) / 2
    np.testing.assert_allclose(both, mean, atol=1e-5)
    np.testing.assert_allclose(both, both.T)


def test_modularity_equals_newmans_double_sum(rng):
    a = rng.random((20, 20)) * (rng.random((20, 20)) < 0.3)
    a = a + a.T
    c = np.arange(20) % 3
    m, d = a.sum(), a.sum(1)
    want = sum(a[i, j] - d[i] * d[j] / m for i in range(20) for j in range(20) if c[i] == c[j])
    assert modularity(csr_array(a), c) == pytest.approx(want / m)


def test_reproduced_information_rewards_splits_that_are_found_again(rng):
    y = np.arange(4000) % 8
    assert prediction_strength(y, y) == pytest.approx(np.log(8), abs=0.02)
    assert (
        prediction_strength(y, y)
        > prediction_strength(y // 2, y // 2)
        > prediction_strength(y // 4, y // 4)
    )
    odd = rng.integers(0, 8, 4000)
    assert prediction_strength(y, odd) == pytest.approx(-np.log(8), abs=0.02)
    assert prediction_strength(y * 8 + odd, y * 8 + rng.permutation(odd)) < prediction_strength(
        y, y
    )


def test_principal_directions_are_whitened_halfway(rng):
    x = rng.standard_normal((500, 6)) * [9, 4, 1, 1, 1, 0]
    assert principal(x, 64, 0.5).shape == (500, 5)
    np.testing.assert_allclose(np.linalg.norm(principal(x, 3, 0.5), axis=1), 1, rtol=1e-5)
    tall, wide = principal(x, 4, 0.5), principal(np.hstack([x, np.zeros((500, 600))]), 4, 0.5)
    np.testing.assert_allclose(np.abs(tall), np.abs(wide), atol=1e-3)


def test_silhouette_is_pooled_over_spaces(rng):
    x, y = groups(rng, 3)
    z = rng.standard_normal((400, 5))
    want = (cosine_silhouette(x, y) + cosine_silhouette(z, y)) / 2
    assert pooled_silhouette([x, z], y) == pytest.approx(want)


def test_standing_is_blind_to_scale_and_prefers_a_peak_to_the_end_of_a_slope():
    ks = np.arange(2, 31)
    slope = -np.log(ks)
    peak = slope + np.where(ks == 12, 1.5, 0)
    np.testing.assert_allclose(detrended_zscore(peak, ks), detrended_zscore(7 * peak + 3, ks))
    assert ks[detrended_zscore(peak, ks).argmax()] == 12
    assert ks[peak.argmax()] == 2
    np.testing.assert_allclose(detrended_zscore(np.ones(29), ks), 0, atol=1e-12)


@pytest.mark.parametrize("k", [3, 5, 9])
def test_finds_the_number_of_made_groups(rng, k):
    x, _ = groups(rng, k, 450)
    vote = estimate_k([x], 0)
    assert vote.k == k
    assert vote.clear
    assert set(vote.favourites) == set(CRITERIA)
    assert [row["k"] for row in vote.table] == list(range(2, 31))
    assert max(vote.table, key=lambda row: row["vote"])["k"] == k


def test_same_seed_same_vote(rng):
    x, _ = groups(rng, 4, 300, apart=1.0)
    assert estimate_k([x, x[:, :4]], 3, 2, 8) == estimate_k([x, x[:, :4]], 3, 2, 8)


def test_says_when_no_number_is_well_supported(rng):
    vote = estimate_k([rng.standard_normal((600, 20)).astype(np.float32)], 0)
    assert not vote.clear
    assert max(row["silhouette"] for row in vote.table) < 0.15
    assert max(row["agreement"] for row in vote.table) < 0.5


@pytest.mark.parametrize(
    ("spaces", "low", "high", "words"),
    [
        ([], 2, 30, "at least one"),
        ([np.ones((50, 3))], 2, 30, "at least 100; got 50"),
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

    vote = estimate_k([groups(rng, 4, 200)[0]], 0, 2, 9)
    plots.k_evidence(vote.table, vote.favourites, COUNTED, vote.k, tmp_path / "k.png")
    pixels = np.asarray(Image.open(tmp_path / "k.png").convert("L"))
    assert pixels.std() > 5
