"""An encoder that goes on from another's weights, by the command line."""

import json

import numpy as np
import pytest

from helpers import make_arrays, refused


@pytest.mark.slow
def test_local_aggregation_starts_from_an_autoencoder(imclust, tmp_path):
    make_arrays(tmp_path / "data")
    index = ("--index", "raw/index")
    chain = [
        ("download", "--out", "raw", "arrays", "--data-dir", "data"),
        ("train", *index, "--out", "ae", "conv-ae", "--epochs", "1"),
        ("train", *index, "--out", "la", "--start", "ae", "local-aggregation", "--epochs", "1"),
        ("encode", *index, "--weights", "la", "--out", "z"),
    ]
    for line in chain:
        code, _, err = imclust(*line)
        assert code == 0, err
    z = np.load(tmp_path / "z" / "x.npy", allow_pickle=False)
    assert z.shape == (80, 256)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    doc = json.loads((tmp_path / "la" / "manifest.json").read_text())
    assert doc["config"]["base"]["method"] == "conv-ae"
    assert doc["track"] == "scratch"

    last = ("train", *index, "--out", "x")
    refused(imclust(*last, "local-aggregation"), "--start", "given")
    refused(imclust(*last, "--start", "ae", "conv-ae"), "--start", "left out")
    assert imclust("train", *index, "--out", "p", "pixels")[0] == 0
    refused(imclust(*last, "--start", "p", "local-aggregation"), "can be trained")
