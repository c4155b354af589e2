"""A small part of `benchmarks/robustness`: damages, kills, full disks and odd inputs."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import robustness
from imclust import cluster_latents
from imclust.core.errors import InputError

FEW = {"damages": 12, "kills": 4, "disks": 4, "inputs": 21}


@pytest.mark.parametrize("kind", FEW)
def test_nothing_is_silently_wrong_and_nothing_ends_in_a_traceback(kind, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = robustness.run([kind], FEW[kind], seed=20)
    assert found["bad"] == []
    assert sum(found["counts"][kind].values()) == FEW[kind]


def test_the_harness_sees_a_wrong_answer(tmp_path):
    """What it is there for: it must not be blind."""
    from robustness_disturbances import ANSWER, judged

    (tmp_path / "s").mkdir()
    (tmp_path / ANSWER).write_bytes(b"id,label\n0,1\n")
    assert judged(0, "", b"id,label\n0,0\n", tmp_path) == "wrong"
    assert judged(0, "", b"id,label\n0,1\n", tmp_path) == "right"
    assert judged(-1, "Traceback", b"", tmp_path) == "traceback"
    assert judged(2, "imclust cluster: no.", b"", tmp_path) == "refused"
    assert judged(2, "two\nlines", b"", tmp_path) == "traceback"


ARRAYS = hnp.arrays(
    dtype=st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ARRAYS, st.integers(-2, 14))
def test_any_array_gives_labels_or_one_sentence(z, k):
    try:
        found = cluster_latents(z, k, "kmeans")
    except InputError as e:
        refused = str(e)
        assert "\n" not in refused
        return
    assert found.labels.shape == (len(z),)
    assert found.probabilities.shape == (len(z), k)
    assert np.isfinite(found.probabilities).all()
