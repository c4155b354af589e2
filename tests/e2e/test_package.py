"""A hand-over is moved to another place and run there with nothing but its own source."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from helpers import ROOT, environment, imclust_in, make_arrays, refused
from imclust.competitions.ledger import change, read

KEYS = {"AICROWD_API_KEY": "planted-aicrowd-key", "KAGGLE_KEY": "planted-kaggle-key"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run of the script on the user's own arrays, with a scored submission."""
    top = tmp_path_factory.mktemp("someone-home")
    data = make_arrays(top / "tiny")
    env = {"CHALLENGE": "arrays", "DATA_DIR": str(data), "WORKSPACE": str(top)}
    env |= {"ENCODER": "pixels", "PREDICTOR": "kmeans", **KEYS}
    script = ["bash", str(ROOT / "run_baseline.sh")]
    done = subprocess.run(script, env=environment(**env), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    log = top / "submissions" / "log.csv"
    change(log, read(log)[0].key, public="0.875", rank="3", state="scored", ref="1")
    return top, top / "submissions" / "arrays-tiny" / "pixels-kmeans-seed0"


@pytest.fixture(scope="module")
def package(run, tmp_path_factory):
    """The package, moved to where nothing of the run is."""
    top, submission = run
    out = top / "packages" / "mine"
    log = ("--log", top / "submissions/log.csv")
    status, _, err = imclust_in(top, "package", submission, "--out", out, *log, **KEYS)
    assert status == 0, err
    return shutil.move(out, tmp_path_factory.mktemp("judge") / "theirs")


def act(package, name):
    return subprocess.run(
        [sys.executable, str(package / f"{name}.py")],
        cwd="/",
        env=environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
    )


def test_no_path_of_ours_no_key_no_name(run, package):
    banned = [str(run[0]), run[0].name, str(ROOT), sys.prefix, str(Path.home()), *KEYS.values()]
    listed = (package / "directory_structure.txt").read_text().split()
    for path in (package / name for name in listed):
        data = path.read_bytes()
        assert [b for b in banned if b.encode() in data] == [], path


def test_predict_and_retraining_give_the_same_bytes(run, package):
    bare = act(package, "predict")
    assert bare.returncode == 2
    assert "put the competition's data there" in bare.stderr
    shutil.copytree(run[0] / "tiny", package / "data" / "raw" / "tiny")
    done = act(package, "predict")
    assert done.returncode == 0, done.stderr
    assert "same bytes as in submission/" in done.stdout
    for path in run[1].glob("*.csv"):
        assert (package / "predictions" / path.name).read_bytes() == path.read_bytes()
        assert (package / "submission" / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(package / "models" / "data" / "runs")
    for name in ("prepare_data", "train", "predict"):
        done = act(package, name)
        assert done.returncode == 0, done.stderr
    assert "same bytes as in submission/" in done.stdout


def test_the_pages_say_what_is_asked(package):
    readme = (package / "README.md").read_text()
    for words in ("processor", "Python", "GPU", "Side effects", "python predict.py", "`tiny`"):
        assert words in readme
    summary = (package / "MODEL_SUMMARY.md").read_text()
    assert [f"## A{n}." in summary for n in range(1, 10)] == [True] * 9
    assert "0.875" in summary
    assert "Rank: 3" in summary
    assert "Lloyd 1982" in summary
    settings = json.loads((package / "SETTINGS.json").read_text())
    assert set(settings) >= {"RAW_DATA_DIR", "CHECKPOINT_DIR", "MODEL_DIR", "SUBMISSION_DIR"}
    assert (package / "requirements.txt").read_text() == (ROOT / "requirements.txt").read_text()
    listed = (package / "directory_structure.txt").read_text().split()
    assert {"README.md", "entry_points.md", "train.py", "submission/SHA256SUMS"} <= set(listed)
    assert "$" not in readme.replace("${", "")
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=package / "submission", capture_output=True
    )
    assert done.returncode == 0


def test_the_zip_is_the_same_every_time_and_nothing_is_overwritten(run):
    top, submission = run
    log = ("--log", top / "submissions/log.csv")
    for name in ("a", "b"):
        out = top / "zips" / name / "hand-over"
        assert imclust_in(top, "package", submission, "--zip", "--out", out, *log, **KEYS)[0] == 0
    a, b = (top / "zips" / name / "hand-over.zip" for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()
    assert not (top / "zips" / "a" / "hand-over").exists()
    with zipfile.ZipFile(a) as z:
        assert z.testzip() is None
        assert "hand-over/predict.py" in z.namelist()
    again = imclust_in(top, "package", submission, "--zip", "--out", a.with_suffix(""), *log)
    refused(again, "a new place", "set --out")
    full = top / "full"
    full.mkdir()
    (full / "mine").write_text("x")
    again = imclust_in(top, "package", submission, "--out", full, *log)
    refused(again, "something there already")
    assert (full / "mine").read_text() == "x"
