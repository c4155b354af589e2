"""What `auto` is made of: layouts, trees, heads, evidence, the choice, and levels of effort."""

import json
import pickle
from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from imclust import Priors, cluster_latents
from imclust.clustering import auto_search, heads, metrics
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._average import average_clusterings
from imclust.clustering.clusterers._base import Clustering, run_head
from imclust.clustering.clusterers.auto import AutoConfig, auto
from imclust.clustering.effort import EFFORTS, LEVELS, effort_of, seconds_of
from imclust.clustering.ensembles import align_labels, coassociation_consensus
from imclust.clustering.evidence import NAMES, distances, evidence, purity, silhouettes
from imclust.clustering.graph_layout import graph_layout
from imclust.clustering.graph_merging import merge_by_graph
from imclust.clustering.learnability import learnability, learned_by_cluster
from imclust.clustering.linkage import linkage_tree
from imclust.clustering.metrics import ari, pairwise_ari
from imclust.clustering.n_clusters import estimate_k
from imclust.clustering.neighbor_graph import joint_graph, top_eigenvectors
from imclust.clustering.selection import Candidate
from imclust.clustering.selector import (
    COLUMNS,
    Pool,
    agreements,
    choose,
    design,
    model,
    standings,
)
from imclust.clustering.stability import stability
from imclust.clustering.views import View
from imclust.core import shards
from imclust.core.errors import InputError

SKEWED = (130, 40, 14, 8)


def groups(rng, sizes, dims=8, apart=5.0):
    y = np.repeat(np.arange(len(sizes)), sizes)
    centres = apart * rng.standard_normal((len(sizes), dims))
    x = (centres[y] + rng.standard_normal((len(y), dims))).astype(np.float32)
    order = rng.permutation(len(y))
    return x[order], y[order]


@pytest.fixture(scope="module")
def view():
    x, y = groups(np.random.default_rng(3), SKEWED)
    return View.of([x], (0,), "pca"), y


def test_the_layout_keeps_neighbours_together_and_gives_the_same_bytes(rng):
    x, y = groups(rng, (30, 30, 30))
    graph = joint_graph([x], 8)
    start = top_eigenvectors(graph, 3)[1]
    z, again = (graph_layout(graph, start, 5) for _ in range(2))
    assert z.tobytes() == again.tobytes()
    assert z.tobytes() != graph_layout(graph, start, 6).tobytes()
    apart = distances(z)
    np.fill_diagonal(apart, np.inf)
    assert (y[apart.argmin(1)] == y).mean() > 0.97


@pytest.mark.parametrize("method", ["ward", "average"])
def test_cuts_of_a_tree_equal_scipys(rng, method):
    x = rng.standard_normal((60, 4)).astype(np.float32)
    tree = linkage_tree(x, method, 0)
    for k in (1, 2, 7, 60):
        want = fcluster(linkage(x.astype(float), method), k, "maxclust")
        assert ari(want, tree.cut(k)) == 1
        assert len(np.unique(tree.cut(k))) == k


def test_small_branches_join_their_neighbours(rng):
    x, y = groups(rng, (60, 60))
    far = np.vstack([x, [[99.0] * 8, [-99.0] * 8]]).astype(np.float32)
    tree = linkage_tree(far, "average", 0)
    assert ari(y, tree.cut(2)[:120]) < 0.1
    assert ari(y, tree.cut_without_small(2)[:120]) == 1
    alone = linkage_tree(rng.standard_normal((6, 2)).astype(np.float32), "average", 0)
    assert len(np.unique(alone.cut_without_small(5))) == 5


def test_many_rows_go_with_the_nearest_of_a_sample(rng, monkeypatch):
    monkeypatch.setattr("imclust.clustering.linkage.ANCHORS", 50)
    x, y = groups(rng, (80, 80, 80))
    tree = linkage_tree(x, "ward", 0)
    assert len(tree.merges) == 49
    assert ari(y, tree.cut(3)) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["kmeans", "spectral", "layout ward", "graph merge"])
