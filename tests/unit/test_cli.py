import errno
import json
import subprocess
import sys

import pytest

from helpers import environment, imclust_in, refused
from imclust.__main__ import COMMANDS, RUN_COMMANDS, STAGES, _disk_sentence, main

HEAVY = {"numpy.linalg", "torch", "sklearn", "scipy", "PIL", "matplotlib", "openTSNE"}


OWN_PLACE = {"challenges", "encoders", "upload", "push", "leaderboard", *COMMANDS, *RUN_COMMANDS}


@pytest.fixture(scope="module")
def help_texts():
    """What each `--help` prints, and which heavy libraries all of them loaded: one new process."""
    code = (
        "import contextlib, io, json, sys\n"
        "from imclust.__main__ import main\n"
        "texts = {}\n"
        f"for words in {['', *STAGES, *COMMANDS, *RUN_COMMANDS]!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as said:\n"
        "        try: main([*words.split(), '--help'])\n"
        "        except SystemExit as e: assert not e.code\n"
        "    texts[words] = said.getvalue()\n"
        f"print(json.dumps([texts, sorted({HEAVY!r} & set(sys.modules))]))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", ["", *STAGES, *COMMANDS, *RUN_COMMANDS])
def test_help_explains_itself(help_texts, stage):
    text = help_texts[0][stage]
    assert "usage: python -m imclust" in text
    assert not stage or stage in OWN_PLACE or "--out" in text


def test_help_loads_nothing_heavy(help_texts):
    assert help_texts[1] == []


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


def test_a_reader_who_has_seen_enough_ends_it_silently():
    words = [sys.executable, "-m", "imclust", "cluster", "--help"]
    with subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        it.stdout.close()
        assert it.stderr.read() == b""
    assert it.returncode == 141


def test_closed_streams_are_no_error(here, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["--version"]) == 0
    assert main(["clutser"]) == 2


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
