"""Clustering from Python, through the front door."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from helpers import environment
from imclust import Priors, cluster_latents
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.metrics import ari, hungarian_accuracy
from imclust.core.errors import InputError


def clear_groups(seed=0, n=120, new=20, dims=(8, 5)):
    """Four groups in each of several spaces: fitted rows, new ones, and their groups."""
    rng = np.random.default_rng(seed)
    y = np.arange(n + new) % 4
    spaces = [
        (6 * np.linalg.qr(rng.standard_normal((d, 4)))[0].T[y] + rng.standard_normal((n + new, d)))
        .astype(np.float32)
        for d in dims
    ]  # fmt: skip
    return [s[:n] for s in spaces], [s[n:] for s in spaces], y[:n], y[n:]


SPACES, NEW, Y, Y_NEW = clear_groups()
METHODS = ("kmeans", "minibatch-kmeans", "co-kmeans", "spectral", "diffusion-kmeans")


@pytest.mark.parametrize("spaces", [SPACES[0], SPACES[:1], SPACES, tuple(SPACES)])
@pytest.mark.parametrize("method", METHODS)
def test_any_method_takes_one_space_or_several(method, spaces):
    found = cluster_latents(spaces, 4, method)
    assert ari(Y, found.labels) > 0.95
    assert found.probabilities.shape == (120, 4)
    assert found.probabilities.dtype == np.float32
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(1))
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-4)
    assert found.method == method
    assert found.candidates == []
    assert found.vote is None
    assert 0.9 < found.score <= 1


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("several", [True, False])
def test_new_rows_are_placed_with_their_groups(method, several):
    spaces, new = (SPACES, NEW) if several else (SPACES[0], NEW[0])
    found = cluster_latents(spaces, 4, method)
    placed = found.predict(new)
    assert placed.shape == (20, 4)
    both = np.concatenate([found.labels, placed.argmax(1)])
    assert hungarian_accuracy(np.concatenate([Y, Y_NEW]), both) > 0.95
    np.testing.assert_array_equal(found.predict(spaces).argmax(1), found.labels)
    again = pickle.loads(pickle.dumps(found.predict))
    np.testing.assert_array_equal(again(new), placed)


@pytest.mark.parametrize("method", ["auto", "kmeans", "diffusion-kmeans"])
def test_the_same_seed_gives_the_same_bytes(method):
    noise = [np.random.default_rng(5).standard_normal((120, 6))]
    a, b = (cluster_latents(noise, 4, method, 3) for _ in range(2))
    assert a.labels.tobytes() == b.labels.tobytes()
    assert a.probabilities.tobytes() == b.probabilities.tobytes()
    assert a.score == b.score


def test_float64_lists_and_float32_are_one_thing():
    a = cluster_latents(SPACES[0], 4, "kmeans")
    b = cluster_latents([SPACES[0].astype(np.float64)], 4, "kmeans")
    np.testing.assert_array_equal(a.probabilities, b.probabilities)


def test_auto_lists_its_candidates_best_first():
    found = cluster_latents(SPACES, 4)
    assert found.method == "auto"
    assert ari(Y, found.labels) == 1
    scores = [row["score"] for row in found.candidates]
    assert scores == sorted(scores, reverse=True)
    assert len(found.members) == len(scores) > 5
    assert found.facts["head"] in {row["head"] for row in found.candidates}
    assert "candidates" not in found.facts
    for member in found.members:
        assert member.labels.shape == found.compared_rows.shape


def test_auto_throws_out_what_repeats_a_nuisance():
    rng = np.random.default_rng(0)
    dark = rng.permutation(120) % 4
    bright = np.zeros((120, 5), np.float32)
    bright[np.arange(120), dark] = 1
    spaces = [SPACES[0], SPACES[1], bright + rng.normal(0, 0.01, bright.shape)]
    found = cluster_latents(spaces, 4, nuisances={"brightness": dark + rng.random(120) / 2})
    reasons = {row["view"]: row["thrown out"] for row in found.candidates if row["thrown out"]}
    assert {view[0] for view in reasons} == {"3"}
    assert all(reason.startswith("repeats brightness") for reason in reasons.values())
    assert ari(Y, found.labels) > 0.95


@pytest.mark.parametrize("method", ["auto", "kmeans"])
def test_k_by_vote_on_clear_groups(method):
    found = cluster_latents(SPACES, "auto", method)
    assert found.vote.k == 4
    assert found.probabilities.shape == (120, 4)
    assert ari(Y, found.labels) == 1


def test_options_are_fields_of_the_config():
    noise = np.random.default_rng(1).standard_normal((150, 5))
    one, many = (cluster_latents(noise, 6, "kmeans", restarts=r) for r in (1, 50))
    assert many.facts["inertia"] <= one.facts["inertia"]
    stretched = SPACES[0] * np.geomspace(0.01, 100, 120, dtype=np.float32)[:, None]
    assert ari(Y, cluster_latents(stretched, 4, "kmeans").labels) < 0.5
    assert ari(Y, cluster_latents(stretched, 4, "kmeans", prepare="unit").labels) > 0.9


def test_auto_takes_an_effort_and_can_leave_answers_alone():
    found = cluster_latents(SPACES[0], 4, effort="quick", retrain=False)
    assert found.facts["effort"] == "quick"
    assert ari(Y, found.labels) == 1
    assert not any("retrained" in row["head"] for row in found.candidates)


def test_priors_change_sizes_and_names():
    noise = np.random.default_rng(2).standard_normal((120, 4)).astype(np.float32)
    shares = (0.7, 0.2, 0.1)
    free = cluster_latents(noise, 3, "kmeans")
    given = cluster_latents(noise, 3, "kmeans", priors=Priors(proportions=shares))
    assert np.sort(np.bincount(free.labels, minlength=3)).tolist() != [12, 24, 84]
    np.testing.assert_allclose(np.sort(np.bincount(given.labels)), [12, 24, 84], atol=2)
    anchors = tuple((i, (int(Y[i]) + 1) % 4) for i in range(8))
    named = cluster_latents(SPACES, 4, "kmeans", priors=Priors(anchors=anchors))
    np.testing.assert_array_equal(named.labels, (Y + 1) % 4)
    np.testing.assert_array_equal(named.predict(NEW).argmax(1), (Y_NEW + 1) % 4)


def test_pairs_hold():
    together = tuple((i, i + 1) for i in range(0, 8, 4))
    found = cluster_latents(SPACES, 4, "kmeans", priors=Priors(must_link=together))
    assert all(found.labels[a] == found.labels[b] for a, b in together)


HOLE = np.where(np.arange(120)[:, None] == 7, np.nan, SPACES[0])


@pytest.mark.parametrize(
    ("spaces", "k", "more", "words"),
    [
        ([], 4, {}, "at least one array"),
        ([SPACES[0], SPACES[1][:-1]], 4, {}, "n=120"),
        (SPACES[0][:, 0], 4, {}, r"n=120, d\]; got \[120\]"),
        (HOLE, 4, {}, "finite; got 8 NaN"),
        ([SPACES[0], np.full((120, 2), np.inf)], 4, {}, "finite"),
        (SPACES, 4, {"method": "kmean"}, "Did you mean 'kmeans'"),
        (SPACES, 4, {"method": "kmeans", "restart": 3}, "got restart; leave it out"),
        (SPACES, 4, {"method": "kmeans", "restarts": 0}, "restarts must be in"),
        (SPACES, 4, {"effort": "some"}, "one of quick, normal, thorough; got 'some'"),
        (SPACES, 121, {}, "got 121"),
        (SPACES, 1, {}, "got 1;"),
        (SPACES, 2.5, {}, "a whole number or auto; got 2.5"),
        (SPACES, None, {}, "a whole number or auto; got None"),
        (SPACES, "many", {}, "auto; got 'many'"),
        ([s[:9] for s in SPACES], "auto", {}, "at least 10; got 9"),
        (SPACES, 4, {"nuisances": {"size": np.ones(140)}}, r"nuisance size .* \[n=120\]"),
        (SPACES, 4, {"priors": Priors(proportions=(1, 2))}, "one number a cluster"),
    ],
)
def test_refuses_in_one_sentence(spaces, k, more, words):
    with pytest.raises(InputError, match=words):
        cluster_latents(spaces, k, **{"method": "kmeans" if "effort" not in more else "auto"}
                        | more)  # fmt: skip


def test_new_rows_are_checked_as_fitted_ones():
    found = cluster_latents(SPACES[0], 4, "kmeans")
    with pytest.raises(InputError, match="finite"):
        found.predict(HOLE)


@pytest.mark.parametrize("k", [2, 3, 5, 20])
def test_as_many_clusters_as_rows_can_be_asked_for(k):
    x = np.random.default_rng(k).standard_normal((k, 3))
    found = cluster_latents(x, k, "kmeans")
    assert sorted(found.labels.tolist()) == list(range(k))


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_name_alone_imports_nothing_heavy():
    heavy = "('numpy', 'torch', 'scipy', 'sklearn')"
    assert python(f"import imclust, sys; print([m for m in {heavy} if m in sys.modules])") == "[]"
    code = "from imclust import cluster_latents; print(cluster_latents.__module__)"
    assert python(code) == "imclust.api"


def test_an_unknown_name_is_an_attribute_error():
    import imclust

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = imclust.nothing


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_rows_of_other_spaces_than_the_fitted_are_refused(blobs, wrong):
    z, _ = blobs
    placed = cluster_latents([z, z[:, :3]], 3, method="kmeans").predict
    assert placed([z, z[:, :3]]).shape == (90, 3)
    spaces = [[z], [z[:, :3], z], [z, z[:, :2]]][wrong]
    with pytest.raises(InputError, match=r"of widths \[8, 3\]; got"):
        placed(spaces)


@pytest.mark.parametrize("entry", CLUSTERERS, ids=lambda e: e.name)
def test_more_clusters_than_different_rows_are_one_sentence_for_every_head(entry):
    z = np.repeat(np.random.default_rng(0).normal(size=(3, 8)), 12, axis=0)
    with pytest.raises(InputError, match=r"at most the number of different rows \(3\); got 4"):
        cluster_latents(z, 4, entry.name)
    with pytest.raises(InputError, match=r"different rows \(1\); got 2"):
        cluster_latents(np.ones((40, 8)), 2, entry.name)


@pytest.mark.parametrize("method", ["auto", "hdbscan", "kmeans", "umap-ward"])
def test_as_many_clusters_as_different_rows_are_these_rows(method):
    kinds = np.repeat(np.arange(5), 12)
    z = np.random.default_rng(0).normal(size=(5, 8))[kinds]
    labels = cluster_latents(z, 5, method).labels
    assert len(set(labels.tolist())) == len({*zip(kinds.tolist(), labels.tolist(), strict=True)})