def test_hardly_any_rows_that_differ_are_no_error(name):
    """Copies of one image, and one other: fewer kinds than small clusters are asked for."""
    rows = np.repeat([[0.0, 1.0, 2.0]], 40, axis=0).astype(np.float32)
    rows[0] += 5
    labels = heads.HEADS[name](View.of([rows], (0,), "power", 0), 3, 0)
    assert labels.shape == (40,)
    assert labels.max() < 3


@pytest.mark.parametrize("name", list(heads.HEADS))
def test_every_head_finds_clear_groups(view, name):
    labels = heads.HEADS[name](view[0], 4, 0)
    assert labels.dtype == np.int64
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]
    least = (
        0.3
        if name in ("kmeans", "layout kmeans", "diffusion", "scan", "layout ward", "layout mixture")
        else 0.9
    )
    assert ari(view[1], labels) > least


def test_merges_on_the_graph_equal_a_literal_loop(rng):
    a = rng.random((30, 30)) * (rng.random((30, 30)) < 0.4)
    a = a + a.T
    labels = np.arange(30) % 8
    groups_ = {i: [i] for i in range(8)}
    while len(groups_) > 3:

        def rate(p):
            rows, others = (np.isin(labels, groups_[i]) for i in p)
            return a[np.ix_(rows, others)].sum() / (a[rows].sum() * a[others].sum())

        p, q = max(((p, q) for p in groups_ for q in groups_ if p < q), key=rate)
        groups_[p] += groups_.pop(q)
    want = np.array([next(g for g, v in groups_.items() if c in v) for c in labels])
    assert ari(want, merge_by_graph(labels, csr_array(a), 3)) == 1


def test_purity_equals_a_literal_sum(rng):
    a = rng.random((20, 20)) * (rng.random((20, 20)) < 0.4)
    a = a + a.T
    c = np.arange(20) % 3
    shares = [a[c == k][:, c == k].sum() / a[c == k].sum() for k in range(3)]
    total = sum(a[c == k][:, c == k].sum() for k in range(3)) / a.sum()
    chance = sum((a[c == k].sum() / a.sum()) ** 2 for k in range(3))
    want = (total, np.mean(shares), min(shares), (total - chance) / (1 - chance), total - chance)
    np.testing.assert_allclose(purity(csr_array(a), c), want)


def test_silhouettes_equal_scikit_learns(rng):
    from sklearn.metrics import silhouette_samples

    x, _ = groups(rng, (20, 10, 5), apart=1.0)
    runs = [np.arange(35) % 4, np.where(np.arange(35) == 3, 1, 0)]
    for got, c in zip(silhouettes(distances(x), runs), runs, strict=True):
        each = silhouette_samples(x.astype(float), c)
        means = np.mean([each[c == k].mean() for k in np.unique(c)])
        np.testing.assert_allclose(got, [each.mean(), means], atol=1e-4)


def test_learned_by_cluster_is_learnability_and_its_mean_over_clusters(rng):
    x, y = groups(rng, SKEWED, apart=0.7)
    runs = [y, rng.permutation(y)]
    whole, macro = learned_by_cluster([x, x[:, :3]], runs)
    np.testing.assert_allclose(whole, learnability([x, x[:, :3]], runs))
    assert macro[0] < whole[0]
    even = np.arange(len(y)) % 4
    np.testing.assert_allclose(*learned_by_cluster([x], [even]), atol=0.02)


def test_agreement_in_blocks_is_agreement(rng, monkeypatch):
    runs = [rng.integers(0, k, 50) for k in (2, 5, 9, 3)]
    whole = pairwise_ari(runs)
    monkeypatch.setattr(metrics, "TABLE", 40)
    np.testing.assert_allclose(pairwise_ari(runs), whole)
    np.testing.assert_allclose(whole[0], [ari(runs[0], r) for r in runs], atol=1e-12)


