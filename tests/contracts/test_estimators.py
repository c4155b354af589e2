"""What scikit-learn asks of an estimator, of every registered clusterer."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from helpers import QUICK, quick
from imclust.clustering.clusterers import CLUSTERERS
from imclust.estimators import LatentClusterer

ALL = [entry.name for entry in CLUSTERERS]
pytestmark = pytest.mark.usefixtures("one_thread")

# Methods that fit 90 x 8 rows in less than 0.2 s, most in a hundredth; scikit-learn's checks fit
# each a hundred times. The class treats all methods alike, so these stand for the others too.
FAST = [name for name in ALL if name not in QUICK]


@pytest.fixture(scope="module")
def groups():
    """Three groups that any method tells apart: (90, 8) float32; one draw is enough here."""
    rng = np.random.default_rng(0)
    centres = 6 * rng.standard_normal((3, 8))
    return (np.repeat(centres, 30, axis=0) + rng.standard_normal((90, 8))).astype(np.float32)


@parametrize_with_checks([LatentClusterer(method=name) for name in FAST])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", ALL)
def test_it_is_the_registered_method(name, groups):
    entry = CLUSTERERS[name]
    z, options = groups, QUICK.get(name)
    want = entry.method(z, 3, quick(entry), 7)
    got = LatentClusterer(3, method=name, method_options=options, random_state=7).fit(z)
    np.testing.assert_array_equal(got.probabilities_, want.probabilities.astype(np.float32))
    np.testing.assert_array_equal(got.labels_, want.labels)
    placed = want.predict(z + 0.1).astype(np.float32)
    np.testing.assert_array_equal(got.predict_proba(z + 0.1), placed)
    told = {name: fact for name, fact in want.facts.items() if name != "candidates"}
    assert told.items() <= got.facts_.items()


def test_options_reach_the_config(groups):
    z = groups
    config = CLUSTERERS["kmeans"].config(restarts=2, prepare="unit")
    want = CLUSTERERS["kmeans"].method(z, 3, config, 0)
    options = {"restarts": 2, "prepare": "unit"}
    got = clone(LatentClusterer(3, method="kmeans", method_options=options)).fit(z)
    np.testing.assert_array_equal(got.probabilities_, want.probabilities.astype(np.float32))


def test_one_cluster_holds_everything(groups):
    z = groups
    found = LatentClusterer(1).fit(z)
    assert not found.labels_.any()
    assert found.predict_proba(z[:4]).shape == (4, 1)


def test_in_a_pipeline_and_over_a_grid(groups):
    z = groups
    model = make_pipeline(StandardScaler(), LatentClusterer(3))
    for settings in ParameterGrid({"latentclusterer__method": FAST}):
        labels = clone(model).set_params(**settings).fit_predict(z)
        assert len(set(labels.tolist())) == 3


def test_random_states_of_scikit_learn(groups):
    z = groups
    for state in (None, np.random.RandomState(0), np.int64(3)):
        assert LatentClusterer(3, method="kmeans", random_state=state).fit(z).labels_.shape == (90,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_clusters": 91}, r"from 2 to the number of rows \(90\); got 91"),
        ({"n_clusters": 0}, "got 0"),
        ({"n_clusters": -1}, "got -1"),
        ({"n_clusters": 2.5}, "a whole number or auto; got 2.5"),
        ({"method": "kmean"}, "Did you mean 'kmeans'"),
        (
            {"method": "kmeans", "method_options": {"restart": 1}},
            "options of kmeans must be of restarts, prepare",
        ),
        (
            {"method": "kmeans", "method_options": {"restarts": 0}},
            r"kmeans.restarts must be in \[1, 100000\]; got 0",
        ),
    ],
)
def test_bad_settings_are_one_sentence_in_a_value_error(settings, words, groups):
    with pytest.raises(ValueError, match=words):
        LatentClusterer(**{"n_clusters": 3, "method": "kmeans"} | settings).fit(groups)
