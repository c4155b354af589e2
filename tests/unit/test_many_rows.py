"""Ways that are taken above LARGE rows, with LARGE made small: each beside its plain twin."""

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from imclust.clustering import block_kmeans, blocks, dendrogram, effort
from imclust.clustering.block_kmeans import Centres, kmeans_in_blocks, one_pass, sum_of_squares
from imclust.clustering.blocks import each_block
from imclust.clustering.classifier import learn_clusters
from imclust.clustering.clusterers import CLUSTERERS, _base, auto, kmeans
from imclust.clustering.metrics import hungarian_accuracy
from imclust.clustering.neighbor_cells import neighbors_in_cells
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.reducers import pca
from imclust.clustering.reducers.pca import PCAConfig
from imclust.core import checks, shards
from imclust.core.npy import NpyRows, open_npy
from imclust.core.shards import in_parallel


def groups(n, k=4, d=16, seed=0, apart=4.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    x = apart * rng.standard_normal((k, d))[y] + rng.standard_normal((n, d))
    return x.astype(np.float32), y


def naive_pass(x, points):
    """Sums, counts and inertia of one step of Lloyd's, row by row in float64."""
    sums, counts, inertia = np.zeros_like(points), np.zeros(len(points), int), 0.0
    for row in x.astype(float):
        square = ((points - row) ** 2).sum(1)
        c = square.argmin()
        sums[c] += row
        counts[c] += 1
        inertia += square[c]
    return sums, counts, inertia


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_a_pass_equals_one_row_by_row(rng, dtype, offset):
    x = (groups(5000)[0] + offset).astype(dtype)
    points = x[rng.permutation(5000)[:6]].astype(float)
    centres = Centres(points, x[:100].mean(0, dtype=float))
    found = one_pass(x, centres)
    sums, counts, inertia = naive_pass(x, points)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.sums, sums, rtol=1e-12)
    assert found.score + sum_of_squares(x, centres) == pytest.approx(inertia, rel=1e-5)


def test_the_number_of_threads_changes_no_byte(monkeypatch):
    x = groups(20_000, k=9)[0]
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(shards, "threads", lambda threads=threads: threads)
        with threadpool_limits(threads):
            found.append(kmeans_in_blocks(x, 9, 2, 0))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].points, other.points)
        assert found[0].inertia == other.inertia


def test_a_centre_without_rows_goes_to_the_row_that_lies_farthest():
    x = np.concatenate([np.zeros((3000, 2)), np.full((2999, 2), 1.0), [[9.0, 9.0]]])
    centres = Centres(np.array([[0.0, 0.0], [1.0, 1.0], [50.0, 50.0]]), np.zeros(2))
    found = one_pass(x, centres, far=True)
    assert found.counts.tolist() == [3000, 3000, 0]
    np.testing.assert_array_equal(found.means()[2], [9.0, 9.0])


def test_kmeans_in_blocks_is_as_good_as_scikit_learn(rng, monkeypatch):
    from sklearn.cluster import KMeans

    monkeypatch.setattr(block_kmeans, "SAMPLE", 600)
    x = groups(6000, k=8, apart=1.0, seed=rng.integers(99))[0]
    ours = kmeans_in_blocks(x, 8, 10, 0)
    theirs = KMeans(8, n_init=10, random_state=0).fit(x)
    assert ours.inertia <= 1.005 * theirs.inertia_
    assert ours.inertia == pytest.approx(naive_pass(x, ours.points)[2], rel=1e-5)


@pytest.mark.parametrize("how", ["raw", "unit", "pca", "power", "white"])
def test_kmeans_of_many_rows_finds_the_groups_of_few(monkeypatch, how):
    x, y = groups(3000)
    few = kmeans.kmeans(x, 4, kmeans.KMeansConfig(prepare=how), 0)
    monkeypatch.setattr(kmeans, "LARGE", 1000)
    many = kmeans.kmeans(x, 4, kmeans.KMeansConfig(prepare=how), 0)
    assert hungarian_accuracy(few.labels, many.labels) > 0.99
    assert hungarian_accuracy(y, many.labels) > 0.98
    np.testing.assert_array_equal(many.predict(x), many.probabilities)
    again = pickle.loads(pickle.dumps(many.predict))
    np.testing.assert_array_equal(again(x[:9]).argmax(1), many.labels[:9])


