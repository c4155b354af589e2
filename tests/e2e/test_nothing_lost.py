"""Nothing of the user's is ever replaced or deleted, whatever --out points at."""

import shutil

import numpy as np
import pytest
from PIL import Image

from helpers import answer_about, two_kinds
from imclust.__main__ import main

STAGES = {  # words of each stage, OUT where its output goes
    "train": "train --index raw/index --out OUT pixels",
    "encode": "encode --index raw/index --weights w --out OUT",
    "gather": "gather --index raw/index --features z --out OUT",
    "reduce": "reduce --features z --out OUT pca",
    "cluster": "cluster --features z --index raw/index --out OUT kmeans --restarts 1",
    "predict": "predict --assignment a --index raw/index --features z --out OUT",
    "score": "score --assignment a --index raw/index --labels raw/labels --out OUT",
    "submit": "submit --assignment a --index raw/index --log log.csv --out OUT",
    "report": "report --assignment a --out OUT",
    "plot": "plot --assignment a --format png --out OUT",
}
FORCED = {
    name: f"{words.split()[0]} --force {words.split(' ', 1)[1]}" for name, words in STAGES.items()
}
# Stages that write several folders below OUT, and one of these.
BELOW = {
    "download": ("download --out OUT digits", "index"),
    "download again": ("download --out OUT --force digits", "labels"),
    "finetune": (
        "finetune --index raw/index --weights w --assignment a --out OUT --stages 0", "weights"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Crops of two photographs, clustered, with a submission."""
    at = answer_about(
        "photos --n-images 40",
        tmp_path_factory.mktemp("finished"),
        "--out p pca --components 8",
        "--features z kmeans --restarts 1",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        assert main(STAGES["submit"].replace("OUT", "s").split()) == 0
    return at


@pytest.fixture
def work(finished, tmp_path, monkeypatch):
    """A copy of the finished folder, to work in."""
    at = tmp_path / "work"
    shutil.copytree(finished, at)
    monkeypatch.chdir(at)
    return at


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def photographs(folder):
    """Somebody's photographs, with a note among them."""
    folder.mkdir(parents=True)
    for i, x in enumerate(two_kinds(4)[0]):
        Image.fromarray(x).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("mine")
    return folder


def refuses(words, capsys, at, mine):
    """The command is refused in one sentence, and nothing of `mine` changes."""
    before = contents(mine)
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "must be" in said
    assert contents(mine) == before


@pytest.mark.parametrize("words", [*STAGES.values(), *FORCED.values()])
def test_a_folder_of_photographs_is_never_an_output(words, work, capsys):
    refuses(words.replace("OUT", "photos"), capsys, work, photographs(work / "photos"))


@pytest.mark.parametrize("words", STAGES.values(), ids=STAGES)
def test_nor_is_a_file(words, work, capsys):
    (work / "mine").mkdir()
    (work / "mine" / "file").write_text("mine")
    refuses(words.replace("OUT", "mine/file"), capsys, work, work / "mine")


@pytest.mark.parametrize("words", STAGES.values(), ids=STAGES)
def test_nor_an_artefact_with_somebodys_file_in_it(words, work, capsys):
    """Nor one of another kind."""
    assert main(words.replace("OUT", "first").split()) == 0
    (work / "first" / "notes.txt").write_text("mine")
    capsys.readouterr()
    refuses(FORCED[words.split()[0]].replace("OUT", "first"), capsys, work, work / "first")
    other = "a" if words.split()[0] not in {"cluster", "predict"} else "z"
    refuses(FORCED[words.split()[0]].replace("OUT", other), capsys, work, work / other)


@pytest.mark.parametrize(("words", "name"), BELOW.values(), ids=BELOW)
def test_nor_are_the_folders_below_it(words, name, work, capsys):
    photographs(work / "mine" / name)
    refuses(words.replace("OUT", "mine"), capsys, work, work / "mine" / name)


def test_a_file_that_a_challenge_makes_never_replaces_somebodys(work, capsys):
    (work / "mine" / "files").mkdir(parents=True)
    np.save(work / "mine" / "files" / "trainX.npy", np.arange(6))
    refuses("download --out mine digits", capsys, work, work / "mine" / "files")


def test_a_package_goes_to_a_new_place(work, capsys):
    photographs(work / "photos")
    refuses("package s --out photos", capsys, work, work / "photos")
    shutil.move(work / "photos" / "notes.txt", work / "photos.zip")
    refuses("package s --out photos --zip", capsys, work, work / "photos")


def test_reproducing_takes_away_what_it_made_and_nothing_else(work, capsys):
    photographs(work / "photos")
    refuses("reproduce s --out photos", capsys, work, work / "photos")
    assert main(["reproduce", "s", "--out", "again", "--keep"]) == 0
    for folder in ("again", "again/raw", "again/raw/files"):
        (work / folder / "mine.txt").write_text("mine")
    assert main(["reproduce", "s", "--out", "again"]) == 0
    left = {name for name in contents(work / "again") if "mine.txt" in name}
    assert left == {"mine.txt", "raw/mine.txt", "raw/files/mine.txt"} == {*contents(work / "again")}


def test_the_leaderboard_does_not_replace_another_table(work, capsys):
    (work / "leaderboard.csv").write_text("my,own,table\n")
    refuses("leaderboard --log log.csv", capsys, work, work / "raw" / "index")
    assert (work / "leaderboard.csv").read_text() == "my,own,table\n"


def test_a_ledger_is_not_written_over_another_file(work, capsys):
    (work / "log.csv").write_text("my,own,table\n")
    assert main(STAGES["submit"].replace("OUT", "t").split()) == 2
    assert (work / "log.csv").read_text() == "my,own,table\n"
