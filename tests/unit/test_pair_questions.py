"""What decides clusters of pairs, what to ask, and what answers do."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from imclust.clustering.corrections import Corrections
from imclust.clustering.linked_groups import Linked
from imclust.clustering.metrics import ari
from imclust.clustering.pair_answers import Answered, as_pairs, carried, relinked
from imclust.clustering.pair_clustering import average_tree, cut
from imclust.clustering.pair_doubts import (
    SPENT,
    between,
    cluster_doubts,
    last_halves,
    questions,
)
from imclust.clustering.pair_thresholds import Cut
from imclust.core.errors import InputError

T = 0.5


def made_pairs(seed, individuals=40):
    """Images of individuals of 2 to 9, some seen from two sides that look less alike, some alike
    to another individual: true names (n,) and P(same) (n, n)."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(individuals), rng.integers(2, 10, individuals))
    n = len(y)
    side = np.where(rng.random(individuals) < 0.3, 1, 0)[y] * rng.integers(0, 2, n)
    logit = np.full((n, n), -4.0)
    same = y[:, None] == y[None]
    logit[same] = 2.5
    logit[same & (side[:, None] != side[None])] = -0.8
    for a, b in rng.permutation(individuals)[:12].reshape(-1, 2).tolist():
        alike = (y == a)[:, None] & (y == b)[None]
        logit[alike | alike.T] = 0.4
    noise = rng.normal(0, 1.2, (n, n))
    p = 1 / (1 + np.exp(-(logit + (noise + noise.T) / 2)))
    np.fill_diagonal(p, 1)
    return y, np.minimum(p, 0.999).astype(np.float32) + np.eye(n, dtype=np.float32) * 0.001


def linked_at(p, threshold=T):
    return Linked(cut(average_tree(p), threshold), p, Cut("average", threshold))


@pytest.mark.parametrize("seed", range(3))
def test_doubts_as_their_definition(seed):
    _, p = made_pairs(seed, 12)
    p[0, 5] = p[5, 0] = -np.inf
    linked = linked_at(p)
    labels, k = linked.labels, int(linked.labels.max()) + 1
    rows = [np.flatnonzero(labels == c) for c in range(k)]
    for c, doubt in enumerate(cluster_doubts(labels, p, T)):
        others = {}
        for o in range(k):
            block = [p[i, j] for i in rows[c] for j in rows[o]]
            if o != c and np.isfinite(block).all():
                others[o] = np.mean(block)
        assert doubt.nearest == max(others, key=others.get)
        assert doubt.near.mean == pytest.approx(max(others.values()), rel=1e-5)
        strongest = max(p[i, j] for i in rows[c] for j in rows[doubt.nearest])
        assert p[doubt.near.first, doubt.near.second] == strongest
        assert (doubt.hold is None) == (len(rows[c]) == 1)
        if doubt.hold is not None:
            tree = average_tree(p[np.ix_(rows[c], rows[c])])
            assert doubt.hold.mean == pytest.approx(1 - tree[-1, 2], rel=1e-5)
            halves = last_halves(rows[c], p)
            assert sorted(np.concatenate(halves)) == rows[c].tolist()
        held = (1 - doubt.hold.mean) / (1 - T) if doubt.hold else 0
        assert doubt.value == pytest.approx(max(min(held, 1), min(doubt.near.mean / T, 1)))


def test_clusters_that_must_not_join_are_no_neighbours():
    p = np.array([[1, 0.4, 0.1], [0.4, 1, 0.2], [0.1, 0.2, 1]])
    assert [d.nearest for d in cluster_doubts(np.arange(3), p, T)] == [1, 0, 1]
    p[0, 1] = p[1, 0] = -np.inf
    assert [d.nearest for d in cluster_doubts(np.arange(3), p, T)] == [2, 2, 1]
    assert np.isneginf(between(np.arange(3), p)[0, 1])
    alone = cluster_doubts(np.zeros(1, int), np.ones((1, 1)), T)[0]
    assert (alone.hold, alone.near, alone.value) == (None, None, 0)


def test_questions_are_open_differ_and_ask_of_images_to_cluster():
    _, p = made_pairs(0)
    linked = linked_at(p)
    asked = np.arange(len(p)) % 5 > 0
    p[1, 2] = p[2, 1] = 1
    p[0, 40] = p[40, 0] = -np.inf
    found = questions(linked.labels, p, asked, 20)
    assert len(found) == 20
    assert [q.worth for q in found] == sorted((q.worth for q in found), reverse=True)
    assert len({frozenset((q.first, q.second)) for q in found}) == 20
    for q in found:
        assert np.isfinite(p[q.first, q.second])
        assert p[q.first, q.second] < 1
        assert q.together == (linked.labels[q.first] == linked.labels[q.second])
        assert 0 < q.change < 1
    seen = Counter()
    for q in found:  # a second question of a cluster is worth a quarter
        mine = {int(linked.labels[q.first]), int(linked.labels[q.second])}
        times = sum(seen[c] for c in mine)
        assert q.worth == pytest.approx(q.change * q.pairs**0.5 * SPENT**times)
        seen.update(mine)
    assert questions(linked.labels, p, np.zeros(len(p), bool)) == []


