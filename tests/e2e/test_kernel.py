"""A run as a notebook of a code competition: tried without a network, on hidden images."""

import json
import subprocess
import sys

import numpy as np
import pytest

from helpers import environment, imclust_in, make_arrays, refused, two_kinds
from imclust.competitions.handover import kernel
from imclust.competitions.handover.kernel import KernelSettings, fetch_wheels
from imclust.core.errors import InputError

STAGES = (
    "download --out data/raw arrays --data-dir tiny",
    "train --index data/raw/index --out data/w pixels",
    "encode --index data/raw/index --weights data/w --out data/z",
    "reduce --features data/z --out data/pca pca --components 5",
    "cluster --features data/z --index data/raw/index --out data/a kmeans",
    "cluster --features data/pca --index data/raw/index --out data/b kmeans",
    "submit --assignment data/a --index data/raw/index --out submissions/s/one",
    "submit --assignment data/b --index data/raw/index --out submissions/s/reduced",
)
TO = ("--kernel", "--to", "kaggle:demo-challenge", "--owner", "alice", "--no-wheels")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    top = tmp_path_factory.mktemp("workspace")
    make_arrays(top / "tiny")
    for line in STAGES:
        status, _, err = imclust_in(top, *line.split())
        assert status == 0, err
    return top


def run_notebook(made, data, top):
    """The notebook's script on a competition's data: the bytes of its submission."""
    places = {"competitions/demo-challenge": data}
    for part in ("model", "wheels"):
        if (made / part).is_dir():
            doc = json.loads((made / part / "dataset-metadata.json").read_text())
            places[doc["id"].split("/")[1]] = made / part
    for name, folder in places.items():
        (top / "input" / name).parent.mkdir(parents=True, exist_ok=True)
        (top / "input" / name).symlink_to(folder)
    (top / "working").mkdir()
    env = environment(KAGGLE_INPUT=str(top / "input"), KAGGLE_WORKING=str(top / "working"))
    env |= {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, made / "kernel" / "run.py"],
        cwd="/", env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (top / "working" / "submission.csv").read_bytes()


@pytest.mark.parametrize("mode", ["fit", "predict"])
def test_the_same_images_give_the_same_bytes_and_others_are_clustered(workspace, tmp_path, mode):
    out = tmp_path / "made"
    flags = ("submissions/s/one", *TO, "--mode", mode, "--out", out)
    status, said, err = imclust_in(workspace, "package", *flags)
    assert status == 0, err
    assert "model: " in said
    doc = json.loads((out / "kernel" / "kernel-metadata.json").read_text())
    assert doc["enable_internet"] is False
    assert doc["competition_sources"] == ["demo-challenge"]
    assert doc["id"].startswith("alice/demo-challenge-")
    assert len(doc["dataset_sources"][0].split("/")[1]) <= 50
    paths = [p for p in out.rglob("*") if p.is_file()]
    assert [p for p in paths if str(workspace).encode() in p.read_bytes()] == []
    notebook = json.loads((out / "kernel" / "run.ipynb").read_text())
    script = "".join(notebook["cells"][0]["source"])
    assert script == (out / "kernel" / "run.py").read_text()
    expected = (workspace / "submissions/s/one/submission.csv").read_bytes()
    assert run_notebook(out, workspace / "tiny", tmp_path / "same") == expected

    hidden = tmp_path / "hidden"
    hidden.mkdir()
    images, kinds = two_kinds(40, seed=7)
    np.save(hidden / "trainX.npy", images)
    rows = run_notebook(out, hidden, tmp_path / "other").decode().split()[1:]
    labels = np.array([int(row.split(",")[1]) for row in rows])
    assert len(labels) == 40
    assert max(np.mean(labels == kinds), np.mean(labels != kinds)) == 1
    if mode == "predict":  # the numbers mean what they meant in the run
        known = [int(row.split(",")[1]) for row in expected.decode().split()[1:]]
        assert (labels == kinds).all() == (np.array(known) == two_kinds(60)[1]).all()


def test_it_can_be_tried_here(workspace, tmp_path):
    flags = ("submissions/s/one", *TO, "--attempt", "--out", tmp_path / "made")
    status, said, err = imclust_in(workspace, "package", *flags)
    assert status == 0, err
    assert "input/demo-challenge: same bytes" in said
    assert "input/competitions/demo-challenge: same bytes" in said
    assert "other images, fewer of them: 41 lines" in said
    assert list((tmp_path / "made").rglob("__pycache__")) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--kernel",), ("--to must be kaggle:<competition>", "got nothing")),
        (("--kernel", "--to", "aicrowd:x", "--owner", "a"), ("kaggle:<competition>",)),
        (("--kernel", "--to", "kaggle:x"), ("the owner of the notebook", "--owner")),
        (("--to", "kaggle:x"), ("beside --kernel",)),
        ((*TO, "--zip"), ("--zip", "left out with --kernel")),
        ((*TO, "--file", "a/b.csv"), ("--file", "a/b.csv")),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(workspace, tmp_path, flags, words):
    more = ("submissions/s/one", *flags, "--out", tmp_path / "made")
    refused(imclust_in(workspace, "package", *more), *words)
    assert not (tmp_path / "made").exists()


def test_clusters_that_later_images_cannot_be_placed_in(workspace, tmp_path):
    more = ("submissions/s/reduced", *TO, "--mode", "predict", "--out", tmp_path / "made")
    refused(imclust_in(workspace, "package", *more), "--mode predict", "--mode fit")
    assert not (tmp_path / "made").exists()


def test_a_package_without_a_wheel_for_the_target_is_named(tmp_path, monkeypatch):
    answer = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution for x==1\n")
    asked = []
    monkeypatch.setattr(kernel.subprocess, "run", lambda c, **_: asked.append(c) or answer)
    cfg = KernelSettings("demo", "alice", python="3.12")
    with pytest.raises(InputError, match=r"wheel for Python 3\.12 .*No matching distribution"):
        fetch_wheels(tmp_path / "wheels", ["x==1"], cfg)
    assert "manylinux2014_x86_64" in asked[0]
