"""Every command of the README is run, as it stands there."""

import json
import re
import subprocess
import sys
import zipfile

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from helpers import ROOT, environment, homework, make_arrays, make_pairs, two_kinds
from imclust.clustering.corrections import FORMAT
from imclust.core.manifest import file_digest
from imclust.encoders.timm import Timm, TimmConfig
from imclust.encoders.vgg16 import VGG16, VGG16Config
from standin import AICROWD_KEY, KAGGLE_TOKEN
from topics import make_table

README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs" / "tour.md").read_text()


def commands(page):
    """The lines of its bash blocks, continued ones as one."""
    blocks = re.findall(r"```bash\n(.*?)```", page, re.S)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]


LINES = commands(README)
SCRIPT = [line for line in LINES if "bash run_baseline.sh" in line]
STAGES = [line for line in LINES if line.startswith("python -m imclust")]
LEARNS = {"bash run_baseline.sh"}
KEYS = {"AICROWD_API_KEY": AICROWD_KEY, "KAGGLE_API_TOKEN": KAGGLE_TOKEN}
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
    my = tmp_path / "my"
    for i, (x, y) in enumerate(zip(*two_kinds(24), strict=True)):
        for at in (my / "images", my / "tree" / "ab"[y]):
            at.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(at / f"{i}.png")
    for name, n, seed in (("photos", 100, 2), ("later", 3, 3)):
        for i, x in enumerate(two_kinds(n, seed)[0]):
            at = my / name / f"{i % 3}"
            at.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(at / f"{i}.png")
    (my / "blitz7").mkdir()
    with zipfile.ZipFile(my / "blitz7" / "test.zip", "w") as z:
        for path in (my / "images").iterdir():
            z.write(path, f"test/{path.name}")
    sample = "ImageID,label\n" + "".join(f"{i},0\n" for i in range(24))
    (my / "blitz7" / "sample_submission.csv").write_text(sample)
    make_table(my / "texts.csv")
    make_pairs(my / "pairs")
    ids = [*map(str, range(60)), *(f"val-{i}" for i in range(20))]
    words = "".join(
        f"{i},a picture of the {'sun' if n % 2 else 'sea'}\n" for n, i in enumerate(ids)
    )
    (my / "captions.csv").write_text("id,text\n" + words)
    return tmp_path


def make_weights(line, place):
    """The file that a line names, with random numbers of the right shapes in it."""
    if "vgg16" in line:
        torch.save(VGG16(VGG16Config()).network().state_dict(), place / "vgg16-397923af.pth")
    elif "WEIGHTS" in line:
        network = Timm(TimmConfig(model="resnet18")).network()
        save_file(network.state_dict(), place / "model.safetensors")


def save_corrections(my):
    """The file that the page of `clusters` would save."""
    said = {"names": {"0": "sea"}, "move": {"0": 1}}
    shown = file_digest(my / "clusters" / "assignment.csv")
    doc = {"format": FORMAT, "assignment": shown, **said}
    (my / "corrections.json").write_text(json.dumps(doc))


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
def test_the_script_as_the_readme_calls_it(line, place, standin):
    """Learning is left in the first line and made short in the others, to save time."""
    env = {}
    scratch = "scratch-best" in line
    line = line.replace("BUDGET=20m", "BUDGET=12s")
    if (
        line not in LEARNS
        and not line.startswith("ENCODER")
        and "texts" not in line
        and not scratch
    ):
        env["ENCODER"] = "conv-ae" if "FINETUNE" in line else "pixels"
    make_weights(line, place)
    if "hw9" in line:
        env["PREDICTOR"] = "kmeans"  # the homework's takes a while on so many images
    if "hw9" in line or "BOARD" in line:
        standin.drive = homework()
        standin.files = {"arrays.npy.zip": arrays_in_a_zip(place)}
        env |= standin.environment(place, **KEYS)
    command = line.replace("run_baseline.sh", str(ROOT / "run_baseline.sh"))
    done = shell(command, place, **env)
    assert done.returncode == 0, done.stderr[-2000:]
    [submission] = (place / "submissions").rglob("submission.csv")
    assert str(submission) in done.stdout
    if line == "bash run_baseline.sh":
        accuracy = [float(a) for a in re.findall(r"1-acc\) (\d\.\d+)", done.stdout)]
        assert min(accuracy) >= 0.80
        assert len(submission.read_text().splitlines()) == 2001
    if line == "CHALLENGE=digits bash run_baseline.sh":
        assert float(re.search(r"Hungarian (\d\.\d+)", done.stdout)[1]) > 0.75


def arrays_in_a_zip(place):
    """What a challenge that is called by its name hands out."""
    path = place / "arrays.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.write(place / "my" / "arrays" / "trainX.npy", "trainX.npy")
    return path.read_bytes()


def test_the_stages_one_by_one(place, standin):
    standin.polls = 0
    env = standin.environment(place, **KEYS)
    for line in STAGES:
        if "--corrections" in line:
            save_corrections(place / "my")
        done = shell(line, place, **env)
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
    assert (place / "my" / "submission" / "submission.csv").exists()
    assert [s["service"] for s in standin.submissions] == ["kaggle"]
    assert standin.unknown == []


def python(page, place):
    for code in re.findall(r"```python\n(.*?)```", page, re.S):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_the_python_lines_work(place):
    python(README, place)


def test_the_tour(place):
    lines = commands(TOUR)
    assert len(lines) >= 4
    for line in lines:
        done = shell(line, place)
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
    assert "K = " in done.stdout
    python(TOUR, place)
    runs = place / "data" / "runs" / "folder-photos"
    assert {p.name for p in runs.glob("timm-auto-*-seed0")} == {
        "timm-auto-kauto-seed0",
        "timm-auto-k2-seed0",
    }
    assert (runs / "timm-auto-k2-seed0" / "new-later" / "assignments.csv").is_file()


def test_links_and_files_that_the_readme_names_exist():
    for page, home in ((README, ROOT), (TOUR, ROOT / "docs")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page):
            assert (home / target).exists(), target
    for name in re.findall(
        r"`((?:src|tests|benchmarks|data|submissions|scripts)/[\w./-]+)`", README
    ):
        if not name.startswith(("data/r", "submissions/p")):
            assert (ROOT / name).exists(), name
