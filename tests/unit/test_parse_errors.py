"""What is typed wrong is refused in one sentence: what, what is allowed, what came, what to do."""

import re

import pytest

from helpers import two_kinds
from imclust.__main__ import main
from imclust.cli.parser import parse
from imclust.core.errors import InputError


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (
            "",
            "cluster-folder must be followed by the images: a folder, also nested, or a zip; got ",
        ),
        ("x --encoder tim", "--encoder must be light or strong; got 'tim'; choose one"),
        ("x --encoder stron", "--encoder must be light or strong; got 'stron'; take strong"),
        ("x --effort most", "--effort must be quick, normal or thorough; got 'most'; "),
        ("x --seed abc", "--seed must be a whole number; got 'abc'; write one"),
        ("x --seed 1.5", "--seed must be a whole number; got '1.5'; write one"),
        ("x --n-clusters a", "--n-clusters must be a whole number or auto; got 'a'; write one"),
        ("x --seed", "--seed must be followed by a value; got none; type one"),
        ("x --encodr light", "--encodr; take --encoder."),
    ],
)
def test_the_sentence(typed, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)) as refused:
        parse(["cluster-folder", *typed.split()])
    assert re.fullmatch(r"[^;]* must be [^;]*; got [^;]*; .*\.", str(refused.value))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("find run x --most few", "--most must be a whole number; got 'few'; write one"),
        (
            "cluster --unclustered a --index i --features f --out o kmeans",
            "--unclustered must be a number; got 'a'; write one",
        ),
        ("sort --how mve", "--how must be copy, move or link; got 'mve'; take move"),
    ],
)
def test_of_other_commands(typed, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        parse(typed.split())


def test_an_empty_word_is_no_folder():
    for words in (["cluster-folder", ""], ["find", "run", ""], ["sort", "", "--yes"]):
        with pytest.raises(InputError, match="got an empty one"):
            parse(words)
    assert parse(["cluster-folder", "x", "--text-tower", ""])[1].text_tower == ""


@pytest.mark.parametrize("name", ["find", "sort", "cluster-folder", "report"])
def test_kinds_in_a_help_are_plain(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    out = capsys.readouterr().out
    assert "--out PATH" in out or "--into PATH" in out or "--new PATH" in out
    assert "{None}" not in out
    assert "[[" not in out


def test_too_few_pictures_are_told_before_they_are_opened(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").mkdir()
    for n, x in enumerate(two_kinds(4)[0]):
        Image.fromarray(x).save(tmp_path / "few" / f"{n}.png")
    (tmp_path / "few" / "0.png").rename(tmp_path / "few" / "without a suffix")
    assert main(["cluster-folder", "few", "--n-clusters", "5"]) == 2
    assert "from 2 to the number of images (4); got 5" in capsys.readouterr().err
    assert main(["cluster-folder", "few"]) == 2
    assert "at least 10; got 4" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