def pool_of(view, y, runs, names):
    found = evidence(runs, [view.name] * len(runs), [view], np.arange(len(y)), 0)
    views = [view.name] * len(runs)
    return Pool(found.table, pairwise_ari(runs), names, views, 4, len(y))


def test_the_choice_prefers_skewed_truth_to_an_even_split_and_to_noise(view, rng):
    space, y = view
    even = np.argsort(np.argsort(space.rows[:, 0])) * 4 // len(y)
    noise = rng.permutation(y)
    slips = np.where(rng.random(len(y)) < 0.05, rng.integers(0, 4, len(y)), y)
    runs = [even, noise, y, slips]
    names = ["kmeans", "spectral", "layout average", "layout hdbscan"]
    pool = pool_of(space, y, runs, names)
    candidates = [Candidate(n, space.name, r, whole=r) for n, r in zip(names, runs, strict=True)]
    choice = choose(candidates, pool)
    assert choice.head == "layout average"
    assert ari(y, choice.labels) == 1
    assert candidates[2].score == max(c.score for c in candidates) == choice.score
    assert candidates[1].score == min(c.score for c in candidates)
    assert 0 <= choice.ari <= 1
    assert choice.accuracy > 0.7


def test_known_even_sizes_bring_evenness_back(view):
    space, y = view
    even = np.arange(len(y)) % 4
    pool = pool_of(space, y, [y, even], ["layout average", "kmeans"])
    assert standings(pool)[0] > standings(pool)[1]
    assert np.diff(standings(pool, even=True)) > np.diff(standings(pool))


def test_numbers_of_agreement_are_means_of_the_matrix():
    alike = np.array([[1, 0.5, 0.2], [0.5, 1, 0.4], [0.2, 0.4, 1]])
    pool = Pool(np.zeros((3, len(NAMES))), alike, ["leiden", "kmeans", "kmeans, retrained"],
                ["v"] * 3, 3, 90)  # fmt: skip
    want = [[0.35, 0.35], [0.45, 0.5], [0.3, 0.2]]
    np.testing.assert_allclose(agreements(pool), want)


def test_the_fitted_model_fits_the_code():
    fitted = model()
    assert set(fitted["choice"]["names"]) <= set(COLUMNS)
    assert "evenness" not in fitted["choice"]["names"]
    assert len(fitted["choice"]["weights"]) == len(fitted["choice"]["names"])
    assert min(fitted["choice"]["weights"]) >= 0
    assert len(json.dumps(fitted)) < 4000
    pool = Pool(np.zeros((2, len(NAMES))), np.ones((2, 2)), ["kmeans"] * 2, ["v"] * 2, 2, 20)
    assert np.isfinite(design(pool, tuple(fitted["choice"]["names"]))).all()


def test_auto_finds_skewed_groups():
    x, y = groups(np.random.default_rng(1), SKEWED)
    found = cluster_latents(x, 4, effort="quick")
    assert ari(y, found.labels) > 0.95
    assert found.facts["effort"] == "quick"
    assert found.facts["estimated_accuracy"] > 0.6
    even = cluster_latents(x, 4, effort="quick", priors=Priors(proportions="uniform"))
    assert np.ptp(np.bincount(even.labels)) < 20 < np.ptp(np.bincount(found.labels))


def test_of_many_clusters_what_the_best_few_have_in_common_is_the_answer(rng, monkeypatch):
    """Of fewer, the first alone answers; whether it is many is all that differs."""
    x, _ = groups(rng, (20,) * 6, apart=1.0)
    found = {}
    for least in (6, 7):
        monkeypatch.setattr(auto_search, "LARGE_K", least)
        work = auto_search.CandidateSearch([x], 6, EFFORTS["quick"], 0)
        able = work.run({}, retrain=False)
        assert len(able) == len(work.pool.heads) == len(work.pool.table)
        found[least] = able, work.pool, choose(able, work.pool)
    (with_it, pool, choice), (without, plain, single) = found[6], found[7]
    assert [c.name for c in with_it] == [*(c.name for c in without), "consensus of 9"]
    assert choice.head == "consensus of 9"
    assert single.head in plain.heads
    best = np.argsort(-standings(plain), kind="stable")[: auto_search.BEST_FEW]
    want = coassociation_consensus([without[i].whole for i in best], 6, 0)
    np.testing.assert_array_equal(choice.labels, want)
    np.testing.assert_array_equal(pool.table[:-1], plain.table)


