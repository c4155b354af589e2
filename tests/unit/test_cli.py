import errno
import subprocess
import sys

import pytest

from helpers import environment, imclust_in, refused
from imclust.__main__ import COMMANDS, RUN_COMMANDS, STAGES, _disk_sentence, main

HEAVY = {"torch", "sklearn", "scipy", "PIL", "matplotlib", "openTSNE"}


@pytest.mark.parametrize("stage", ["", *STAGES, *COMMANDS, *RUN_COMMANDS])
def test_help_explains_itself_without_loading_anything_heavy(stage):
    code = (
        "import sys\nfrom imclust.__main__ import main\n"
        f"try: main([*{stage.split()!r}, '--help'])\n"
        "except SystemExit as e: assert not e.code\n"
        f"print('loaded:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stdout
    assert "usage: python -m imclust" in done.stdout
    if stage and stage not in {
        "challenges",
        "encoders",
        "upload",
        "push",
        "leaderboard",
        *COMMANDS,
        *RUN_COMMANDS,
    }:  # no artefact is theirs
        assert "--out" in done.stdout


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """A command in this process, in an empty folder: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: (main(list(words)), *capsys.readouterr())


def test_unknown_stage_and_version(here):
    refused(here("clutser"), "stage must be one of challenges, download", "'clutser'")
    assert here("--version")[1].strip()


def test_missing_artefacts_are_one_sentence(here):
    refused(
        here("encode", "--index", "i", "--weights", "w", "--out", "o"),
        "w must be a finished weights",
        "run the stage that writes it first",
    )
    refused(here("reduce", "--features", "f", "--out", "o", "pca"), "f must be a finished")


def test_interrupt_is_said_and_has_its_own_status(monkeypatch, capsys):
    def stop(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr("imclust.__main__.parse", stop)
    assert main(["train"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "full"), (errno.EROFS, "choose another folder"), (errno.EIO, "got:")],
)
def test_what_the_disk_refuses_is_one_sentence(number, words):
    sentence = _disk_sentence(OSError(number, "text", "some/file"))
    assert words in sentence
    assert "some/file" in sentence
    assert sentence.count("\n") == 0


def test_a_flag_behind_the_word_that_it_belongs_before_is_told_where_to_stand(tmp_path):
    words = ("cluster", "--features", "f", "--index", "i", "--out", "o", "kmeans")
    said = ("what follows kmeans", "before that word", "got --n-clusters", "put it there")
    refused(imclust_in(tmp_path, *words, "--n-clusters", 4), *said)
