"""Every command of the README is run, as it stands there."""

import re
import subprocess
import sys

import pytest
from PIL import Image

from helpers import ROOT, Drive, environment, make_arrays, two_kinds

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.S)
LINES = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line]
SCRIPT = [line for line in LINES if "bash run_baseline.sh" in line]
STAGES = [line for line in LINES if line.startswith("python -m imclust")]
LEARNS = {"bash run_baseline.sh", "CHALLENGE=digits bash run_baseline.sh"}
ELSEWHERE = ("git clone", "cd imclust", "bash run_tests.sh", "pip install", "python benchmarks/")


def test_no_command_escapes_this_test():
    assert len(SCRIPT) >= 6
    assert len(STAGES) >= 8
    others = set(LINES) - set(SCRIPT) - set(STAGES)
    assert [line for line in others if not line.startswith(ELSEWHERE)] == []


@pytest.fixture
def place(tmp_path):
    """A folder with the data that the README's examples name."""
    make_arrays(tmp_path / "my" / "arrays")
    for i, (x, y) in enumerate(zip(*two_kinds(24), strict=True)):
        for at in (tmp_path / "my" / "images", tmp_path / "my" / "tree" / "ab"[y]):
            at.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(at / f"{i}.png")
    return tmp_path


def shell(line, place, **env):
    return subprocess.run(
        ["bash", "-c", line],
        cwd=place,
        env=environment(WORKSPACE=str(place), **env),
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.parametrize("line", SCRIPT)
def test_the_script_as_the_readme_calls_it(line, place):
    """Learning is left in the first two lines and taken out of the others, to save time."""
    env = {}
    if line not in LEARNS:
        env["ENCODER"] = "pixels"
    drive = None
    if "hw9" in line:
        drive = Drive(place)
        env |= drive.environment()
    command = line.replace("run_baseline.sh", str(ROOT / "run_baseline.sh"))
    done = shell(command, place, **env)
    if drive:
        drive.server.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    [submission] = (place / "submissions").rglob("submission.csv")
    assert str(submission) in done.stdout
    if line == "bash run_baseline.sh":
        accuracy = [float(a) for a in re.findall(r"1-acc\) (\d\.\d+)", done.stdout)]
        assert min(accuracy) >= 0.80
        assert len(submission.read_text().splitlines()) == 2001
    if line == "CHALLENGE=digits bash run_baseline.sh":
        assert float(re.search(r"Hungarian (\d\.\d+)", done.stdout)[1]) > 0.75


def test_the_stages_one_by_one(place):
    for line in STAGES:
        done = shell(line, place)
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
    assert (place / "my" / "submission" / "submission.csv").exists()


def test_the_python_lines_work(tmp_path):
    for code in re.findall(r"```python\n(.*?)```", README, re.S):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_links_and_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    for name in re.findall(
        r"`((?:src|tests|benchmarks|data|submissions|scripts)/[\w./-]+)`", README
    ):
        if not name.startswith(("data/r", "submissions/p")):
            assert (ROOT / name).exists(), name
