"""Who is who, from a table and images to a submission."""

import csv
import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest

from imclust.__main__ import main
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment
from imclust.report.pictures import doubtful_clusters
from textures import make_individuals


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All stages in one process: five identities are known, five more are to be told."""
    folder = tmp_path_factory.mktemp("run")
    make_individuals(folder / "who", zipped=True)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.chdir(folder)
        for line in (
            "download --out raw individuals --data-dir who.zip --truth who-truth.csv",
            "train --index raw/index --out w pixels --size 16",
            "encode --index raw/index --weights w --out z --flip",
            "pairs --features z --index raw/index --out p",
            "link --pairs p --features z --index raw/index --out a",
            "score --assignment a --index raw/index --labels raw/labels --out s",
            "submit --assignment a --index raw/index --out sub --log log.csv",
        ):
            assert main(line.split()) == 0, line
    return folder, said.getvalue()


def test_identities_of_held_out_images_are_found(whole):
    folder, said = whole
    scores = json.loads((folder / "s/scores.json").read_text())["individuals"]
    assert scores["spots"]["ari"] > 0.9
    assert "individuals, spots" in said


def test_the_submission_has_the_sample_s_ids_in_its_order_and_free_names(whole):
    folder, _ = whole
    rows = list(csv.reader((folder / "sub/submission.csv").open()))
    sample = list(csv.reader((folder / "who/sample_submission.csv").open()))
    assert [r[0] for r in rows] == [r[0] for r in sample]
    assert rows[0] == ["image_id", "cluster"]
    assert all(r[1].startswith("cluster_spots_") for r in rows[1:])


def test_a_submission_made_elsewhere_is_checked_whatever_its_clusters_are_called(
    whole, monkeypatch, capsys
):
    folder, _ = whole
    monkeypatch.chdir(folder)
    text = (folder / "sub/submission.csv").read_text()
    (folder / "mine.csv").write_text(text.replace("cluster_spots", "who"))
    assert main(["submit", "--check", "mine.csv", "--index", "raw/index"]) == 0
    assert "fits individuals" in capsys.readouterr().out
    (folder / "mine.csv").write_text(text.replace(text.splitlines()[1] + "\n", ""))
    assert main(["submit", "--check", "mine.csv", "--index", "raw/index"]) == 6


def test_known_images_of_one_identity_share_a_cluster_and_of_two_do_not(whole):
    folder, _ = whole
    table = {r["id"]: r["cluster"] for r in csv.DictReader((folder / "a/assignment.csv").open())}
    known = [r for r in csv.DictReader((folder / "who/metadata.csv").open()) if r["identity"]]
    seen = {}
    for r in known:
        seen.setdefault(r["identity"], set()).add(table[r["image_id"]])
    assert all(len(clusters) == 1 for clusters in seen.values())
    assert len(set.union(*seen.values())) == len(seen)


def test_what_is_up_to_date_is_not_done_again(whole, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    before = read_manifest(folder / "p")["written"]
    assert main(["pairs", "--features", "z", "--index", "raw/index", "--out", "p"]) == 0
    assert "up to date" in capsys.readouterr().out
    assert read_manifest(folder / "p")["written"] == before


def test_a_number_of_clusters_is_refused_before_any_work(whole, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    for line in (
        "run --n-clusters 5 individuals --data-dir who.zip",
        "baseline --challenge individuals --data-dir who.zip --k 5",
    ):
        assert main(line.split()) == 2
        said = capsys.readouterr().err
        assert "left to the pairs" in said
        assert said.count("\n") == 1
    assert not (folder / "data").exists()


def test_an_answer_at_another_threshold_keeps_the_names_of_the_one_before(whole, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(folder)
    again = "link --pairs p --features z --index raw/index --out b --threshold 0.99 --names-from a"
    assert main(again.split()) == 0
    one, other = (read_manifest(folder / n)["names"] for n in "ab")
    assert len(other) > len(one)
    assert set(one) <= set(other)
    mine = Assignment.load(folder / "a"), Assignment.load(folder / "b")
    called = [[names[c] for c in a.clusters] for names, a in zip((one, other), mine, strict=True)]
    assert np.mean([a == b for a, b in zip(*called, strict=True)]) > 0.5


def test_of_many_clusters_the_doubtful_are_pictured():
    p = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.4, 0.6, 0], [0.45, 0.55, 0], [0, 0, 1]])
    answer = Assignment(np.array([*"abcde"]), np.array(["train"] * 5), p)
    assert doubtful_clusters(answer) == [0, 1, 2]
    assert doubtful_clusters(answer, 2) == [1, 0]


def test_without_calibration_and_local_features_there_is_an_answer_too(whole, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(folder)
    plain = "pairs --features z --index raw/index --out q --no-local --no-rerank --no-calibrate"
    assert main(plain.split()) == 0
    doc = read_manifest(folder / "q")
    assert doc["models"]["spots"]["how"] == "mixture"
    assert read_manifest(folder / "p")["models"]["spots"]["how"] in {"logistic", "boosting"}


@pytest.mark.parametrize("form", ["matches", "members", "lines", "outliers"])
def test_the_same_clusters_in_other_forms(whole, form, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    ids = [r["image_id"] for r in csv.DictReader((folder / "who/sample_submission.csv").open())]
    if form == "lines":
        table = csv.DictReader((folder / "who/metadata.csv").open())
        ids = [r["image_id"] for r in table if r["split"] == "test"]
    halves = [*ids, ""][: len(ids) + len(ids) % 2]
    pairs = "".join(f"{i},{j}\n" for i, j in zip(halves[::2], halves[1::2], strict=True))
    texts = {
        "matches": "image_id,matches\n" + "".join(f"{i},{i}\n" for i in ids),
        "members": f"a,b\n{pairs}",
        "lines": "cluster\n" + "x\n" * len(ids),
        "outliers": "image_id,cluster\n" + "".join(f"{i},outliers\n" for i in ids),
    }
    (folder / f"{form}.csv").write_text(texts[form])
    for line in (
        f"download --out raw-{form} individuals --data-dir who.zip --sample {form}.csv",
        f"submit --assignment a --index raw-{form}/index --out sub-{form} --log log.csv",
        f"submit --check sub-{form}/submission.csv --index raw-{form}/index",
        f"read --file sub-{form}/submission.csv --index raw-{form}/index --out back-{form}",
    ):
        assert main(line.split()) == 0, line
    first, back = Assignment.load(folder / "a"), Assignment.load(folder / f"back-{form}")
    mine = dict(zip(first.ids.tolist(), first.clusters.tolist(), strict=True))
    one = np.array([mine[i] for i in back.ids.tolist()])
    assert ((one[:, None] == one) == (back.clusters[:, None] == back.clusters)).all()
