"""RECIPE=scratch-best by the shell script: planned, killed, gone on with, answered in time."""

import json
import subprocess
import time

import pytest

from command import Started
from helpers import ROOT, environment, make_arrays
from imclust.cli.run_paths import RunPaths
from imclust.cli.scratch_steps import expected_of, scratch_steps

HOME = "data/runs/arrays-tiny/scratch-best-12s-seed0"  # what it learned


def start(workspace, data, **more):
    settings = {"RECIPE": "scratch-best", "BUDGET": "12s", "CHALLENGE": "arrays"} | more
    return subprocess.Popen(
        ["bash", str(ROOT / "run_baseline.sh")],
        env=environment(DATA_DIR=str(data), WORKSPACE=str(workspace), **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_killed_in_training_it_goes_on_and_answers_with_both_encoders(tmp_path):
    data = make_arrays(tmp_path / "tiny")
    settings = {"RECIPE": "scratch-best", "BUDGET": "12s", "CHALLENGE": "arrays"}
    places = {"DATA_DIR": str(data), "WORKSPACE": str(tmp_path)}
    process = Started(tmp_path, "baseline", **settings, **places)
    resume = tmp_path / HOME / ".simclr.partial" / "resume.pt"
    waited = time.monotonic()
    while not resume.is_file() and time.monotonic() - waited < 120:
        assert process.child.exitcode is None, process.finish()
        time.sleep(0.05)
    process.kill()
    assert resume.is_file()
    process = start(tmp_path, data)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed[-2000:]
    assert "plan for 12s: 32 px" in printed
    plan = (tmp_path / HOME / "plan/plan.txt").read_text().split()
    for name, seconds in (("simclr", float(plan[4])), ("pseudo-labels", float(plan[5]))):
        doc = json.loads((tmp_path / HOME / name / "manifest.json").read_text())
        assert doc["plan"]["seconds"] == pytest.approx(seconds)
        assert doc["plan"]["precision"] == plan[2]
        assert doc["track"] == "scratch"
    at = RunPaths(tmp_path, "arrays-tiny", "any", "scratch-best", 0, ("12s",))
    _, spaces, *_ = scratch_steps(at, "12s", ())
    told = expected_of("12s", {"train": 60, "val": 20})  # before there is a plan
    assert told["simclr"] == pytest.approx(spaces.expected["simclr"])
    assert spaces.expected["simclr"] == pytest.approx(float(plan[4]), abs=0.1)
    assert len([role for role in doc["inputs_at"] if role.startswith("features")]) == 8
    [run] = (tmp_path / "data/runs/arrays-tiny").glob("scratch-best-auto-seed0-*")
    clusters = json.loads((run / "clusters/manifest.json").read_text())
    assert {"features", "features 2"} <= set(clusters["inputs_at"])
    assert clusters["config"]["method"] == "auto"
    scores = json.loads((run / "scores/scores.json").read_text())
    assert scores["val_through"]["hungarian"] >= 0.8  # two kinds, learned for as long as 12 s allow
    submission = tmp_path / "submissions/arrays-tiny" / run.name
    assert (submission / "submission_inverted.csv").is_file()
    # The plan of an earlier program, in fewer words, is made again, not read.
    manifest = tmp_path / HOME / "plan/manifest.json"
    old = json.loads(manifest.read_text())
    del old["search_seconds"]
    manifest.write_text(json.dumps(old))
    (manifest.parent / "plan.txt").write_text("32 16 quick 4.5 4.5\n")
    process = start(tmp_path, data, DRY_RUN="1")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed[-2000:]
    assert "# the plan says how large the networks are" in printed


def test_it_takes_no_encoder_and_no_texts(tmp_path):
    data = make_arrays(tmp_path / "tiny")
    process = start(tmp_path, data, ENCODER="pixels")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "RECIPE=scratch-best must be without ENCODER" in printed
