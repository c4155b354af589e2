"""The choice among spaces of unequal kind: what most see, against what each follows alone."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from imclust import cluster_latents
from imclust.clustering.auto_search import CandidateSearch
from imclust.clustering.effort import effort_of
from imclust.clustering.ensembles import coassociation_consensus
from imclust.clustering.evidence import purity
from imclust.clustering.metrics import ari
from imclust.clustering.neighbor_graph import joint_graph
from imclust.clustering.preprocessing import power_and_white, prepare
from imclust.clustering.unequal_spaces import AGREED, CLARITY, COUNTS, UnequalSearch
from imclust.clustering.views import View

N, K = 150, 3


def some_spaces(rng, seeing=3, blind=3, dims=6):
    """Spaces that each show the same groups faintly, and spaces with loud groups of their own."""
    y = rng.integers(0, K, N)
    spaces = [2.0 * rng.standard_normal((K, dims))[y] + rng.standard_normal((N, dims))
              for _ in range(seeing)]  # fmt: skip
    for _ in range(blind):
        other = rng.integers(0, K, N)
        centres = 20.0 * rng.standard_normal((K, dims))
        spaces.append(centres[other] + rng.standard_normal((N, dims)))
    order = rng.permutation(len(spaces))
    return [spaces[i].astype(np.float32) for i in order], y


@pytest.fixture
def shown():
    return some_spaces(np.random.default_rng(0))


def test_what_several_spaces_show_wins_over_what_each_other_space_shows_alone(shown):
    spaces, y = shown
    found = cluster_latents(spaces, K, effort="quick", kinds="unequal", retrain=False)
    assert ari(y, found.labels) > 0.8
    np.testing.assert_array_equal(found.predict(spaces).argmax(1), found.labels)


def test_views_are_judged_in_every_space_and_candidates_where_all_are_joined(shown):
    spaces, y = shown
    search = UnequalSearch(spaces, K, effort_of("quick"), 0)
    able = search.run({}, retrain=False)
    assert len(search.judges) == len(spaces)
    noise = np.random.default_rng(1).permutation(y)
    right, wrong = search.density([y, noise])
    want = np.mean([purity(View.of([s], (0,), "power", 0).graph, y)[4] for s in spaces])
    assert right == pytest.approx(want)
    assert right > wrong + 0.1
    runs = [c.whole for c in able]
    table = np.array([[c.numbers[name] for name in CLARITY] for c in able])
    joined = np.hstack([prepare(s, "white").rows for s in spaces]) / len(spaces) ** 0.5
    dense = purity(joint_graph([prepare(s, "white").rows for s in spaces]), runs[0])[4]
    apart = silhouette_score(joined, runs[0], metric="cosine")
    np.testing.assert_allclose(table[0], [dense, apart], atol=1e-4)
    alone = [i for i, c in enumerate(able) if not c.name.startswith("consensus")]
    few = [c.labels for c in able]
    alike = [
        sum(ari(few[i], few[j]) for j in alone if j != i) / len(alone) for i in range(len(few))
    ]
    columns = np.column_stack([table, alike])
    naive = ((columns - columns.mean(0)) / columns.std(0)) @ [1, 1, AGREED]
    np.testing.assert_allclose(search.stand, naive, atol=1e-6)
    assert (search.clarity([y]) > search.clarity([noise]) + 0.02).all()


def test_the_clearest_candidates_make_consensuses(shown):
    spaces, y = shown
    search = UnequalSearch(spaces, K, effort_of("quick"), 0)
    able = search.run({}, retrain=False)
    single = [c for c in able if not c.name.startswith("consensus")]
    made = {c.name: c for c in able if c.name.startswith("consensus")}
    assert list(made) == [f"consensus of {m}" for m in COUNTS]
    table = np.array([[c.numbers[name] for name in CLARITY] for c in single])
    order = np.argsort(-((table - table.mean(0)) / table.std(0)).sum(1), kind="stable")
    few = [single[i].whole for i in order[: COUNTS[0]]]
    want = coassociation_consensus(few, K, 0)
    np.testing.assert_array_equal(made["consensus of 5"].whole, want)
    assert max(ari(y, c.whole) for c in made.values()) > 0.8
    assert search.further(single[: COUNTS[0] - 1]) == []


def test_spaces_of_noise_have_no_consensus_that_agrees_with_groups(rng):
    spaces = [rng.standard_normal((N, 6)).astype(np.float32) for _ in range(4)]
    search = UnequalSearch(spaces, K, effort_of("quick"), 0)
    able = search.run({}, retrain=False)
    y = rng.integers(0, K, N)
    assert all(ari(y, c.whole) < 0.1 for c in able if c.name.startswith("consensus"))


def test_one_space_is_clustered_as_ever(shown):
    spaces, _ = shown
    one, other = (cluster_latents(spaces[0], K, effort="quick", kinds=kinds)
                  for kinds in ("alike", "unequal"))  # fmt: skip
    assert one.probabilities.tobytes() == other.probabilities.tobytes()
    assert issubclass(UnequalSearch, CandidateSearch)


def test_a_small_cluster_may_be_missing_among_the_rows_looked_at(shown, monkeypatch):
    monkeypatch.setattr("imclust.clustering.unequal_spaces.LOOKED_AT", 30)
    monkeypatch.setattr("imclust.clustering.unequal_spaces.EACH", 1)
    spaces, _ = shown
    found = cluster_latents(spaces, K, effort="quick", kinds="unequal", retrain=False)
    assert len(np.unique(found.labels)) == K


def test_power_and_white_are_the_preparations_of_that_name(rng):
    z, new = rng.standard_normal((40, 9)), rng.standard_normal((5, 9))
    for how, made in power_and_white(z).items():
        alone = prepare(z, how)
        np.testing.assert_array_equal(made.rows, alone.rows)
        np.testing.assert_array_equal(made.apply(new), alone.apply(new))
