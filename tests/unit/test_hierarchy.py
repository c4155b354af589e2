import numpy as np
import pytest
from scipy.cluster.hierarchy import is_monotonic, is_valid_linkage, leaves_list
from scipy.sparse import csr_array

from imclust.clustering.clusterers._base import Clustering
from imclust.clustering.dendrogram import centre_distances, per_image, softened
from imclust.clustering.graph_merging import cluster_tree, merge_by_graph, names_at, tree_of
from imclust.clustering.levels import at_level
from imclust.clustering.metrics import ari
from imclust.core.errors import InputError
from imclust.core.records import Assignment, read_csv
from imclust.report.figures import Sheet, dendrogram


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


def graph_of(rng, n=60):
    """A symmetric graph (n, n) of random weights, half of them 0."""
    a = rng.random((n, n)) * (rng.random((n, n)) < 0.5)
    return csr_array(a + a.T)


def naive_tree(a, c, k):
    """Average linkage on a dense graph with sets and loops: (node, node, links over chance)."""
    groups, merges = {i: {i} for i in range(k)}, []
    total = a.sum()
    for step in range(k - 1):
        rate = {}
        for g in groups:
            for h in groups:
                if g < h:
                    one, two = (np.isin(c, list(groups[x])) for x in (g, h))
                    volume = a[one].sum() * a[two].sum()
                    rate[g, h] = a[np.ix_(one, two)].sum() / max(volume, 1e-30) * total
        best = max(rate, key=rate.get)
        merges.append((*best, rate[best]))
        groups[k + step] = groups.pop(best[0]) | groups.pop(best[1])
    return merges


def test_the_tree_equals_a_literal_reading_and_its_first_merge_is_the_least_apart(rng):
    graph, c = graph_of(rng), np.arange(60) % 7
    found = tree_of(c, graph, 7)
    want = naive_tree(graph.toarray(), c, 7)
    assert [tuple(row) for row in found.merges[:, :2].astype(int)] == [m[:2] for m in want]
    np.testing.assert_allclose(found.merges[:, 2], [1 / (1 + m[2]) for m in want])
    assert is_valid_linkage(found.merges)
    assert is_monotonic(found.merges)
    np.testing.assert_allclose(found.apart, found.apart.T)
    apart = found.apart + 9 * np.eye(7)
    assert sorted(divmod(int(apart.argmin()), 7)) == list(found.merges[0, :2])
    assert apart.min() == pytest.approx(found.merges[0, 2])


def test_the_tree_cut_anywhere_is_the_coarser_level(rng):
    graph, c = graph_of(rng), np.arange(60) % 9
    tree = tree_of(c, graph, 9).merges
    for k in range(1, 10):
        assert ari(names_at(tree, k)[c], merge_by_graph(c, graph, k)) == 1


def test_families_are_merged_first(rng):
    z, c = families(rng)
    tree = cluster_tree([z[:, :3], z[:, 3:]], c, 6, 0).merges
    assert {tuple(row) for row in tree[:3, :2].astype(int)} == {(0, 3), (1, 4), (2, 5)}
    assert tree[-1, 3] == 6
    assert names_at(tree, 3).tolist() == [0, 1, 2, 0, 1, 2]
    assert sorted(leaves_list(tree)) == list(range(6))
    assert (cluster_tree([z[:, :3], z[:, 3:]], c, 6, 0).merges == tree).all()


def test_the_tree_of_an_answer_cut_at_its_coarse_level_is_that_level(rng):
    z, c = families(rng)
    spaces = [z[:, :3] + rng.standard_normal((600, 3)), z[:, 3:]]
    found = Clustering(np.eye(6, dtype=np.float32)[c], lambda new: np.eye(6)[:1])
    for k in (2, 3, 4, 5):
        _, nested = at_level(found, spaces, {"coarse": k, "chosen": 6}, "chosen", 0)
        tree = cluster_tree(spaces, c, 6, 0).merges
        assert ari(names_at(tree, k)[c], nested["coarse"]) == 1


def test_coarser_answers_nest(rng):
    tree = tree_of(np.arange(60) % 8, graph_of(rng), 8).merges
    assert names_at(tree, 8).tolist() == list(range(8))
    for k in range(1, 8):
        coarse, fine = names_at(tree, k), names_at(tree, k + 1)
        assert sorted(set(coarse.tolist())) == list(range(k))
        assert len(set(zip(fine.tolist(), coarse.tolist(), strict=True))) == k + 1


def test_an_empty_cluster_is_apart_from_all_and_few_rows_have_a_tree(rng):
    z, c = families(rng, 60)
    found = cluster_tree([z], c, 7, 0)
    assert (found.apart[6, :6] == 1).all()
    assert 6 in found.merges[-1, :2]
    for n in (2, 3, 5):
        few = cluster_tree([z[:n]], np.arange(n) % 2, 2, 0)
        assert few.merges.shape == (1, 4)
        assert np.isfinite(few.apart).all()


def test_refusals(rng):
    z, c = families(rng)
    with pytest.raises(InputError, match="at least 2 clusters"):
        cluster_tree([z], np.zeros(600, int), 1, 0)
    with pytest.raises(InputError, match="n=600"):
        per_image(soft(c), z[1:])
    with pytest.raises(InputError, match="from 1 to the 6 clusters; got 7"):
        names_at(cluster_tree([z], c, 6, 0).merges, 7)


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
    tree = cluster_tree([z], c, 6, 0).merges
    dendrogram(Sheet(tmp_path, 7), tree, [f"cluster {i} (100)" for i in range(6)])
    assert np.asarray(Image.open(tmp_path / "tree.png").convert("L")).std() > 5
