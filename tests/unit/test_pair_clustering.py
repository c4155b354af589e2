"""From probabilities of pairs to clusters."""

from itertools import combinations

import numpy as np
import pytest

from imclust.clustering.density_tree import DensityTree
from imclust.clustering.linked_groups import (
    cluster_name,
    kept,
    known_pairs,
    link_group,
    memberships,
    stable_names,
)
from imclust.clustering.metrics import ari
from imclust.clustering.pair_clustering import (
    alone,
    average_tree,
    clusters_at,
    components,
    correlation_clusters,
    cut,
    pair_matrix,
)
from imclust.clustering.pair_probability import (
    identity_folds,
    learnable,
    learned_probability,
    mixture_probability,
)
from imclust.clustering.pair_thresholds import METHODS, choose_cut
from imclust.core.errors import InputError


def noisy_pairs(sizes=(1, 2, 3, 5, 7, 1, 4), seed=0):
    """True labels (n,), all pairs (m, 2), and probabilities that are right most of the time."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    pairs = np.array(list(combinations(range(len(y)), 2)))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    p = np.where(same, rng.beta(20, 4, len(pairs)), rng.beta(2, 20, len(pairs)))
    return y, pairs, p


@pytest.mark.parametrize("how", METHODS)
def test_every_method_finds_clusters_of_any_size(how):
    # Modularity, which Leiden raises, has a resolution limit: single images are not its strength.
    y, pairs, p = noisy_pairs((3, 4, 5, 6, 4, 3) if how == "leiden" else (1, 2, 3, 5, 7, 1, 4))
    labels = clusters_at(pair_matrix(len(y), pairs, p), how)(0.4)
    assert ari(y, labels) > 0.95
    assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))


def slow_average(p, threshold):
    """Merge the two clusters of the highest mean while it is at least the threshold."""
    clusters = [[i] for i in range(len(p))]
    while len(clusters) > 1:
        means = {(a, b): p[np.ix_(clusters[a], clusters[b])].mean()
                 for a, b in combinations(range(len(clusters)), 2)}  # fmt: skip
        (a, b), best = max(means.items(), key=lambda item: item[1])
        if best < threshold:
            break
        clusters[a] += clusters.pop(b)
    return {frozenset(c) for c in clusters}


def as_sets(labels):
    return {frozenset(np.flatnonzero(labels == c).tolist()) for c in np.unique(labels)}


def test_average_linkage_and_components_as_one_merge_at_a_time():
    y, pairs, p = noisy_pairs(seed=3)
    m = pair_matrix(len(y), pairs, p).astype(np.float64)
    for threshold in (0.2, 0.5, 0.8):
        assert as_sets(cut(average_tree(m), threshold)) == slow_average(m, threshold)
        part = {i: {i} for i in range(len(m))}
        for a, b in np.argwhere(m >= threshold).tolist():
            if part[a] is not part[b]:
                part[a] |= part[b]
                for i in part[b]:
                    part[i] = part[a]
        assert as_sets(components(m, threshold)) == {frozenset(v) for v in part.values()}


def partitions(n):
    """All partitions of n rows as labels."""

    def grow(labels):
        if len(labels) == n:
            yield np.array(labels)
            return
        for c in range(max(labels, default=-1) + 2):
            yield from grow([*labels, c])

    yield from grow([])


@pytest.mark.parametrize("seed", range(8))
def test_correlation_clustering_comes_close_to_the_best_of_all_partitions(seed):
    rng = np.random.default_rng(seed)
    p = np.triu(rng.random((7, 7)), 1)
    p = p + p.T

    def value(labels):
        return sum(p[a, b] - 0.5 for a, b in combinations(range(7), 2) if labels[a] == labels[b])

    best = max(map(value, partitions(7)))
    assert value(correlation_clusters(p, 0.5)) >= 0.85 * best


@pytest.mark.parametrize("how", METHODS)
def test_what_is_known_of_pairs_holds(how):
    y, pairs, p = noisy_pairs((3, 3, 3, 3, 3), seed=1)
    identities = np.full(len(y), "", dtype="<U3")
    identities[[0, 3, 6]] = "one"  # of three clusters, by the pairs
    identities[[4, 9]] = "two"  # the pairs say that 3 and 4 are together
    found = link_group(len(y), pairs, p, identities, (how,), must=((1, 14),), cannot=((10, 11),))
    labels = found.labels
    assert labels[0] == labels[3] == labels[6] != labels[4] == labels[9]
    assert labels[1] == labels[14]
    assert labels[10] != labels[11]


def test_what_contradicts_itself_is_refused_by_name():
    y, pairs, p = noisy_pairs((2, 2, 2))
    identities = np.array(["a", "b", "", "", "", ""])
    names = [f"image{i}" for i in range(6)]
    with pytest.raises(InputError, match="image0 and image1"):
        link_group(6, pairs, p, identities, ("average",), must=((0, 1),), names=names)
    assert len(y) == 6


def test_a_cluster_that_must_not_be_is_divided():
    p = np.full((4, 4), 0.9)
    p[0, 3] = p[3, 0] = -np.inf
    labels = kept(np.zeros(4, np.int64), p, ((0, 1),), 0.5)
    assert labels[0] == labels[1] != labels[3]


def test_known_identities_as_few_pairs():
    must, cannot = known_pairs(np.array(["a", "b", "", "a", "a"]))
    assert must == ((0, 3), (3, 4))
    assert cannot == ((0, 1),)


def test_memberships_are_means_over_the_other_images():
    y, pairs, p = noisy_pairs()
    m = pair_matrix(len(y), pairs, p)
    w = memberships(y, m)
    np.testing.assert_array_equal(w.argmax(1), y)
    np.testing.assert_allclose(w.sum(1), 1, atol=1e-5)
    i = int(np.flatnonzero(y == 3)[0])
    raw = [m[i, [j for j in np.flatnonzero(y == c) if j != i]].mean() for c in range(7)]
    np.testing.assert_allclose(w[i] / w[i, 3], np.array(raw) / raw[3], rtol=1e-4)


def test_names_stay_when_images_are_added():
    ids = [*"abcdef"]
    first = stable_names("g", np.array([0, 0, 1, 1, 2, 2]), ids, {})
    assert first == ["cluster_g_0", "cluster_g_1", "cluster_g_2"]
    before = dict(zip(ids, np.repeat(first, 2).tolist(), strict=True))
    # A new image comes first, c leaves for a cluster of its own, e and f are divided.
    now = np.array([0, 1, 1, 2, 3, 4, 4, 5])
    again = stable_names("g", now, [*"zabcdefy"], before)
    # d has 1 and so has c: one of both keeps it, the other is new, as are z and y.
    assert again[1] == "cluster_g_0"
    assert sorted([again[2], again[3]])[0] == "cluster_g_1"
    assert again[4] == "cluster_g_2"
    assert len(set(again)) == 6
    assert {again[0], again[5]} <= {f"cluster_g_{n}" for n in (3, 4, 5)}
    assert stable_names("other", now, [*"zabcdefy"], before)[1] == "cluster_other_1"


def test_names_of_clusters_are_safe_anywhere():
    assert cluster_name("Lynx, 2025", 3) == "cluster_Lynx-2025_3"


def test_no_identity_is_learned_from_and_judged():
    y = np.array([f"i{v}" for v in np.repeat(np.arange(7), 3)] + [""] * 4)
    judged = np.zeros(len(y), int)
    for learn, judge in identity_folds(y):
        assert not set(y[learn]) & set(y[judge])
        assert not (learn | judge)[y == ""].any()
        judged += judge
    assert (judged[y != ""] == 1).all()


def test_probabilities_of_known_pairs_are_not_learned_by_heart():
    """Scores that say nothing but are unique to each pair: a model that has seen them knows all."""
    rng = np.random.default_rng(0)
    y = np.array([f"i{v}" for v in np.repeat(np.arange(12), 6)])
    pairs = np.array(list(combinations(range(len(y)), 2)))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    assert learnable(y, pairs)
    found = learned_probability(rng.normal(size=(len(pairs), 4)), pairs, y)
    assert abs(found.probability[same].mean() - found.probability[~same].mean()) < 0.05
    x = np.c_[same + rng.normal(0, 0.3, len(pairs)), rng.normal(size=len(pairs))]
    clear = learned_probability(x, pairs, y)
    assert clear.loss < found.loss
    assert clear.probability[same].mean() > clear.probability[~same].mean() + 0.5


def test_a_mixture_finds_the_few_that_are_the_same_without_labels():
    rng = np.random.default_rng(0)
    same = rng.random(900) < 0.1
    x = rng.normal(size=(900, 3)) + 5 * same[:, None]
    assert ((mixture_probability(x).probability > 0.5) == same).mean() > 0.98
    assert mixture_probability(np.ones((9, 3))).probability.tolist() == [0] * 9


def test_without_labels_the_threshold_is_where_a_change_changes_least():
    """Pairs of clusters hang together up to .6: there the answer moves, and above it does not."""
    y = np.repeat(np.arange(8), 6)
    pairs = np.array(list(combinations(range(len(y)), 2)))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    rng = np.random.default_rng(0)
    near = (y[pairs] // 2)[:, 0] == (y[pairs] // 2)[:, 1]  # clusters come in twos
    twos = np.sort(rng.uniform(0.2, 0.6, 4))[y[pairs[:, 0]] // 2]
    p = np.where(same, 0.9, np.where(near, twos, 0.0))
    cut = choose_cut(pair_matrix(len(y), pairs, p), np.full(len(y), ""))
    assert cut.threshold == pytest.approx(0.65)
    even = choose_cut(pair_matrix(len(y), pairs, same * 0.9), np.full(len(y), ""))
    assert even.threshold == 0.5


@pytest.mark.parametrize("seed", range(6))
def test_the_density_tree_as_scikit_learn_s_hdbscan(seed):
    """Of the whole group it never makes one cluster; ours does where that is most stable."""
    from sklearn.cluster import HDBSCAN

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 2)) + 4 * rng.normal(size=(6, 2))[rng.integers(0, 6, 60)]
    far = np.linalg.norm(x[:, None] - x[None], axis=2)
    far *= 0.9 / far.max()
    how = HDBSCAN(min_cluster_size=2, min_samples=2, metric="precomputed", copy=True)
    want, got = how.fit_predict(far), DensityTree(1 - far).clusters(1 - 1e-9)
    assert as_sets(alone(want)) == as_sets(alone(got))


def test_hdbscan_divides_no_further_than_the_threshold():
    y, pairs, p = noisy_pairs((1, 5, 1, 4, 1), seed=5)
    m = pair_matrix(len(y), pairs, p)
    assert as_sets(clusters_at(m, "hdbscan")(0.5)) == as_sets(y)
    # Two halves that hang together at .6, twice: apart for a threshold above, together below.
    q = np.zeros((6, 6))
    q[:3, :3] = q[3:, 3:] = 0.9
    q[2, 3] = q[3, 2] = 0.6
    q = np.kron(np.eye(2), q)
    at = clusters_at(q, "hdbscan")
    assert as_sets(at(0.7)) == as_sets(np.repeat(np.arange(4), 3))
    assert as_sets(at(0.5)) == as_sets(np.repeat(np.arange(2), 6))
    assert clusters_at(np.array([[1, 0.9], [0.9, 1]]), "hdbscan")(0.5).tolist() == [0, 0]


def test_the_threshold_is_the_known_identities_and_without_any_a_stable_one():
    y, pairs, p = noisy_pairs((3,) * 12, seed=2)
    squeezed = p * 0.4  # clusters are right at .2 to .3 and everything is alone at .5
    m = pair_matrix(len(y), pairs, squeezed)
    known = np.array([f"i{v}" if v < 6 else "" for v in y])
    found = choose_cut(m, known)
    assert found.threshold < 0.36
    assert found.ami > 0.9
    assert ari(y, clusters_at(m, found.method)(found.threshold)) > 0.9
    free = choose_cut(pair_matrix(len(y), pairs, p), np.full(len(y), ""))
    assert free.method == "average"
    assert np.isnan(free.ami)