@pytest.mark.parametrize("seed", range(5))
def test_answers_to_the_questions_raise_ari_more_than_to_random_ones(seed):
    y, p = made_pairs(seed)
    linked = linked_at(p)
    names = [str(i) for i in range(len(p))]

    def after(pairs):
        sides = ([], [])
        for a, b in pairs:
            sides[int(y[a] != y[b])].append((a, b))
        return ari(y, relinked(linked, (), *map(tuple, sides), names).labels)

    before = ari(y, linked.labels)
    ours = after([(q.first, q.second) for q in questions(linked.labels, p, np.ones(len(p), bool))])
    rng = np.random.default_rng(seed)
    looked_at = np.argwhere(np.triu(p > 0.05, 1))  # as `pairs` would have them
    random = [after(looked_at[rng.permutation(len(looked_at))[:20]].tolist()) for _ in range(5)]
    assert ours > before + 0.03
    assert ours - before > 2 * (np.mean(random) - before)
    assert ours > max(random)


def test_what_is_of_one_is_of_the_other_as_far():
    _, p = made_pairs(1, 8)
    labels = linked_at(p).labels
    a, b = 0, int(np.flatnonzero(labels != labels[0])[0])
    found = carried(p, labels, ((a, b),))
    for x, y in combinations(range(len(p)), 2):
        best = p[x, y]
        for one, other in ((x, y), (y, x)):
            reach = []
            for row, end in ((one, a), (other, b)):
                inside = np.flatnonzero(labels == labels[end])
                way = max(p[row, m] * p[m, end] for m in inside) if row in inside else 0
                reach.append(1 if row == end else way)
            best = max(best, reach[0] * reach[1])
        assert found[x, y] == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("method", ["average", "components", "correlation", "leiden"])
def test_answers_are_kept_by_every_method_and_by_what_was_known(method):
    y, p = made_pairs(2, 15)
    linked = Linked(linked_at(p).labels, p, Cut(method, T))
    names = [str(i) for i in range(len(p))]
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.choice(len(p), 2, replace=False).tolist()) for _ in range(30)]
    must = tuple(pair for pair in pairs if y[pair[0]] == y[pair[1]])
    must += ((0, 1),)
    cannot = tuple(pair for pair in pairs if y[pair[0]] != y[pair[1]])
    held = ((2, 3),) if y[2] == y[3] else ()
    again = relinked(linked, held, must, cannot, names)
    assert all(again.labels[a] == again.labels[b] for a, b in (*must, *held))
    assert all(again.labels[a] != again.labels[b] for a, b in cannot)
    third = relinked(again, (*held, *must), (), (), names)  # what was said stays said
    assert all(third.labels[a] != third.labels[b] for a, b in cannot)
    with pytest.raises(InputError, match="images 0 and 1, of which answers"):
        relinked(again, (*held, *must), (), ((0, 1),), names)


def corrections(**said):
    empty = {"names": {}, "merge": (), "move": {}, "must_link": (), "cannot_link": ()}
    return Corrections(Path("c.json"), "0" * 64, **empty | said)


def test_all_of_a_file_becomes_pairs_that_the_clusters_keep():
    ids, clusters = np.array([*"abcdefghi"]), np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    p = np.where(clusters[:, None] == clusters[None], 0.9, 0.05).astype(np.float32)
    np.fill_diagonal(p, 1)
    rows = np.arange(9)
    at = Answered(ids, {"all": (rows, Linked(clusters, p, Cut("average", T)))}, {"all": ()})
    sure = np.linspace(1, 0.5, 9)
    said = corrections(merge=((0, 1),), move={"i": 0, "g": 2, "h": 3}, names={0: "both"})
    assert ("g", "h") not in as_pairs(said, ids, clusters, sure)[0]
    after = at.after(said, clusters, sure, 0)
    labels = after.linked["all"][1].labels
    assert labels.tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 0]
    assert after.names(labels, ["x", "y", "z"]) == ["both", "y", "z"]
    assert after.facts()["corrections"] | {"names": 0} == {
        "merged": [], "moved": 2, "pinned": 1, "new": 1, "must_link": 0, "cannot_link": 0,
        "names": 0,
    }  # fmt: skip
    with pytest.raises(InputError, match="'y' for two"):
        at.after(corrections(names={0: "y"}), clusters, sure, 0).names(clusters, ["x", "y", "z"])


def test_images_of_two_groups_are_never_said_to_be_one():
    ids, sure = np.array(["a", "b"]), np.ones(2)
    one = Linked(np.zeros(1, int), np.ones((1, 1), np.float32), Cut("average", T))
    at = Answered(ids, {"x": (np.array([0]), one), "y": (np.array([1]), one)}, {"x": (), "y": ()})
    clusters = np.array([0, 1])
    with pytest.raises(InputError, match="of one group"):
        at.after(corrections(must_link=(("a", "b"),)), clusters, sure, 0)
    at.after(corrections(cannot_link=(("a", "b"),)), clusters, sure, 0)  # nothing new
