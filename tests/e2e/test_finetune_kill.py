"""Kill the fine-tuning in each of its steps; its results must not differ by a byte."""

import random
import signal
import subprocess
import sys
import time

from helpers import environment, make_arrays
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import write_csv

STEPS = ("probe: learning", "last 1 block: learning", "last 3 blocks: learning")


def results(out):
    names = ("*.safetensors", "*.jsonl", "*.csv", "*.npy")
    return {p.relative_to(out): p.read_bytes() for n in names for p in out.rglob(n)}


def test_kills_end_in_the_same_bytes(imclust, tmp_path):
    make_arrays(tmp_path / "data")
    assert imclust("download", "--out", "raw", "arrays", "--data-dir", "data")[0] == 0
    assert imclust("train", "--index", "raw/index", "--out", "w", "conv-ae", "--epochs", 1)[0] == 0

    def write(folder):
        table = ((str(i), str(i % 2)) for i in range(60))
        write_csv(folder / "labels.csv", ("id", "label"), table)
        return {}

    make_artifact(tmp_path / "given", ArtifactSpec("published", {}, {}, ()), write)
    command = [
        *(sys.executable, "-m", "imclust", "finetune", "--index", "raw/index", "--weights", "w"),
        *("--published", "given", "--stages", "0", "1", "all", "--epochs", "12", "--device", "cpu"),
    ]

    def start(out):
        return subprocess.Popen(
            [*command, "--out", out],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(process):
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return printed

    finish(start("whole"))
    rng = random.Random(0)
    for step in STEPS:
        process = start("killed")
        assert any(step in line for line in process.stdout)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert STEPS[0] not in finish(start("killed"))
    want, got = results(tmp_path / "whole"), results(tmp_path / "killed")
    assert len(want) == 7
    assert want.keys() == got.keys()
    assert [p for p in want if want[p] != got[p]] == []
