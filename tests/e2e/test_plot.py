"""`plot` on real digits, by the command line."""

import shutil

import numpy as np
import pytest
from PIL import Image

from helpers import answer_about, refused
from imclust.__main__ import main
from imclust.core.manifest import read_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    there = tmp_path_factory.mktemp("digits")
    return answer_about(
        "digits", there, "--out two pca --components 2", "--features two minibatch-kmeans"
    )


@pytest.fixture
def digits(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "ws")
    monkeypatch.chdir(tmp_path / "ws")
    return tmp_path / "ws"


def plot(*flags):
    return main(["plot", "--assignment", "a", "--out", "p", *flags])


def test_every_picture_in_every_format_and_only_once(digits, capsys):
    flags = ("--embedding", "two", "--labels", "raw/labels", "--width", "5")
    assert plot(*flags, "--format", "png", "svg", "pdf") == 0
    names = {
        f"{n}.{f}"
        for n in ("clusters", "labels", "examples", "sizes")
        for f in ("png", "svg", "pdf")
    }
    assert {p.name for p in (digits / "p").iterdir()} - {"manifest.json"} == names
    assert "examples.pdf" in capsys.readouterr().out
    bright = np.asarray(Image.open(digits / "p" / "examples.png").convert("L"))
    assert bright.std() > 30  # images, not an empty sheet
    assert plot(*flags, "--format", "png", "svg", "pdf") == 0
    assert "up to date" in capsys.readouterr().out


def test_without_an_embedding_there_is_no_scatter(digits):
    assert plot("--format", "svg") == 0
    assert {p.name for p in (digits / "p").glob("*.svg")} == {"examples.svg", "sizes.svg"}
    assert read_manifest(digits / "p")["config"]["format"] == ["svg"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--width", "0"), ("plot.width", "[2.0, 40.0]")),
        (("--width", "nan"), ("plot.width",)),
        (("--format", "png", "png"), ("--format", "png png")),
        (("--labels", "raw/labels"), ("--labels", "--embedding")),
        (("--embedding", "z"), ("2 dimensions", "3072")),
        (("--embedding", "a"), ("'features'", "'assignment'")),
        (("--embedding", "gone"), ("gone", "no manifest.json")),
    ],
)
def test_what_cannot_be_drawn(digits, capsys, flags, words):
    assert plot(*flags) == 2
    refused((2, "", capsys.readouterr().err), *words)
    assert not (digits / "p").exists()
