"""What a second visit says: renamed, replaced and moved pictures are told as what they are."""

import shutil

import pytest

from imclust.__main__ import main
from imclust.cli.image_checks import check_enough
from imclust.cli.sorted_away import sorted_away, tell_sorted_away
from imclust.cli.visit_words import told
from imclust.core.errors import InputError
from imclust.core.wording import counted
from sample_run import make_sample_run

BEFORE = {"a": 0, "b": 0, "c": 1, "d": 1}
THEN = {"a": "1", "b": "2", "c": "3", "d": "3"}


def said(after, now, names=("", "sea")):
    return told(BEFORE, after, list(names), 2, (THEN, now))


def test_a_new_name_is_no_new_picture():
    lines = said({"z": 0, "b": 0, "c": 1, "d": 1}, {"z": "1", "b": "2", "c": "3", "d": "3"})
    assert lines[0].endswith("last visit: no new pictures, 1 renamed, 4 where they were")
    assert len(lines) == 2


def test_of_two_copies_that_went_one_was_renamed():
    lines = said({"a": 0, "b": 0, "e": 1}, {"a": "1", "b": "2", "e": "3"})
    assert lines[0].endswith("no new pictures, 1 renamed, 1 gone, 3 where they were")


def test_another_picture_under_the_name_is_replaced_and_placed():
    after, now = {"a": 1, "b": 0, "c": 1, "d": 1}, {"a": "9", "b": "2", "c": "3", "d": "3"}
    lines = said(after, now)
    assert lines[0].endswith("no new pictures, 1 replaced by others, 3 where they were")
    assert lines[1:3] == ["placed among them: 1 in cluster 1 (sea)", "replaced: a"]
    assert not any("changed place" in line for line in lines)


def test_pictures_that_swap_names_are_renamed():
    lines = said({"a": 1, "b": 0, "c": 0, "d": 1}, {"a": "3", "b": "2", "c": "1", "d": "3"})
    assert lines[0].endswith("no new pictures, 2 renamed, 4 where they were")
    assert len(lines) == 2


def test_a_picture_that_another_is_moved_over_is_gone():
    lines = said({"a": 0, "c": 1, "d": 1}, {"a": "2", "c": "3", "d": "3"})
    assert lines[0].endswith("no new pictures, 1 renamed, 1 gone, 3 where they were")


def test_one_is_told_in_the_singular():
    lines = said({**BEFORE, "e": 0, "f": 2}, {**THEN, "e": "5", "f": "6"}, ("", "sea", ""))
    assert "2 new pictures" in lines[0]
    assert "new cluster 2: 1 picture, too unlike" in lines[2]
    assert [counted(n, "exact copy") for n in (0, 1, 2)] == [
        *("0 exact copies", "1 exact copy", "2 exact copies"),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_sample_run(tmp_path_factory.mktemp("sample"))


def test_a_folder_that_was_sorted_away_says_so_until_it_is_taken_back(run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    assert main(["sort", "run", "--into", "one", "--how", "copy", "--yes"]) == 0
    assert sorted_away(run / "run") == []
    assert main(["sort", "run", "--into", "two", "--how", "move", "--yes"]) == 0
    assert sorted_away(run / "run") == [(run / "two", 24)]
    with pytest.raises(InputError, match=r"got none: 24 images moved into .*two by sort; bring"):
        tell_sorted_away(run / "run", 0)
    capsys.readouterr()
    instead = tell_sorted_away(run / "run", 3)
    assert "--undo --yes" in capsys.readouterr().out
    # Where so few are left that K does not fit, the last word is how the others come back.
    (run / "left").mkdir()
    some = next(path for path in (run / "two").rglob("*.png"))
    for n, k in ((1, 2), (2, 3), (3, "auto")):
        shutil.copy(some, run / "left" / f"{n}.png")
        with pytest.raises(InputError, match=r"; bring back the 24 images moved into .*--undo"):
            check_enough(run / "left", k, instead)
    assert main(["sort", "--into", "two", "--undo", "--yes"]) == 0
    assert sorted_away(run / "run") == []
    tell_sorted_away(run / "run", 0)