def test_rows_on_the_disk_are_never_all_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(block_kmeans, "SAMPLE", 1000)
    monkeypatch.setattr(kmeans, "LARGE", 1000)
    with NpyRows(tmp_path / "x.npy", (60_000, 128), half=True) as file:
        for a in range(0, 60_000, 5000):
            file.write(a, groups(5000, d=128, seed=a)[0].astype(np.float16))
    x = open_npy(tmp_path / "x.npy")
    assert x.dtype == np.float16
    kmeans.kmeans(x[:2000], 4, kmeans.KMeansConfig(restarts=1), 0)  # imports
    tracemalloc.start()
    try:
        found = kmeans.kmeans(x, 4, kmeans.KMeansConfig(restarts=1), 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.probabilities.shape == (60_000, 4)
    assert peak < 60_000 * 128 * 2  # not even as they lie on the disk


def test_blocks_come_in_order_and_only_a_few_ahead(monkeypatch):
    monkeypatch.setattr(shards, "threads", lambda: 2)
    asked = []

    def slow(item):
        asked.append(item)
        return item

    found = in_parallel(range(1000), slow)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    assert len(asked) < 20
    found.close()
    x = np.arange(10.0)[:, None]
    assert [b.sum() for _, b in each_block(x, lambda b: b, block=4)] == [6, 22, 17]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_equal_rows_are_found_as_by_a_dictionary(rng, monkeypatch, dtype):
    x = rng.integers(0, 3, (700, 5)).astype(dtype)
    other = rng.integers(0, 2, (700, 2)).astype(np.float32)
    want = checks._distinct_by_dictionary([x, other])
    assert len(np.unique(want)) < 700
    np.testing.assert_array_equal(checks.distinct_rows([x, other]), want)
    monkeypatch.setattr(checks, "row_marks", lambda spaces: np.zeros(700, np.uint64))
    np.testing.assert_array_equal(checks.distinct_rows([x, other]), want)


def test_neighbours_in_cells_are_nearly_all_true_ones(rng):
    x = rng.standard_normal((4000, 12)).astype(np.float32)
    x[1000:1040] = x[1000]  # more copies than neighbours
    index, distance = neighbors_in_cells(x, 15)
    true, apart = nearest_neighbors(x, x, 15, same=True)
    assert (index != np.arange(4000)[:, None]).all()
    assert all(len(set(row)) == 15 for row in index.tolist())
    assert (distance <= apart * 1.001 + 1e-3).mean() > 0.98
    rest = np.r_[0:1000, 1040:4000]
    assert (index[rest][:, :, None] == true[rest][:, None]).any(1).mean() > 0.98
    all_of_them = neighbors_in_cells(x, 15, recall=2.0)
    np.testing.assert_allclose(all_of_them[1], apart, atol=5e-3)  # copies come in any order


def test_neighbours_of_many_rows_are_sought_in_cells(rng, monkeypatch):
    x = rng.standard_normal((500, 3)).astype(np.float32)
    from imclust.clustering import neighbors

    monkeypatch.setattr(neighbors, "LARGE", 400)
    monkeypatch.setattr(neighbors, "neighbors_in_cells", lambda rows, k: ("cells", k))
    assert nearest_neighbors(x, x, 7, same=True) == ("cells", 7)
    assert nearest_neighbors(x[:5], x, 7)[0].shape == (5, 7)


@pytest.mark.parametrize("k", [2, 5])
def test_a_classifier_learns_groups_and_nothing_of_noise(k):
    x, y = groups(800, k=k)
    learned = learn_clusters(x[:400], y[:400], k + 1)
    p = learned.posteriors(x[400:])
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    assert (p[:, k] == 0).all()  # no row was of that cluster
    assert (p.argmax(1) == y[400:]).mean() > 0.98
    by_chance = learn_clusters(x[:400], np.random.default_rng(0).permutation(y[:400]), k)
    assert (by_chance.posteriors(x[400:]).argmax(1) == y[400:]).mean() < 0.8


def test_auto_of_many_rows_learns_from_a_sample(monkeypatch):
    x, y = groups(1500, k=3)
    quick = replace(effort.EFFORTS["quick"], rows=300)
    monkeypatch.setitem(effort.EFFORTS, "quick", quick)
    entry = CLUSTERERS["auto"]
    few = entry.method(x, 3, entry.config(effort="quick"), 0)
    monkeypatch.setattr(auto, "LARGE", 1000)
    monkeypatch.setattr(_base, "LARGE", 1000)
    many = entry.method(x, 3, entry.config(effort="quick"), 0)
    assert many.probabilities.shape == (1500, 3)
    assert hungarian_accuracy(few.labels, many.labels) > 0.98
    assert hungarian_accuracy(y, many.predict(groups(1500, k=3)[0]).argmax(1)) > 0.98
    assert many.predict.func.__module__ == "imclust.clustering.classifier"


@pytest.mark.parametrize("sharp", [False, True])
def test_what_is_told_of_every_image_is_told_in_pieces(rng, monkeypatch, sharp):
    x, y = groups(900)
    p = np.eye(4)[y] if sharp else 0.6 * np.eye(4)[y] + 0.4 * rng.dirichlet(np.ones(4), 900)
    whole = dendrogram.per_image(p, x)
    monkeypatch.setattr(dendrogram, "BLOCK", 250)
    pieces = dendrogram.per_image(p, x)
    for name in ("confidence", "runner_up", "runner_up_probability", "distance"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-9)


def test_a_sample_of_all_rows_is_all_of_them():
    assert blocks.sample_rows(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    few = blocks.sample_rows(1000, 10, 3)
    assert (np.diff(few) > 0).all()
    assert len(few) == 10


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_pca_in_blocks_is_that_of_all_rows(monkeypatch, whiten, dtype):
    x = (groups(9000, d=24)[0] + 30).astype(dtype)
    cfg = PCAConfig(3, whiten=whiten)
    plain = pca.pca(x.astype(np.float32), cfg, 0)
    monkeypatch.setattr(pca, "LARGE", 1000)
    found = pca.pca(x, cfg, 0)
    assert found.embedding is None
    assert found.facts == plain.facts
    np.testing.assert_allclose(found.of_fitted(x), plain.embedding, atol=2e-3)
    np.testing.assert_allclose(found.predict(x[:9]), plain.predict(x[:9]), atol=2e-3)


def test_pca_in_blocks_holds_no_more_than_blocks(monkeypatch, tmp_path):
    monkeypatch.setattr(pca, "LARGE", 1000)
    np.save(tmp_path / "x.npy", groups(60_000, d=64)[0])
    x = open_npy(tmp_path / "x.npy")
    tracemalloc.start()
    pca.pca(x, PCAConfig(8), 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 3
