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
        (
            "train",
            *index,
            "--out",
            "la",
            "--init-weights",
            "ae",
            "local-aggregation",
            "--epochs",
            "1",
        ),
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
    refused(imclust(*last, "local-aggregation"), "--init-weights", "given")
    refused(imclust(*last, "--init-weights", "ae", "conv-ae"), "--init-weights", "left out")
    assert imclust("train", *index, "--out", "p", "pixels")[0] == 0
    refused(imclust(*last, "--init-weights", "p", "local-aggregation"), "can be trained")


def test_a_budget_is_planned_divided_kept_and_gone_on_with(imclust, tmp_path):
    make_arrays(tmp_path / "data")
    index = ("--index", "raw/index")
    assert imclust("download", "--out", "raw", "arrays", "--data-dir", "data")[0] == 0
    plan = ("plan", *index, "--out", "plan", "--budget", "8s", "--shares", "3", "1")
    code, out, err = imclust(*plan)
    assert code == 0, err
    assert "plan for 8s: 32 px, width " in out
    side, _, precision, searches, first, second = (tmp_path / "plan/plan.txt").read_text().split()
    assert (side, float(first)) == ("32", pytest.approx(4.5))
    assert (float(second), searches) == (pytest.approx(1.5), "1")
    speeds = (tmp_path / "plan/speeds.csv").read_text()
    assert speeds.startswith("side,width,precision,images_per_second,epochs\n32,16,float32,")
    rates = {line.split(",")[2]: float(line.split(",")[3]) for line in speeds.splitlines()[1:3]}
    assert precision == max(rates, key=lambda name: rates[name])
    assert "is up to date" in imclust(*plan)[1]
    code, _, err = imclust(*plan[:4], "long", "--budget", "20m")
    assert code == 0, err
    assert (tmp_path / "long/plan.txt").read_text().split()[3] == "5"

    learn = ("train", *index, "--out", "w", "--budget", f"{first}s")
    code, out, err = imclust(*learn, "vicreg", "--size", side, "--width", "8")
    assert code == 0, err
    doc = json.loads((tmp_path / "w/manifest.json").read_text())
    assert 0.2 < doc["seconds"] < 12
    assert doc["steps"] >= 1
    assert doc["plan"]["seconds"] == pytest.approx(4.5)
    assert doc["track"] == "scratch"
    cuts = ["--cuts", *(f"{a}:{b}" for a, b in doc["cuts"])] if doc["cuts"] else []
    exact = ("train", *index, "--out", "e", *cuts, "--steps", str(doc["planned"]))
    code, _, err = imclust(*exact, "vicreg", "--size", side, "--width", "8")
    assert code == 0, err
    a, b = ((tmp_path / n / "weights.safetensors").read_bytes() for n in "we")
    assert a == b

    few = ("train", *index, "--out", "f", "--cuts", "3:7", "5:5", "--steps", "9")
    code, out, err = imclust(*few, "vicreg", "--size", side, "--width", "8")
    assert code == 0, err
    assert "after 5 steps" in out
    made = json.loads((tmp_path / "f/manifest.json").read_text())
    told = {name: made[name] for name in ("steps", "planned", "cuts")}
    assert told == {"steps": 5, "planned": 9, "cuts": [[3, 7], [5, 5]]}

    more = ("scan-net", "--n-clusters", "2", "--epochs", "2")
    assert imclust("train", *index, "--out", "s", "--init-weights", "w", *more)[0] == 0
    assert imclust("encode", *index, "--weights", "s", "--out", "z")[0] == 0
    assert json.loads((tmp_path / "z/manifest.json").read_text())["parts"] == [64, 2]

    for wrong, *words in (
        (("--budget", "soon"), "a time such as 60s"),
        (("--budget", "-5m"), "a time such as 60s"),
        (("--budget", "5m", "--steps", "3"), "--budget and --steps", "one of them"),
        (("--steps", "0"), "--steps", "at least 1"),
        (("--cuts", "3:2", "--steps", "9"), "--cuts must be STEP:STEPS", "got 3:2"),
        (("--cuts", "3:5", "--seed", "0"), "--cuts must be STEP:STEPS", "with --steps"),
    ):
        refused(imclust("train", *index, "--out", "x", *wrong, "simclr"), *words)
    refused(imclust("train", *index, "--out", "x", "--budget", "5m", "simclr", "--epochs", "3"),
            "--epochs and --budget")  # fmt: skip
    refused(
        imclust("train", *index, "--out", "x", "--init-weights", "raw/index", "scan-net"), "weights"
    )
    refused(imclust("plan", *index, "--out", "p", "--encoder", "pixels"), "--encoder", "simclr")
    refused(imclust("plan", *index, "--out", "p", "--shares", "1", "0"), "--shares", "above 0")
    refused(
        imclust("plan", *index, "--out", "p", "--aside", "-1"), "plan.aside must be in [0, 3600]"
    )
