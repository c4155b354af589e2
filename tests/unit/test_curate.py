"""Near copies within cells, trees of clusters, and even samples over them."""

import numpy as np
import pytest

from imclust.__main__ import main
from imclust.clustering import near_copies as near_copies_module
from imclust.clustering.cluster_tree import ClusterTree, default_levels, even_counts, grow_tree
from imclust.clustering.metrics import effective_clusters
from imclust.clustering.near_copies import near_copies
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Features, read_csv


def naive_copies(rows, near, cells):
    """SemDeDup's rule, pair by pair."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    gone = np.zeros(len(rows), bool)
    for c in np.unique(cells):
        mine = np.flatnonzero(cells == c)
        centre = unit[mine].mean(0)
        order = sorted(mine, key=lambda i: unit[i] @ centre)
        for place, i in enumerate(order):
            gone[i] = any(unit[i] @ unit[j] > near for j in order[:place])
    return gone


def naive_counts(sizes, total):
    """One at a time to whoever has been given least and has more."""
    given = np.zeros(len(sizes), int)
    for _ in range(total):
        able = np.flatnonzero(given < sizes)
        given[able[given[able].argmin()]] += 1
    return given


def naive_quotas(tree, size):
    """How many rows of each of the finest clusters, by going down the tree."""
    quotas = np.zeros(int(tree.levels[0].max()) + 1, int)

    def rows_below(level, node):
        if level == 0:
            return int((tree.levels[0] == node).sum())
        return sum(rows_below(level - 1, c) for c in np.flatnonzero(tree.levels[level] == node))

    def go(level, nodes, share):
        counts = naive_counts(np.array([rows_below(level, c) for c in nodes]), share)
        for node, count in zip(nodes, counts, strict=True):
            if level == 0:
                quotas[node] = count
            else:
                go(level - 1, np.flatnonzero(tree.levels[level] == node), count)

    top = len(tree.levels) - 1
    go(top, range(int(tree.levels[top].max()) + 1), size)
    return quotas


def uneven(seed=0, sizes=(2000, 200, 20)):
    """Groups of very different sizes in different directions, and which row is of which."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    x = 4 * np.eye(len(sizes), 8)[y] + 0.6 * rng.standard_normal((len(y), 8))
    return x.astype(np.float32), y


@pytest.mark.parametrize("near", [0.5, 0.9, 0.97])
def test_near_copies_are_those_of_the_rule(rng, monkeypatch, near):
    monkeypatch.setattr(near_copies_module, "BLOCK", 100)
    x = rng.standard_normal((350, 4)).astype(np.float32)
    cells = rng.integers(0, 4, 350)
    cells[:220] = 1  # of more than one block
    of, like = near_copies(x, near, cells=cells)
    np.testing.assert_array_equal(of >= 0, naive_copies(x.astype(float), near, cells))
    gone = np.flatnonzero(of >= 0)
    assert (cells[gone] == cells[of[gone]]).all()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose((unit[gone] * unit[of[gone]]).sum(1), like[gone], atol=1e-5)


def test_one_of_each_group_of_copies_stays(rng):
    x = np.repeat(rng.standard_normal((300, 16)), 4, axis=0)
    x = (x + 1e-3 * rng.standard_normal(x.shape)).astype(np.float32)
    of, _ = near_copies(x, 0.99)
    kept = np.flatnonzero(of < 0)
    assert sorted(set(kept // 4)) == list(range(300))
    assert len(kept) <= 305  # copies on two sides of a border are not compared
    assert (near_copies(rng.standard_normal((600, 64)), 0.99)[0] < 0).all()  # nothing is alike


def test_even_counts_equal_one_at_a_time(rng):
    for _ in range(50):
        sizes = rng.integers(0, 12, rng.integers(1, 9))
        total = int(rng.integers(0, sizes.sum() + 1))
        np.testing.assert_array_equal(even_counts(sizes, total), naive_counts(sizes, total))


def test_a_sample_follows_the_tree(rng):
    leaf = np.concatenate([np.arange(12), rng.integers(0, 12, 400)])
    tree = ClusterTree((leaf, rng.permutation(np.arange(12) % 4), np.array([0, 1, 0, 1])))
    for size in (1, 7, 100, 411, 412):
        chosen = tree.sample(size, seed=3)
        assert len(np.unique(chosen)) == size
        counts = np.bincount(leaf[chosen], minlength=12)
        np.testing.assert_array_equal(counts, naive_quotas(tree, size))
    assert (tree.sample(50, 1) != tree.sample(50, 2)).any()


def test_small_groups_are_no_longer_drowned(rng):
    x, y = uneven(rng.integers(99))
    tree = grow_tree(x, [60, 3])
    chosen = tree.sample(60)
    assert len(chosen) == 60
    assert effective_clusters(y, 3) < 1.5 < 2.7 < effective_clusters(y[chosen], 3)
    again = grow_tree(x, [60, 3]).sample(60)
    np.testing.assert_array_equal(chosen, again)


def test_levels_fall_to_a_few_branches():
    assert default_levels(3) == [1]
    for n in (100, 10_000, 10_000_000):
        counts = default_levels(n)
        assert counts == sorted(counts, reverse=True)
        assert 10 <= counts[-1] < 100
        assert counts[0] < n


@pytest.fixture
def features(tmp_path, monkeypatch):
    """A `features` artefact of uneven groups, the first ten rows twice."""
    x, _ = uneven(sizes=(300, 60, 20))
    x = np.concatenate([x, x[:10]])
    ids = np.array([f"i{n}" for n in range(len(x))])
    made = Features(ids, np.full(len(x), "train"), x)
    make_artifact(tmp_path / "z", ArtifactSpec("features", {}, {}, ()), made.save)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids_of(path):
    return [row["id"] for row in read_csv(path)]


def test_the_stage_accounts_for_every_image(features, capsys):
    line = [
        "curate",
        "--features",
        "z",
        "--out",
        "kept",
        "--near",
        "0.9999",
        "--size",
        "60",
        "--levels",
        "30",
        "3",
    ]
    assert main(line) == 0
    said = "60 of 390 images are to be kept (10 near copies, 320 beyond the sample)"
    assert said in "".join(capsys.readouterr())
    kept, dropped = ids_of(features / "kept/kept.csv"), read_csv(features / "kept/dropped.csv")
    assert len(kept) == 60
    assert sorted([*kept, *(row["id"] for row in dropped)]) == sorted(f"i{n}" for n in range(390))
    copies = [row for row in dropped if row["why"] == "near copy"]
    pairs = {frozenset((row["id"], row["like"])) for row in copies}
    assert pairs == {frozenset((f"i{n}", f"i{380 + n}")) for n in range(10)}
    before = (features / "kept/kept.csv").read_bytes()
    assert main(line) == 0
    assert "up to date" in "".join(capsys.readouterr())
    assert main([*line, "--force"]) == 0
    assert (features / "kept/kept.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("", "what to curate by must be --near, --size or both; got neither"),
        ("--near 1.5", "curate.near must be in"),
        ("--near nan", "curate.near must be in"),
        ("--size 0", "--size must be at least 1; got 0"),
        ("--size 391", "--size must be at most the 390 images there are; got 391"),
        ("--size 9 --levels 10 20", "--levels must be falling numbers"),
        ("--size 9 --levels 500", "--levels must be at most 390"),
    ],
)
def test_what_cannot_be_is_one_sentence(features, capsys, flags, words):
    assert main(f"curate --features z --out kept {flags}".split()) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert not (features / "kept").exists()
