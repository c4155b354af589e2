"""Watching a folder: a visit when its files are at rest, one sentence at the end."""

import os

import pytest

from imclust.cli.watching import listing, watch
from imclust.core.errors import InputError


class Script:
    """What happens between two looks, one entry a look; Ctrl-C at the end."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def __call__(self, seconds):
        assert seconds > 0
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()


def nothing():
    pass


def test_a_file_that_is_being_written_is_waited_for(tmp_path, capsys):
    at = tmp_path / "a.png"
    visits = []

    def write(text):
        return lambda: at.write_text(text)

    steps = Script(nothing, write("1"), write("12"), write("123"), nothing, nothing)
    watch(tmp_path, lambda: visits.append(at.read_text() if at.exists() else ""), steps)
    assert visits == ["", "123"]
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"{tmp_path} is no longer watched; the same command goes on from here."
    assert said[0] == f"watching {tmp_path} for further pictures; Ctrl-C ends it"


def test_removed_and_changed_files_count_hidden_ones_do_not(tmp_path):
    at = tmp_path / "a.png"
    at.write_text("1")
    visits = []
    touch = lambda: os.utime(at, (1, 1))  # noqa: E731
    hide = lambda: (tmp_path / ".b.png").write_text("1")  # noqa: E731
    steps = Script(hide, nothing, touch, nothing, at.unlink, nothing)
    watch(tmp_path, lambda: visits.append(len(listing(tmp_path))), steps)
    assert visits == [1, 1, 0]


def test_what_a_visit_refuses_is_said_and_the_watch_goes_on(tmp_path, capsys):
    visits = []

    def visit():
        visits.append(1)
        if len(visits) == 2:
            raise InputError("a sentence.")

    def write(name):
        return lambda: (tmp_path / name).write_text("1")

    watch(tmp_path, visit, Script(write("a"), nothing, write("b"), nothing))
    assert len(visits) == 3
    assert "a sentence." in capsys.readouterr().out


def test_a_first_visit_that_is_refused_ends_it(tmp_path):
    def visit():
        raise InputError("no images.")

    with pytest.raises(InputError):
        watch(tmp_path, visit, Script())
