"""Kill the baseline at random moments, again and again: the submission must be the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from command import Started
from helpers import ROOT, environment, make_arrays

KILLS = 4


@pytest.fixture
def settings(tmp_path):
    """Of a short run on two kinds of images, but for its workspace."""
    data = make_arrays(tmp_path / "tiny", 32, 8)
    return {"CHALLENGE": "arrays", "DATA_DIR": str(data), "ENCODER_FLAGS": "--epochs 2"}


def started(workspace, settings):
    return Started(workspace.parent, "baseline", WORKSPACE=str(workspace), **settings)


def results(workspace):
    """Every result whose bytes are promised: submissions, weights, latents, embeddings, scores."""
    names = ("*.csv", "*.npy", "*.safetensors", "scores.json")
    files = (p for n in names for p in workspace.rglob(n))
    timed = {"index.csv", "log.csv"}  # they hold places and times
    return {p.relative_to(workspace): p.read_bytes() for p in files if p.name not in timed}


def test_many_kills_end_in_the_same_bytes(settings, tmp_path):
    """Every kill comes after a line that the run prints, so that no clock decides what is hit."""
    status, printed = started(tmp_path / "whole", settings).finish()
    assert status == 0, printed
    lines = printed.count("\n")
    rng = random.Random(0)
    for _ in range(KILLS):
        process = started(tmp_path / "killed", settings)
        for _ in zip(range(rng.randrange(1, lines // 2)), process.lines, strict=False):
            pass
        if process.kill() == 0:  # it was through already: the next one has all to do
            shutil.rmtree(tmp_path / "killed")
    status, printed = started(tmp_path / "killed", settings).finish()
    assert status == 0, printed
    want, got = results(tmp_path / "whole"), results(tmp_path / "killed")
    assert want.keys() == got.keys()
    assert [p for p in want if want[p] != got[p]] == []
    assert [p for p in want if p.name == "submission.csv"]


def test_ctrl_c_says_so_and_the_next_run_goes_on(settings, tmp_path):
    process = subprocess.Popen(
        ["bash", str(ROOT / "run_baseline.sh")],
        env=environment(WORKSPACE=str(tmp_path / "stopped"), **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Where the suite itself runs in the background, Ctrl-C would be inherited as ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if line.strip().startswith("training on"):
            break
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "interrupted; the same command goes on where it stopped" in printed
    assert "Traceback" not in printed
    status, printed = started(tmp_path / "stopped", settings).finish()
    assert status == 0, printed
    assert ": up to date" in printed
