"""Later images among clustered ones: the old stay, the new are placed, many odd ones are new."""

import itertools

import numpy as np
import pytest

from imclust.clustering.growth import FEWEST, grow
from imclust.core.base_records import Base

DIMS = 24


def groups(rng, sizes, first=0):
    """Rows around the axes `first`, `first` + 1, ..., so many each, and of which axis each is."""
    y = np.repeat(np.arange(len(sizes)), sizes) + first
    x = 6 * np.eye(DIMS)[y] + rng.normal(size=(len(y), DIMS))
    return x.astype(np.float32), y


def answer(y, k):
    return np.eye(k, dtype=np.float32)[y]


@pytest.mark.parametrize("seed", range(5))
def test_new_rows_of_old_groups_join_them_and_open_nothing(seed):
    rng = np.random.default_rng(seed)
    (old, y), (new, z) = groups(rng, [30, 30, 12]), groups(rng, [15, 3, 40])
    grown = grow([old], answer(y, 3), [new])
    assert grown.founders == []
    assert (grown.probabilities.argmax(1) == z).mean() > 0.97
    np.testing.assert_allclose(grown.probabilities.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_fits_nowhere_is_a_cluster_of_its_own(seed):
    rng = np.random.default_rng(seed)
    old, y = groups(rng, [30, 30, 12])
    new, z = groups(rng, [5, 5, 5, 20, 12])
    grown = grow([old], answer(y, 3), [new])
    assert len(grown.founders) == 2
    assert (grown.probabilities.argmax(1) == z).mean() > 0.97


def test_few_odd_rows_open_nothing():
    rng = np.random.default_rng(0)
    old, y = groups(rng, [30, 30])
    new, _ = groups(rng, [FEWEST - 1], first=5)
    assert grow([old], answer(y, 2), [new]).founders == []


def test_copies_found_no_cluster():
    rng = np.random.default_rng(0)
    old, y = groups(rng, [30, 30])
    new = np.repeat(groups(rng, [1], first=5)[0], 20, axis=0)
    alone = np.arange(20) == 0
    assert grow([old], answer(y, 2), [new], count=alone).founders == []
    assert len(grow([old], answer(y, 2), [new]).founders) == 1


@pytest.mark.parametrize("seed", range(5))
def test_in_how_many_visits_they_come_changes_nothing(seed):
    """The same rows in any order, and after any part of them: the same clusters."""
    rng = np.random.default_rng(seed)
    old, y = groups(rng, [30, 30, 12])
    new, _ = groups(rng, [5, 0, 5, 20, 12])
    p = answer(y, 3)
    whole = grow([old], p, [new])
    order = rng.permutation(len(new))
    again = grow([old], p, [new[order]])
    sets = [{frozenset(rows.tolist()) for rows in whole.founders}]
    sets.append({frozenset(order[rows].tolist()) for rows in again.founders})
    assert sets[0] == sets[1]
    part = order[:30]
    for rows in grow([old], p, [new[part]]).founders:
        mine = set(part[rows].tolist())
        assert any(mine <= group for group in sets[0])  # groups only grow and join


def test_opened_clusters_keep_their_numbers():
    rng = np.random.default_rng(0)
    old, y = groups(rng, [30, 30, 12])
    new, z = groups(rng, [0, 0, 0, 15, 40])
    p = answer(y, 3)
    sizes = [len(rows) for rows in grow([old], p, [new]).founders]
    assert sizes == sorted(sizes, reverse=True)
    small = int(np.flatnonzero(z == 3)[0])
    first, second = grow([old], p, [new], known=[small]).founders
    assert small in first
    assert len(first) < len(second)
    gone, *rest = grow([old], p, [new], known=[-1]).founders
    assert len(gone) == 0
    assert len(rest) == 2


def twin(old, new):
    """The rule once more, a row at a time."""
    from imclust.clustering.preprocessing import prepare

    made = prepare(old, "pca")
    rows, later = made.rows.astype(float), made.apply(new).astype(float)
    far = np.array([np.sort(np.linalg.norm(rows - r, axis=1))[:5] for r in later])
    own = [np.sort(np.linalg.norm(rows - r, axis=1))[1:6].mean() for r in rows]
    unfit = [i for i in range(len(new)) if far[i].mean() > np.quantile(own, 0.5)]
    group = {i: {i} for i in unfit}
    for i, j in itertools.combinations(unfit, 2):
        apart = np.linalg.norm(later[i] - later[j])
        if apart < min(far[i][0], far[j][0], np.quantile(own, 0.5)):
            joined = group[i] | group[j]
            group |= dict.fromkeys(joined, joined)
    return {frozenset(g) for g in group.values() if len(g) >= FEWEST}


@pytest.mark.parametrize("seed", range(5))
def test_as_its_naive_twin_finds_them(seed):
    rng = np.random.default_rng(seed)
    old, y = groups(rng, [20, 20])
    new, _ = groups(rng, [5, 5, 10, 9])
    found = {frozenset(rows.tolist()) for rows in grow([old], answer(y, 2), [new]).founders}
    assert found == twin(old, new)


def test_images_that_are_gone_are_known_where_they_were_or_are_to_be():
    """Of three clusters, the last two of which became one."""
    p = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    base = Base(np.array(list("abcd")), np.array(list("1234")), p, {}, ())
    said = {"was": [0, 1, 1], "awaited": {"c": 0, "z": 1}}
    ids, digests, q = base._gone({"a"}, 2, said)
    assert (ids.tolist(), digests.tolist()) == (list("bcdz"), ["2", "3", "4", ""])
    assert q.argmax(1).tolist() == [1, 0, 1, 1]
    later = Base(ids, digests, q, {}, ())
    known = later.rows_of(np.array(list("dzc")), np.array(["4", "any", "other"]))
    assert known.tolist() == [2, 3, -1]


def test_who_is_known_by_name_by_copy_and_by_a_new_name():
    p = np.eye(2, dtype=np.float32)
    base = Base(np.array(["a", "b"]), np.array(["1", "2"]), p, {}, ())
    ids = np.array(["a", "b", "c", "d"])
    assert base.rows_of(ids, np.array(["1", "9", "2", "8"])).tolist() == [0, -1, 1, -1]
