"""Every command and every line of Python in the README and in docs/ is run, as it stands there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import imclust
from command import python_in
from helpers import (
    ROOT,
    environment,
    homework,
    make_arrays,
    make_list,
    make_pairs,
    make_parquet,
    make_shards,
    two_kinds,
)
from imclust.__main__ import main
from imclust.clustering.corrections import FORMAT
from imclust.competitions.challenges.hw9 import SHAPES
from imclust.core.manifest import file_digest
from imclust.encoders.timm import Timm, TimmConfig
from imclust.encoders.vgg16 import VGG16, VGG16Config
from standin import AICROWD_KEY, KAGGLE_TOKEN
from textures import make_individuals
from topics import make_table

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
}
KEYS = {"AICROWD_API_KEY": AICROWD_KEY, "KAGGLE_API_TOKEN": KAGGLE_TOKEN}
# Run by this very suite, or about the reader's own machine.
ELSEWHERE = ("git clone", "cd imclust", "bash run_tests.sh", "pip install", "python benchmarks/",
             ". .venv/bin/activate")  # fmt: skip
# Settings that make learning short where a page's line would train for longer.
SHORT = (
    (r"\bBUDGET=\S+", "BUDGET=12s"),
    (r"--budget \S+", "--budget 2s"),
    (r"--epochs 5", "--epochs 1"),
)


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def commands(page):
    """The lines of its bash blocks, continued ones as one."""
    text = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


LINES = {(name, line) for name, page in PAGES.items() for line in commands(page)}
SCRIPT = sorted({line for _, line in LINES if "run_baseline.sh" in line})
STAGED = sorted(name for name in PAGES if any(n == name and "imclust" in c for n, c in LINES))


def test_no_command_escapes_this_test():
    assert len(SCRIPT) >= 12
    others = {
        line
        for _, line in LINES
        if "run_baseline.sh" not in line and not line.startswith("python -m imclust")
    }
    assert [line for line in others if not line.startswith(ELSEWHERE)] == []


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 220


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the data that the examples of the pages name, to run them in."""
    make_data(tmp_path / "my")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_data(my):
    make_arrays(my / "arrays")
    for i, (x, y) in enumerate(zip(*two_kinds(24), strict=True)):
        for at in (my / "images", my / "tree" / "ab"[y]):
            at.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(at / f"{i}.png")
    for name, n, seed in (("photos", 60, 2), ("later", 3, 3)):
        for i, x in enumerate(two_kinds(n, seed)[0]):
            at = my / name / f"{i % 3}"
            at.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(at / f"{i}.png")
    (my / "blitz7").mkdir()
    with zipfile.ZipFile(my / "blitz7" / "test.zip", "w") as z:
        for i in range(6):
            z.write(my / "images" / f"{i}.png", f"test/{i}.png")
    sample = "ImageID,label\n" + "".join(f"{i},0\n" for i in range(6))
    (my / "blitz7" / "sample_submission.csv").write_text(sample)
    make_table(my / "texts.csv")
    make_pairs(my / "pairs")
    make_individuals(my / "who", 4, 3, 3)
    make_shards(my / "shards", 24)
    make_parquet(my / "images.parquet")
    make_list(my)
    ids = [*map(str, range(60)), *(f"val-{i}" for i in range(20))]
    words = "".join(
        f"{i},a picture of the {'sun' if n % 2 else 'sea'}\n" for n, i in enumerate(ids)
    )
    (my / "captions.csv").write_text("id,text\n" + words)


@pytest.fixture(scope="module")
def after_stages(tmp_path_factory):
    """A folder where the commands of docs/stages.md were run, and a copy to put it back from."""
    home = tmp_path_factory.mktemp("staged")
    make_data(home / "place" / "my")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home / "place")
        for line in STAGES:
            assert run_line(line, patch) == 0, line
    shutil.copytree(home / "place", home / "copy")
    return home


@pytest.fixture
def staged(after_stages, monkeypatch):
    """The folder as docs/stages.md leaves it, at the path that its manifests name."""
    place = after_stages / "place"
    shutil.rmtree(place)
    shutil.copytree(after_stages / "copy", place)
    monkeypatch.chdir(place)
    return place


def make_weights(line, place):
    """The file that a line names, with random numbers of the right shapes in it."""
    if "vgg16" in line:
        torch.save(VGG16(VGG16Config()).network().state_dict(), place / "vgg16-397923af.pth")
    elif "WEIGHTS" in line:
        network = Timm(TimmConfig(model="resnet18")).network()
        save_file(network.state_dict(), place / "model.safetensors")


def save_corrections(my):
    """The files that the pages of `clusters` and `who-clusters` would save."""
    said = {"": {"names": {"0": "sea"}, "move": {"0": 1}}, "who-": {"cannot_link": [["0", "20"]]}}
    for prefix, words in said.items():
        table = my / f"{prefix}clusters" / "assignment.csv"
        if table.is_file():
            doc = {"format": FORMAT, "assignment": file_digest(table), **words}
            (my / f"{prefix}corrections.json").write_text(json.dumps(doc))


def run_line(line, monkeypatch):
    """A line of a shell that calls imclust, in this process, learning made short: its status."""
    for long, short in SHORT:
        line = re.sub(long, short, line)
    words = shlex.split(line)
    while "=" in words[0] and not words[0].startswith("-"):
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    if words[:2] == ["bash", "run_baseline.sh"]:
        words = ["python", "-m", "imclust", "baseline", *words[2:]]
    assert words[:3] == ["python", "-m", "imclust"], line
    try:
        return main(words[3:])
    except SystemExit as e:  # after --help
        return e.code or 0