def test_the_number_of_threads_decides_nothing(monkeypatch):
    """Neither of those that candidates are shared among, nor of the numerical libraries."""
    rng = np.random.default_rng(0)
    z = (
        rng.standard_normal((120, 40)) + 1.2 * np.eye(4, 40)[rng.integers(4, size=120)] * 3
    ).astype(np.float32)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(shards, "threads", lambda threads=threads: threads)
        with threadpool_limits(threads):
            answer = auto(z, 4, AutoConfig(), seed=0)
            vote = estimate_k([z], 0)
        found.append((answer.probabilities.tobytes(), answer.facts, vote.table))
    assert found[0][0] == found[1][0]
    assert found[0][2] == found[1][2]
    candidates = [[(c["head"], c["view"], c["score"]) for c in f[1]["candidates"]] for f in found]
    assert candidates[0] == candidates[1]


def test_effort_is_one_of_three_levels_and_more_of_it_costs_more():
    with pytest.raises(InputError, match="one of quick, normal, thorough; got 'much'"):
        effort_of("much")
    costs = [seconds_of(5000, 1280, 10, level) for level in LEVELS]
    assert costs == sorted(costs)
    assert list(EFFORTS) == list(LEVELS)
    assert seconds_of(50_000, 512, 10, "quick") > seconds_of(5000, 512, 10, "quick")
    assert seconds_of(5000, 512, 200, "normal") > seconds_of(5000, 512, 10, "normal")


def naive_average(found, k, seed):
    """Row by row, with the best of all names for each clustering."""
    reference = coassociation_consensus([each.labels for each in found], k, seed)
    n = len(reference)
    mean = np.zeros((n, k))
    for each in found:
        names = max(
            permutations(range(k)),
            key=lambda names: sum(names[each.labels[i]] == reference[i] for i in range(n)),
        )
        for i in range(n):
            for c in range(k):
                mean[i, names[c]] += each.probabilities[i, c] / len(found)
    return mean


def fuzzy(rng, truth, k, wrong):
    """A clustering of the truth, renamed, with some rows wrong and none certain."""
    labels = np.where(rng.random(len(truth)) < wrong, rng.integers(0, k, len(truth)), truth)
    p = 0.2 * rng.dirichlet(np.ones(k), len(truth)) + 0.8 * np.eye(k)[labels]
    p = p[:, rng.permutation(k)]
    return Clustering(p, partial(np.take, p, axis=0))


def test_the_average_of_clusterings_is_that_of_the_naive_one_and_nearer_to_the_truth(rng):
    k, truth = 4, np.repeat(np.arange(4), 50)
    found = [fuzzy(rng, truth, k, 0.4) for _ in range(5)]
    mean = average_clusterings(found, k, 0)
    np.testing.assert_allclose(mean.probabilities, naive_average(found, k, 0))
    right = [(align_labels(each.labels, truth, k) == truth).mean() for each in found]
    assert (align_labels(mean.labels, truth, k) == truth).mean() > max(right)
    some = np.array([3, 90, 199])
    np.testing.assert_allclose(mean.predict(some), mean.probabilities[some])
    assert pickle.loads(pickle.dumps(mean.predict))(some).shape == (3, k)
    assert len(mean.facts["agreement_of_searches"]) == 5
    assert average_clusterings(found[:1], k, 0) is found[0]


def test_an_average_leaves_no_cluster_without_rows():
    first = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.3, 0.3, 0.4]])
    other = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.9, 0.05, 0.05], [0.0, 0.0, 1.0]])
    found = [Clustering(p, partial(np.take, p, axis=0)) for p in (first, other)]
    answer = average_clusterings(found, 3, 0)
    assert any(answer is each for each in found)


