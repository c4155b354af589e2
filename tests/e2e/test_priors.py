"""What is known beforehand, by the command line: flags, tables, and what is wrong with them."""

import csv
import json

import numpy as np
import pytest

from helpers import make_arrays, refused
from imclust.__main__ import main
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Features

K = 3
Y = np.repeat([0, 1, 2], [40, 90, 70])


@pytest.fixture
def space(tmp_path, monkeypatch):
    """200 images in three blocks that k-means mixes up, and 20 more; an index that says K = 2."""
    monkeypatch.chdir(tmp_path)
    make_arrays(tmp_path / "data")
    assert main(["download", "--out", "raw", "arrays", "--data-dir", "data"]) == 0
    rng = np.random.default_rng(0)
    y = np.concatenate([Y, rng.integers(0, K, 20)])
    x = 1.2 * np.linalg.qr(rng.standard_normal((8, K)))[0].T[y] + 0.5 * rng.standard_normal(
        (220, 8)
    )
    ids = np.array([f"i{i}" for i in range(220)])
    splits = np.array(["train"] * 200 + ["val"] * 20)
    features = Features(ids, splits, x.astype(np.float32))
    make_artifact(tmp_path / "z", ArtifactSpec("features", {}, {}, ("records",)), features.save)
    return tmp_path


def cluster(*flags, out="c"):
    where = ("--features", "z", "--index", "raw/index", "--out", out, "--n-clusters", str(K))
    return main(["cluster", *where, *map(str, flags), "kmeans"])


def manifest(out="c"):
    with open(f"{out}/manifest.json") as f:
        return json.load(f)


def clusters(out="c"):
    return np.load(f"{out}/probabilities.npy", allow_pickle=False).argmax(1)


def table(path, header, *rows):
    with path.open("w", newline="") as f:
        csv.writer(f).writerows([header, *rows])
    return path


def test_row_order_is_noticed_said_and_used_only_when_asked(space, capsys):
    assert cluster() == 0
    assert "row order carries signal" in capsys.readouterr().out
    doc = manifest()
    assert doc["row_order"]["significant"] is True
    assert "priors" not in doc
    before = clusters()[:200]
    assert cluster("--row-order", "segments") == 0
    assert "row order" not in capsys.readouterr().out
    after = clusters()[:200]
    assert (np.diff(before) != 0).sum() > 10
    starts = np.flatnonzero(np.diff(after)) + 1
    assert np.abs(starts - [40, 130]).max() <= 3
    assert manifest()["priors"]["order"]["of"] == "features"
    assert cluster("--row-order", "smooth") == 0
    assert 0 < manifest()["priors"]["order"]["stay"] < 1


def test_a_changed_prior_redoes_the_stage_and_an_equal_one_does_not(space, capsys):
    pairs = table(space / "pairs.csv", ("a", "b"), ("i0", "i199"))
    flags = ("--proportions", "0.2,0.45,0.35", "--must-link", pairs)
    assert cluster(*flags) == 0
    assert sorted(manifest()["priors"]["sizes"]["reached"]) == [40, 70, 90]
    assert clusters()[0] == clusters()[199]
    first = manifest()["digest"]
    capsys.readouterr()
    assert cluster(*flags) == 0
    assert "up to date" in capsys.readouterr().out
    table(pairs, ("a", "b"), ("i0", "i199"), ("i1", "i198"))
    assert cluster(*flags) == 0
    assert "up to date" not in capsys.readouterr().out
    assert clusters()[1] == clusters()[198]
    assert manifest()["digest"] != first


def test_pairs_are_kept_and_sizes_are_brought_closer(space):
    pairs = table(space / "pairs.csv", ("b", "a", "note"), ("i0", "i1", ""), ("i2", "i3", ""))
    assert cluster("--cannot-link", pairs, "--min-effective", "2.99") == 0
    c = clusters()
    assert c[0] != c[1]
    assert c[2] != c[3]
    assert manifest()["priors"]["effective"] > 2.98


def test_anchors_name_the_clusters_of_all_rows_and_move_none(space):
    assert cluster(out="plain") == 0
    before = clusters("plain")
    # Whatever k-means numbered 0, 1, 2: anchored rows say it is called c, a, b (sorted: 2, 0, 1).
    rows = [int(np.flatnonzero(before[:200] == c)[0]) for c in range(K)]
    names = zip((f"i{r}" for r in rows), "cab", strict=True)
    assert cluster("--anchors", table(space / "a.csv", ("id", "label"), *names)) == 0
    np.testing.assert_array_equal(clusters(), np.array([2, 0, 1])[before])
    assert manifest()["classes"] == ["a", "b", "c"]
    numbers = ((f"i{rows[1]}", 0), (f"i{rows[0]}", "2"))
    assert cluster("--anchors", table(space / "a.csv", ("id", "label"), *numbers)) == 0
    np.testing.assert_array_equal(clusters(), np.array([2, 0, 1])[before])
    assert "classes" not in manifest()  # nobody named cluster 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--proportions", "0.7,0.3"), ("K = 3", "2 numbers")),
        (("--proportions", "equal"), ("uniform, free", "'equal'")),
        (("--proportions", "1,2,-1"), ("positive",)),
        (("--min-effective", "3.5"), ("min_effective", "3.5")),
        (("--must-link", "gone.csv"), ("--must-link", "no such file")),
    ],
)
def test_flags_that_fit_nothing(space, capsys, flags, words):
    assert cluster(*flags) == 2
    refused((2, "", capsys.readouterr().err), *words)
    assert not (space / "c").exists()


@pytest.mark.parametrize(
    ("flag", "text", "words"),
    [
        ("--must-link", "a,c\ni0,i1\n", ("columns a,b", "columns a,c")),
        ("--must-link", "", ("columns a,b", "no rows")),
        ("--must-link", "a,b\ni0,nobody\n", ("--must-link", "'nobody'", "check the id")),
        ("--cannot-link", "a,b\ni0,i210\n", ("--cannot-link", "fitted", "'i210'")),
        ("--cannot-link", "a,b\ni0\n", ("line 2",)),
        ("--cannot-link", "a,b\ni5,i5\n", ("cannot-link pair",)),
        ("--cannot-link", "a,b\ni0,i1\ni0,i2\ni0,i3\ni1,i2\ni1,i3\ni2,i3\n", ("with 3 clusters",)),
        ("--anchors", "image,label\ni0,x\n", ("columns id,label",)),
        ("--anchors", "id,label\ni0,w\ni1,x\ni2,y\ni3,z\n", ("at most 3 names",)),
        ("--anchors", "id,label\ni0,3\n", ("0 to 2", "got 3")),
        ("--anchors", "id,label\ni0,1\ni0,2\n", ("of one class",)),
        ("--anchors", b"id,label\n\xff\xfe,1\n", ("UTF-8",)),
    ],
)
def test_tables_that_cannot_be_used(space, capsys, flag, text, words):
    path = space / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cluster(flag, path) == 2
    refused((2, "", capsys.readouterr().err), *words)
    assert not (space / "c").exists()
