"""A run as a notebook of a code competition: tried without a network, on hidden images."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers import environment, imclust_in, make_arrays, refused, two_kinds
from imclust.competitions.handover import wheels
from imclust.competitions.handover.attempt import _alone, _stamps
from imclust.competitions.handover.kernel import build_model
from imclust.competitions.handover.settings import NotebookSettings
from imclust.competitions.handover.wheels import fetch_wheels
from imclust.competitions.replay_plan import plan_of
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


SBATCH = """#!/bin/bash
# Runs a job at once, each task of an array in turn, as a cluster would after what it depends on.
tasks=none
while [[ $1 == --* ]]; do
    [[ $1 == --array=* ]] && tasks=${1#--array=}
    echo "$1" >> "$SBATCH_SAID"
    shift
done
for task in $([[ $tasks == none ]] && echo none || seq "${tasks%-*}" "${tasks#*-}"); do
    SLURM_ARRAY_TASK_ID=$task bash "$@" >&2 || exit 1
done
echo 17
"""


@pytest.mark.parametrize("mode", ["fit", "predict"])
def test_batch_jobs_of_a_cluster_encode_in_shares_and_give_the_same_bytes(
    workspace, tmp_path, mode
):
    flags = ("--kernel", "--target", "slurm", "--no-wheels", "--mode", mode)
    status, _, err = imclust_in(
        workspace, "package", "submissions/s/one", *flags, "--out", tmp_path / "made"
    )
    assert status == 0, err
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(SBATCH)
    python = sbatch.with_name("python3")  # with the packages of this one, as a cluster's has
    python.write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    for program in (sbatch, python):
        program.chmod(0o755)
    path = f"{sbatch.parent}:{os.environ['PATH']}"
    said = tmp_path / "said"
    done = subprocess.run(
        ["bash", tmp_path / "made" / "submit.sh", workspace / "tiny", tmp_path / "out", "2"],
        env=environment(PATH=path, SBATCH_SAID=str(said)), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert said.read_text().split().count("--dependency=afterok:17") == 2
    assert "--array=0-1" in said.read_text()
    shares = sorted((tmp_path / "out" / "imclust").rglob("*-shard-*"))
    assert [p.name.rpartition("-")[2] for p in shares if p.is_dir()] == ["0", "1"]
    expected = (workspace / "submissions/s/one/submission.csv").read_bytes()
    assert (tmp_path / "out" / "submission.csv").read_bytes() == expected


def test_a_container_runs_what_the_notebook_runs(workspace, tmp_path):
    flags = ("--kernel", "--target", "docker", "--no-wheels", "--gpu")
    made = tmp_path / "made"
    status, _, err = imclust_in(workspace, "package", "submissions/s/one", *flags, "--out", made)
    assert status == 0, err
    compose = (made / "compose.yaml").read_text()
    assert "network_mode: none" in compose
    assert "/data:ro" in compose
    assert "capabilities: [gpu]" in compose
    lines = (made / "Dockerfile").read_text().splitlines()
    assert lines[0] == "FROM python:3.11-slim"
    assert any(line.startswith("RUN pip install") and "numpy==" in line for line in lines)
    (tmp_path / "out").mkdir()
    places = {"/model": made / "model", "/data": workspace / "tiny", "/out": tmp_path / "out"}
    words = [str(places.get(w, w)) for w in json.loads(lines[-1].removeprefix("ENTRYPOINT "))]
    env = next(line for line in lines if line.startswith("ENV ")).removeprefix("ENV ")
    settings = dict(word.split("=") for word in env.replace("/model", str(made / "model")).split())
    words[0] = sys.executable
    done = subprocess.run(
        words, env=environment(**settings | {"HOME": str(tmp_path)}), cwd="/",
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = (workspace / "submissions/s/one/submission.csv").read_bytes()
    assert (tmp_path / "out" / "submission.csv").read_bytes() == expected


def test_it_can_be_tried_here(workspace, tmp_path):
    flags = ("submissions/s/one", *TO, "--attempt", "--out", tmp_path / "made")
    status, said, err = imclust_in(workspace, "package", *flags)
    assert status == 0, err
    assert "input/demo-challenge: same bytes" in said
    assert "input/competitions/demo-challenge: same bytes" in said
    assert "other images, fewer of them: 41 lines" in said
    assert said.count("at this rate 9 h are enough for roughly") == 2
    assert list((tmp_path / "made").rglob("__pycache__")) == []


def test_the_notebook_can_write_nothing_where_its_input_lies(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    place = tmp_path / "input" / "demo"
    command = _alone({place: source})
    done = subprocess.run([*command, "cat", place / "a"], capture_output=True, text=True)
    assert done.stdout == "a"
    write = subprocess.run([*command, "touch", place / "b"], capture_output=True)
    before = _stamps(source)
    if not command:  # links: what happened is seen afterwards
        assert len(before) == 2
    else:
        assert write.returncode != 0
        assert len(before) == 1
        (source / "b").touch()
        assert _stamps(source) != before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--kernel",), ("--to must be kaggle:<competition>", "got nothing")),
        (("--kernel", "--to", "aicrowd:x", "--owner", "a"), ("kaggle:<competition>",)),
        (("--kernel", "--to", "kaggle:x"), ("the owner of the notebook", "--owner")),
        (("--to", "kaggle:x"), ("beside --kernel",)),
        ((*TO, "--zip"), ("--zip", "left out with --kernel")),
        ((*TO, "--file", "a/b.csv"), ("--file", "a/b.csv")),
        ((*TO, "--target", "docker"), ("--to and --attempt", "of a Kaggle notebook")),
        (("--target", "slurm"), ("beside --kernel",)),
        ((*TO, "--hours", "0"), ("hours", "got 0")),
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
    monkeypatch.setattr(wheels.subprocess, "run", lambda c, **_: asked.append(c) or answer)
    cfg = NotebookSettings(python="3.12")
    with pytest.raises(InputError, match=r"wheel for Python 3\.12 .*No matching distribution"):
        fetch_wheels(tmp_path / "wheels", ["x==1"], cfg)
    assert "manylinux2014_x86_64" in asked[0]


@pytest.mark.parametrize("licence", ["cc-by-nc-4.0", None])
def test_weights_that_may_not_be_handed_on_are_named(workspace, tmp_path, monkeypatch, licence):
    """A weights artefact as one from elsewhere, its licence as its publisher tells it."""
    monkeypatch.chdir(workspace)
    plan = plan_of(Path("submissions/s/one"))
    facts = {"weights_from": "net.safetensors"} | ({"licence": licence} if licence else {})
    docs = {n: d | facts if d["kind"] == "weights" else d for n, d in plan.docs.items()}
    plan = replace(plan, docs=docs)
    cfg = NotebookSettings(kernel=True, to="kaggle:demo", owner="alice", wheels=False)
    with pytest.raises(InputError, match=rf"net\.safetensors: {licence or 'unknown'}; .*--allow-l"):
        build_model(tmp_path / "made", plan, [], cfg)
    assert not (tmp_path / "made").exists()
    build_model(tmp_path / "made", plan, [], replace(cfg, allow_licence=True))
    assert (tmp_path / "made" / "steps.json").is_file()