def test_the_first_command_as_it_stands(place):
    """By the script itself, on fewer images of its own; the learning is made short."""
    env = environment(
        WORKSPACE=str(place),
        CHALLENGE_FLAGS="--n-images 300",
        ENCODER_FLAGS="--epochs 1 --batch 16",
    )
    done = subprocess.run(
        ["bash", ROOT / "run_baseline.sh"], cwd=place, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [submission] = (place / "submissions").rglob("submission.csv")
    assert str(submission) in done.stdout
    accuracy = [float(a) for a in re.findall(r"1-acc\) (\d\.\d+)", done.stdout)]
    assert min(accuracy) >= 0.80
    assert len(submission.read_text().splitlines()) == 301


@pytest.mark.parametrize("line", [line for line in SCRIPT if line != "bash run_baseline.sh"])
def test_the_script_as_the_pages_call_it(line, place, standin, monkeypatch, capsys):
    make_weights(line, place)
    free = not re.search(r"ENCODER=|scratch-best|texts", line)
    if free:
        monkeypatch.setenv("ENCODER", "conv-ae" if "FINETUNE" in line else "pixels")
    if "vgg16" in line:
        monkeypatch.setenv("ENCODER_FLAGS", "--size 64")
    if free and "FINETUNE" in line:
        monkeypatch.setenv("ENCODER_FLAGS", "--epochs 1")
    if "hw9" in line:  # the homework's three arrays, with fewer images in them
        for name, shape in SHAPES.items():
            monkeypatch.setitem(SHAPES, name, (shape[0] // 50, *shape[1:]))
    few = load_digits()
    few.images, few.target = few.images[:300], few.target[:300]
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: few)
    if "hw9" in line or "BOARD" in line:
        standin.drive = homework()
        with zipfile.ZipFile(place / "arrays.zip", "w") as z:
            z.write(place / "my" / "arrays" / "trainX.npy", "trainX.npy")
        standin.files = {"arrays.npy.zip": (place / "arrays.zip").read_bytes()}
        standin.use(monkeypatch, place, **KEYS)
    assert run_line(line, monkeypatch) == 0
    said = capsys.readouterr().out
    if "--dry-run" in line:
        assert "python -m imclust encode" in said
        return
    [submission] = (place / "submissions").rglob("submission.csv")
    assert submission.name in said


def staged_commands(name):
    return [line for line in commands(PAGES[name]) if line.startswith("python -m imclust")]


STAGES = staged_commands("docs/stages.md")
UPON_STAGES = re.compile(r"my/(raw|weights|latents|tsne|clusters|submission)\b")


@pytest.mark.parametrize("name", [name for name in STAGED if name != "docs/stages.md"])
def test_the_stages_as_a_page_calls_them(name, request, standin, monkeypatch):
    """A page stands upon the folders of docs/stages.md, whose own lines `after_stages` runs."""
    standin.polls, standin.run_states = 0, ("complete",)
    lines = staged_commands(name)
    needs = any(map(UPON_STAGES.search, lines))
    place = request.getfixturevalue("staged" if needs else "place")
    standin.use(monkeypatch, place, **KEYS)
    for line in lines:
        if "--corrections" in line:
            save_corrections(place / "my")
        assert run_line(line, monkeypatch) == 0, line
    assert standin.unknown == []


@pytest.mark.parametrize("name", [n for n, page in PAGES.items() if blocks(page, "python")])
def test_the_python_lines_work(name, place):
    for code in blocks(PAGES[name], "python"):
        status, _, err = python_in(place, code)
        assert status == 0, err


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.ipynb")), ids=lambda p: p.stem)
def test_the_notebooks_run(path, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]
    assert len(outputs) >= 3


def test_links_and_files_that_the_pages_name_exist():
    for name, page in PAGES.items():
        home = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page):
            assert (home / target).exists(), f"{name}: {target}"
        for target in re.findall(r"\]\((?:[^)#:]*)#([^)]+)\)", page):
            assert target in anchors(), f"{name}: #{target}"
        for file in re.findall(r"`((?:src|tests|benchmarks|scripts)/[\w./-]+)`", page):
            assert (ROOT / file).exists(), f"{name}: {file}"


def anchors():
    """Of every heading of every page, as GitHub makes them."""
    titles = [t for page in PAGES.values() for t in re.findall(r"^#+ (.+)$", page, re.M)]
    return {re.sub(r"[^a-z0-9 -]", "", t.lower()).replace(" ", "-") for t in titles}


def test_no_page_names_a_module_that_has_moved():
    for name, page in PAGES.items():
        for module in re.findall(r"\bimclust((?:\.[a-z_]+)+)\b", page):
            path = ROOT / "src" / "imclust" / Path(*module.strip(".").split("."))
            known = path.is_dir() or path.with_suffix(".py").exists()
            assert known or hasattr(imclust, module.split(".")[1]), f"{name}: {module}"


def test_parts_made_from_the_code_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "-c",
         "import write_docs as w\n"
         "for n in w.PARTS:\n"
         "    text = (w.ROOT / 'docs' / n).read_text()\n"
         "    assert w.written(n, text) == text, f'{n}: run python scripts/write_docs.py'"],
        env=environment(PYTHONPATH=os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "src")])),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
