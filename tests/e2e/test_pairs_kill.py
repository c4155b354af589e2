"""Kill the matching of pairs in each group; its results must not differ by a byte."""

import random
import signal

from command import Started
from textures import make_individuals

GROUPS = ("ants", "bees")


def results(out):
    return {p.name: p.read_bytes() for n in ("*.csv", "*.npy") for p in out.glob(n)}


def matched(printed):
    return [line.split()[1].rstrip(":") for line in printed.splitlines() if "to match" in line]


def test_kills_end_in_the_same_bytes(imclust, tmp_path):
    make_individuals(tmp_path / "who", known=0, asked=4, images=3, groups=GROUPS)
    for line in (
        "download --out raw individuals --data-dir who",
        "train --index raw/index --out w pixels --size 16",
        "encode --index raw/index --weights w --out z",
    ):
        assert imclust(*line.split())[0] == 0
    command = [
        *("pairs", "--features", "z", "--index", "raw/index"),
        *("--threads", "1", "--side", "96", "--keypoints", "60"),
    ]

    def start(out):
        return Started(tmp_path, *command, "--out", out)

    whole = "".join(start("whole").lines)
    want = results(tmp_path / "whole")
    assert len(want) == 7
    rng = random.Random(0)
    for group in GROUPS:
        process = start("killed")
        assert any(f"group {group}:" in line for line in process.lines)
        assert process.kill() == -signal.SIGKILL
        # However far it got, the machine may have lost the last of what it wrote.
        for part in tmp_path.glob(".killed.partial/*.part"):
            kept = part.read_bytes()
            part.write_bytes(kept[: rng.randrange(len(kept) + 1)])
    status, printed = start("killed").finish()
    assert status == 0
    # What was through before the kill is not done again; nothing that resumes is left behind.
    assert matched(whole) == list(GROUPS)
    assert matched(printed) == [GROUPS[-1]]
    assert results(tmp_path / "killed") == want
    assert not list(tmp_path.glob("*/*matches*"))