def test_several_searches_answer_together(rng):
    x = rng.normal(size=(90, 5)) + np.repeat(4 * np.eye(3, 5), 30, axis=0)
    x = x.astype(np.float32)
    one, three = (cluster_latents(x, 3, effort="quick", searches=n) for n in (1, 3))
    truth = np.repeat(np.arange(3), 30)
    assert (align_labels(three.labels, truth, 3) == truth).mean() >= 0.95
    assert len(three.facts["agreement_of_searches"]) == 3
    assert "agreement_of_searches" not in one.facts
    again = cluster_latents(x, 3, effort="quick", searches=3)
    assert again.probabilities.tobytes() == three.probabilities.tobytes()
    with pytest.raises(InputError, match=r"auto.searches must be in \[1, 50\]; got 0"):
        cluster_latents(x, 3, searches=0)


@pytest.mark.parametrize("clock", ["monotonic", "perf_counter"])
def test_the_clock_decides_nothing(monkeypatch, clock):
    import time

    x = np.random.default_rng(2).standard_normal((90, 5)).astype(np.float32)
    first = cluster_latents(x, 3, effort="quick")
    late = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(time, clock, lambda: float(next(late)))
    again = cluster_latents(x, 3, effort="quick")
    assert again.probabilities.tobytes() == first.probabilities.tobytes()
    heads_of = [[(c["head"], c["view"]) for c in r.candidates] for r in (first, again)]
    assert heads_of[0] == heads_of[1]


@pytest.mark.parametrize("level", ["coarse", "chosen", "fine"])
def test_levels_nest_and_the_answer_is_of_the_one_asked_for(level):
    x, y = groups(np.random.default_rng(4), (40, 40, 40, 40), apart=6.0)
    found = cluster_latents(x, "auto", "kmeans", level=level)
    assert found.vote.k == 4
    assert sorted(found.levels) == ["chosen", "coarse", "fine"]
    coarse, chosen, fine = (found.levels[name] for name in ("coarse", "chosen", "fine"))
    for below, above in ((fine, chosen), (chosen, coarse)):
        pairs = set(zip(below.tolist(), above.tolist(), strict=True))
        assert len(pairs) == len(set(below.tolist())) > len(set(above.tolist()))
    np.testing.assert_array_equal(found.labels, found.levels[level])
    assert ari(y, chosen) == 1
    np.testing.assert_array_equal(found.predict(x).argmax(1), found.labels)


def test_rows_that_belong_nowhere_are_the_far_ones():
    rng = np.random.default_rng(5)
    x, _ = groups(rng, (60, 60, 60))
    far = np.vstack([x, rng.uniform(-12, 12, (9, 8))]).astype(np.float32)
    found = cluster_latents(far, 3, "kmeans", unclustered=0.05)
    assert found.clusters is not None
    assert (found.clusters < 0).sum() == round(0.05 * 189)
    assert (found.clusters[180:] < 0).sum() >= 7
    kept = found.clusters >= 0
    np.testing.assert_array_equal(found.clusters[kept], found.labels[kept])
    assert found.labels.min() == 0
    assert cluster_latents(far, 3, "kmeans").clusters is None
    with pytest.raises(InputError, match="unclustered"):
        cluster_latents(far, 3, "kmeans", unclustered=1.5)


def test_the_stability_of_an_answer_is_told_where_only_a_sample_of_rows_was_fitted(monkeypatch):
    few = replace(EFFORTS["quick"], rows=70)
    monkeypatch.setitem(EFFORTS, "quick", few)
    x, _ = groups(np.random.default_rng(6), (50, 50))
    method, cfg = CLUSTERERS["auto"].method, AutoConfig(effort="quick")
    found = run_head(method, [x], 2, cfg, 0, None, even=False)
    assert found.facts["fitted_rows"] == 70
    assert stability(method, cfg, 2, 0, [x], found) > 0.9
