"""Kill the fine-tuning in each of its steps; its results must not differ by a byte."""

import random
import signal
import time

from command import Started
from helpers import make_arrays
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import write_csv

STEPS = ("probe: learning", "last 1 block: learning", "last 3 blocks: learning")


def results(out):
    names = ("*.safetensors", "*.jsonl", "*.csv", "*.npy")
    return {p.relative_to(out): p.read_bytes() for n in names for p in out.rglob(n)}


def test_kills_end_in_the_same_bytes(imclust, tmp_path):
    make_arrays(tmp_path / "data", 24, 8)
    assert imclust("download", "--out", "raw", "arrays", "--data-dir", "data")[0] == 0
    assert imclust("train", "--index", "raw/index", "--out", "w", "conv-ae", "--epochs", 1)[0] == 0

    def write(folder):
        table = ((str(i), str(i % 2)) for i in range(24))
        write_csv(folder / "labels.csv", ("id", "label"), table)
        return {}

    make_artifact(tmp_path / "given", ArtifactSpec("published", {}, {}, ()), write)
    command = [
        *("finetune", "--index", "raw/index", "--weights", "w"),
        *("--published", "given", "--stages", "0", "1", "all", "--epochs", "4", "--device", "cpu"),
    ]

    def start(out):
        return Started(tmp_path, *command, "--out", out)

    assert start("whole").finish()[0] == 0
    rng = random.Random(0)
    for step in STEPS:
        process = start("killed")
        assert any(step in line for line in process.lines)
        time.sleep(rng.uniform(0, 0.1))
        assert process.kill() == -signal.SIGKILL
    status, printed = start("killed").finish()
    assert status == 0
    assert STEPS[0] not in printed
    want, got = results(tmp_path / "whole"), results(tmp_path / "killed")
    assert len(want) == 7
    assert want.keys() == got.keys()
    assert [p for p in want if want[p] != got[p]] == []
