"""Real photographs, where the benchmark sets are at hand: IMCLUST_DATA, else ../shared/data."""

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from helpers import ROOT, environment

DATA = Path(os.environ.get("IMCLUST_DATA", ROOT.parent / "shared" / "data"))
CASES = {
    "blitz7": ("blitz7", "blitz7_proxy", 5, 601, "ImageID,label"),
    "weather": ("imagefolder", "weather_photos.zip", 4, 121, "id,label"),
}


def every_fourth(archive, to):
    """A zip of a quarter of the images."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(to, "w") as fewer:
        for name in sorted(n for n in source.namelist() if not n.endswith("/"))[::4]:
            fewer.writestr(name, source.read(name))
    return to


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_real_sets_end_in_a_complete_submission(case, tmp_path):
    challenge, name, k, lines, header = case
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not at hand; set IMCLUST_DATA to the folder that holds it")
    data = DATA / name
    if challenge == "imagefolder":
        data = every_fourth(data, tmp_path / "fewer.zip")
    done = subprocess.run(
        ["bash", str(ROOT / "run_baseline.sh")],
        env=environment(
            CHALLENGE=challenge,
            DATA_DIR=str(data),
            WORKSPACE=str(tmp_path),
            **({"ENCODER": "pixels"} if challenge == "blitz7" else {}),  # the other takes its own
        ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [path] = tmp_path.rglob("submission.csv")
    rows = path.read_text().splitlines()
    assert len(rows) == lines
    assert rows[0] == header
    labels = {int(r.split(",")[-1]) for r in rows[1:]}
    assert len(labels) == k
    if challenge == "imagefolder":
        assert "encoder: timm" in done.stdout or "encoder: vgg16" in done.stdout
        assert float(re.search(r"Hungarian (\d\.\d+)", done.stdout)[1]) > 0.6
