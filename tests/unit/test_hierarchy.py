import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage, leaves_list

from imclust.clustering.dendrogram import (
    centre_distances,
    merge_order,
    names_at,
    per_image,
    softened,
)
from imclust.core.errors import InputError
from imclust.core.records import Assignment, read_csv
from imclust.report import plots


def families(rng, n=600):
    """Six clusters in three families, {0, 3}, {1, 4}, {2, 5}: rows (n, 6) and clusters (n,)."""
    c = np.arange(n) % 6
    centres = 6 * np.eye(6)[c % 3] + 2.5 * np.eye(6)[c]
    return (centres + 0.6 * rng.standard_normal((n, 6))).astype(np.float32), c


def soft(c):
    """Posteriors of which half the rest goes to the other cluster of the family."""
    p = np.full((len(c), 6), 0.05)
    rows = np.arange(len(c))
    p[rows, (c + 3) % 6] = 0.3
    p[rows, c] = 0.5
    return p / p.sum(1, keepdims=True)


def naive(p):
    """L2H with plain sets and loops."""
    k = p.shape[1]
    groups, merges = {i: {i} for i in range(k)}, []
    top = p.argmax(1)
    for step in range(k - 1):
        inside = {g: [i for i in range(len(p)) if top[i] in m] for g, m in groups.items()}
        weak = min(
            groups,
            key=lambda g: np.mean([sum(p[i, c] for c in groups[g]) for i in inside[g]]),
        )
        received = dict.fromkeys(groups, 0.0)
        for i in inside[weak]:
            best = max(set(range(k)) - groups[weak], key=lambda c: p[i, c])
            received[next(g for g in groups if best in groups[g])] += 1
        received.pop(weak)
        strong = max(received, key=lambda g: received[g])
        merges.append(tuple(sorted((weak, strong))))
        groups[k + step] = groups.pop(weak) | groups.pop(strong)
    return merges


def test_tree_equals_a_literal_reading(rng):
    p = rng.dirichlet(np.full(7, 0.4), 500)
    tree = merge_order(p, np.zeros((500, 2)))
    assert [tuple(row) for row in tree[:, :2].astype(int)] == naive(p)
    assert is_valid_linkage(tree)


@pytest.mark.parametrize("one_hot", [True, False])
def test_families_are_merged_first(rng, one_hot):
    z, c = families(rng)
    tree = merge_order(np.eye(6)[c] if one_hot else soft(c), z)
    assert {tuple(row) for row in tree[:3, :2].astype(int)} == {(0, 3), (1, 4), (2, 5)}
    assert tree[-1, 3] == 6
    assert names_at(tree, 3).tolist() == [0, 1, 2, 0, 1, 2]
    assert sorted(leaves_list(tree)) == list(range(6))


def test_coarser_answers_nest(rng):
    tree = merge_order(rng.dirichlet(np.ones(8), 300), np.zeros((300, 2)))
    assert names_at(tree, 8).tolist() == list(range(8))
    for k in range(1, 8):
        coarse, fine = names_at(tree, k), names_at(tree, k + 1)
        assert sorted(set(coarse.tolist())) == list(range(k))
        assert len(set(zip(fine.tolist(), coarse.tolist(), strict=True))) == k + 1


def test_empty_cluster_is_merged_first(rng):
    z, c = families(rng)
    p = np.column_stack([soft(c), np.zeros(len(c))])
    assert 6 in merge_order(p, z)[0, :2]
    assert is_valid_linkage(merge_order(np.eye(7)[c], z))


def test_refusals(rng):
    z, c = families(rng)
    with pytest.raises(InputError, match="at least 2 clusters"):
        merge_order(np.ones((600, 1)), z)
    with pytest.raises(InputError, match="n=600"):
        merge_order(soft(c), z[1:])
    with pytest.raises(InputError, match="from 1 to the 6 clusters; got 7"):
        names_at(merge_order(soft(c), z), 7)


def test_softened_keeps_the_answer(rng):
    z = rng.standard_normal((200, 5))
    c = rng.integers(0, 4, 200)
    p = softened(np.eye(4)[c], z)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_array_equal(p.argmax(1), c)


def test_centre_distances_equal_a_loop(rng):
    z, c = rng.standard_normal((40, 3)), np.arange(40) % 3
    d = centre_distances(z, c, 4)
    for k in range(3):
        centre = np.mean([z[i] / np.linalg.norm(z[i]) for i in range(40) if c[i] == k], axis=0)
        for i in range(40):
            cosine = z[i] @ centre / np.linalg.norm(z[i]) / np.linalg.norm(centre)
            assert d[i, k] == pytest.approx(1 - cosine)
    assert (d[:, 3] == 2).all()


def test_evidence_for_every_image(rng):
    z, c = families(rng)
    soft_p = soft(c)
    evidence = per_image(soft_p, z)
    np.testing.assert_array_equal(evidence.runner_up, (c + 3) % 6)
    np.testing.assert_allclose(evidence.confidence, soft_p.max(1))
    np.testing.assert_allclose(evidence.runner_up_probability, soft_p[0, 3])
    np.testing.assert_allclose(evidence.distance, centre_distances(z, c, 6)[np.arange(600), c])


def test_certain_heads_get_their_second_choice_from_distances(rng):
    z, c = families(rng)
    evidence = per_image(np.eye(6)[c], z)
    assert (evidence.runner_up == (c + 3) % 6).mean() > 0.95
    assert (evidence.runner_up != c).all()
    assert (evidence.confidence < 1).all()


def test_evidence_stands_in_the_table_after_the_other_columns(rng, tmp_path):
    z, c = families(rng)
    evidence = per_image(soft(c), z)
    ids = np.array([f"i{i}" for i in range(600)])
    answer = Assignment(ids, np.full(600, "train"), soft(c).astype(np.float32))
    answer.save(tmp_path, (evidence.runner_up, evidence.distance))
    row = read_csv(tmp_path / "assignment.csv")[7]
    assert list(row) == ["id", "split", "cluster", "confidence", "runner_up", "distance"]
    assert (row["cluster"], row["runner_up"]) == ("1", "4")
    assert float(row["distance"]) == pytest.approx(evidence.distance[7], abs=1e-4)


def test_picture_of_the_tree(rng, tmp_path):
    from PIL import Image

    z, c = families(rng)
    tree = merge_order(soft(c), z)
    plots.dendrogram(tree, [f"cluster {i} (100)" for i in range(6)], tmp_path / "tree.png")
    assert np.asarray(Image.open(tmp_path / "tree.png").convert("L")).std() > 5
