"""Corrections of an assignment about real digits, by the command line: there and back again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers import answer_about, make_arrays, refused
from imclust.__main__ import main
from imclust.core.manifest import file_digest, read_manifest
from imclust.core.records import Assignment, read_csv, read_labels

SPACE = ("--features", "pca", "--index", "raw/index")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A space of the digits, and an assignment `a` in it."""
    there = tmp_path_factory.mktemp("digits")
    return answer_about(
        "digits", there, "--out pca pca --components 30", "--features pca kmeans --restarts 2"
    )


@pytest.fixture
def digits(made, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(made, tmp_path / "ws")
    monkeypatch.chdir(tmp_path / "ws")
    return Assignment.load(made / "a")


def cluster(*flags, out="b", head=("kmeans", "--restarts", "2"), space=SPACE):
    return main(["cluster", *space, "--out", out, *map(str, flags), *head])


def save(name="c.json", of="a", **parts):
    """The file that the report of assignment `of` saves."""
    digest = file_digest(of_table(of))
    with open(name, "w") as f:
        json.dump({"format": "imclust-corrections-1", "assignment": digest, **parts}, f)
    return name


def of_table(folder):
    return Path(folder) / "assignment.csv"


def doc(folder="b"):
    return read_manifest(Path(folder))


def load(folder="b"):
    return Assignment.load(Path(folder))


def test_there_and_back_again(digits, capsys):
    labels = read_labels(Path("raw/labels"))
    truth = np.array([labels[i] for i in digits.ids])
    name = [str(v) for v in range(10)]
    c = digits.clusters
    majority = [max(name, key=lambda v, j=j: ((truth == v) & (c == j)).sum()) for j in range(10)]
    named = np.array(majority)[c]
    wrong = np.flatnonzero((truth != named) & np.isin(truth, majority))[:30]
    to = {digits.ids[r]: majority.index(truth[r]) for r in wrong}
    still = [i for r, i in enumerate(digits.ids) if r not in wrong]
    pair = [still[200], still[300]]
    file = save(
        move=to,
        merge=[[2, 7]],
        names={"0": "nought <b>", "7": "both"},
        must_link=[pair],
        cannot_link=[[still[400], digits.ids[wrong[0]]]],
    )
    capsys.readouterr()
    assert cluster("--corrections", file) == 0
    said = capsys.readouterr().out
    assert "30 moved" in said
    assert "clusters 2, 7 merged" in said
    after = load()
    found = doc()
    was = found["corrections"]["was"]
    assert was == [0, 1, 2, 3, 4, 5, 6, 2, 7, 8]
    where = dict(zip(after.ids.tolist(), after.clusters.tolist(), strict=True))
    assert {i: where[i] for i in to} == {i: was[cluster] for i, cluster in to.items()}
    assert where[pair[0]] == where[pair[1]]
    assert where[still[400]] != where[digits.ids[wrong[0]]]
    rows = {r["id"]: r for r in read_csv(of_table("b"))}
    assert {rows[i]["confidence"] for i in to} == {"1.0000"}
    assert found["n_clusters"] == 9
    assert len(found["sizes"]) == 9
    assert found["corrections"]["merged"] == [[2, 7]]
    assert found["corrections"]["moved"] == 30
    assert found["names"] == ["nought <b>", "", "both", *[""] * 6]
    assert found["config"]["n_clusters"] == 10
    other = sum(where[i] != was[int(c[r])] for r, i in enumerate(digits.ids) if i not in to)
    assert other <= 2  # those of the pairs: nothing that nobody has looked at moves
    close = read_csv(Path("b/suggestions.csv"))
    assert len(close) == found["suggested"] > 0
    assert {row["because_of"] for row in close} <= set(to)
    assert not {row["id"] for row in close} & {*to, *pair}
    for row in close:
        assert int(row["cluster"]) == where[row["id"]] != int(row["suggested"])


def test_without_a_file_and_with_names_alone_the_bytes_stay(digits, capsys):
    table = of_table("a").read_bytes()
    assert cluster(out="same") == 0
    assert of_table("same").read_bytes() == table
    assert cluster("--corrections", save(names={"3": "three"})) == 0
    assert of_table("b").read_bytes() == table
    assert doc()["names"][3] == "three"
    first = doc()["digest"]
    capsys.readouterr()
    assert cluster("--corrections", "c.json") == 0
    assert "up to date" in capsys.readouterr().out
    save(names={"3": "3"})
    assert cluster("--corrections", "c.json") == 0
    assert doc()["names"][3] == "3"
    assert doc()["digest"] != first  # the names in its picture of the tree are others


def test_in_place_and_one_upon_the_other(digits):
    """The assignment is corrected under its own name, looked at, and corrected once more."""
    shutil.copytree("a", "b")
    for name, text in (("0-odd", "["), ("0-other", "[]"), ("0-old", "{}")):  # nobody's artefacts
        Path(name).mkdir()
        (Path(name) / "manifest.json").write_text(text)
    one = save("one.json", of="b", merge=[[0, 1]], move={digits.ids[5]: 9})
    assert cluster("--corrections", one) == 0
    assert load().clusters[5] == 8
    two = save("two.json", of="b", merge=[[0, 8]], names={"0": "three in one"})
    assert cluster("--corrections", one, two) == 0
    assert load().clusters[5] == 0
    assert doc()["names"] == ["three in one", *[""] * 7]
    assert doc()["corrections"]["merged"] == [[0, 1, 9]]
    before = of_table("b").read_bytes()
    assert cluster("--corrections", one, two, "--force") == 0
    assert of_table("b").read_bytes() == before
    shutil.rmtree("a")
    shutil.rmtree("b")
    assert cluster("--corrections", one, two) == 0  # nothing to copy: made again
    assert of_table("b").read_bytes() == before
    assert not list(Path("b").glob(".*"))


def test_files_of_other_answers_are_refused(digits, capsys):
    one = save("one.json", merge=[[0, 1]])
    two = save("two.json", merge=[[2, 3]])
    before = of_table("a").read_bytes()
    for flags, words in (
        (
            ("--corrections", one, "--seed", "1"),
            ("one.json", "made for this assignment", "settings"),
        ),
        (("--corrections", one, two), ("two.json", "an earlier file has changed", "one file")),
        (("--corrections", "gone.json"), ("no such file",)),
        (("--corrections", of_table("a")), ("JSON in UTF-8",)),
    ):
        assert cluster(*flags) == 2
        refused((2, "", capsys.readouterr().err), *words)
    ids = digits.ids
    save("three.json", must_link=[[ids[0], ids[1]]], cannot_link=[[ids[1], ids[0]]])
    assert cluster("--corrections", "three.json", out="a") == 2
    refused((2, "", capsys.readouterr().err), repr(str(ids[0])), repr(str(ids[1])))
    assert of_table("a").read_bytes() == before
    left = {p.name for p in of_table("a").parent.parent.iterdir() if "partial" in p.name}
    assert left == set()


def test_with_pairs_and_names_given_beforehand(digits):
    """Merged classes keep a name each, so that what is handed in has labels."""
    ids = digits.ids.tolist()
    with open("links.csv", "w") as f:
        f.write(f"a,b\n{ids[0]},{ids[1]}\n")
    with open("anchors.csv", "w") as f:
        f.writelines(["id,label\n", *(f"{ids[r]},{'abcdefghij'[c]}\n" for c, r in firsts(digits))])
    flags = ("--must-link", "links.csv", "--anchors", "anchors.csv")
    assert cluster(*flags, out="a") == 0
    assert doc("a")["classes"] == list("abcdefghij")
    file = save(move={ids[0]: 4}, merge=[[1, 2]])
    assert cluster(*flags, "--corrections", file) == 0
    assert load().clusters[:2].tolist() == [3, 3]  # the pair given beforehand goes along
    assert doc()["classes"] == list("abdefghij")
    assert (
        main(
            ["submit", "--assignment", "b", "--index", "raw/index", "--out", "s", "--log", "s.csv"]
        )
        == 0
    )
    with open("s/submission.csv") as f:
        assert f.readlines()[1].strip() == f"{ids[0]},e"


def firsts(answer):
    """(cluster, row of an image in it) of every cluster."""
    return [(c, int(np.flatnonzero(answer.clusters == c)[0])) for c in range(10)]


def test_several_spaces_a_vote_on_k_and_placed_rows(tmp_path, monkeypatch, capsys):
    """The assignment is taken from beside --out, not made again."""
    monkeypatch.chdir(tmp_path)
    make_arrays(tmp_path / "data" / "mine", n=110)
    for line in (
        "download --out data/raw arrays --data-dir data/mine",
        "train --index data/raw/index --out data/w pixels",
        "encode --index data/raw/index --weights data/w --out data/z",
        "reduce --features data/z --out data/pca pca --components 5",
    ):
        assert main(line.split()) == 0
    space = ("--features", "data/z", "data/pca", "--index", "data/raw/index")
    flags = ("--n-clusters", "auto", "--seed", "1")
    assert cluster(*flags, out="data/first", space=space) == 0
    before = load("data/first")
    k = before.probabilities.shape[1]
    old = dict(zip(before.ids.tolist(), before.clusters.tolist(), strict=True))
    to = {i: (old[i] + 1) % k for i in ("0", "val-3")}
    file = save("data/c.json", "data/first", move=to)
    capsys.readouterr()
    assert cluster(*flags, "--corrections", file, out="data/b", space=space) == 0
    assert "by vote" not in capsys.readouterr().out
    found = doc("data/b")
    where = dict(zip(before.ids.tolist(), load("data/b").clusters.tolist(), strict=True))
    assert {i: where[i] for i in to} == to
    assert found["n_clusters"] == k
    assert found["k_words"] == doc("data/first")["k_words"]
    assert of_table("data/b").with_name("k.csv").is_file()


def test_a_corrected_submission_is_made_again(imclust, arrays_dir, tmp_path):
    for line in (
        f"download --out raw arrays --data-dir {arrays_dir}",
        "train --index raw/index --out w pixels",
        "encode --index raw/index --weights w --out z",
        "cluster --features z --index raw/index --out a --n-clusters 4 kmeans",
    ):
        status, _, err = imclust(*line.split())
        assert status == 0, err
    file = save(tmp_path / "c.json", tmp_path / "a", move={"0": 1}, merge=[[0, 2], [1, 3]])
    for line in (
        "cluster --features z --index raw/index --out b "
        f" --n-clusters 4 --corrections {file} kmeans",
        "submit --assignment b --index raw/index --out s",
    ):
        status, _, err = imclust(*line.split())
        assert status == 0, err
    assert (tmp_path / "s" / "submission_inverted.csv").is_file()  # two are left of four
    assert (tmp_path / "s" / "submission.csv").read_text().splitlines()[1] == "0,1"
    status, out, err = imclust("reproduce", "s")
    assert status == 0, err
    assert "same bytes" in out
