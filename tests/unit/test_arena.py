"""The arena: its summaries, what it reads, and that it goes on where it stopped."""

import json
import shutil

import numpy as np
import pytest

import arena
from arena_cell import measure, parse_head
from arena_data import Loaded, chosen, codes, find_sets, load, pick_spaces
from arena_table import (
    against_oracle,
    agreement,
    head_means,
    lines,
    oracle,
    spearman,
    summary,
    table_rows,
)
from helpers import two_kinds
from imclust.__main__ import main as imclust
from imclust.core.errors import InputError


def cell(data, head, accuracy, seed=0, space="a", **more):
    numbers = {"nmi": 0.5, "ari": 0.4, "seconds": 1.0, "peak_mib": 100.0, "score": None}
    about = {"set": data, "space": space, "head": head, "seed": seed}
    return about | numbers | {"accuracy": accuracy} | more


def failed(data, head, reason):
    return {"set": data, "space": "a", "head": head, "seed": 0, "error": reason}


CELLS = [
    *(cell("s", "x", a, i, seconds=t, peak_mib=100 + t) for i, (a, t) in enumerate(
        [(0.6, 9.0), (0.8, 1.0), (0.7, 2.0)])),
    cell("s", "y", 0.5), cell("s", "auto", 0.6, score=0.25),
    cell("t", "x", 0.2), cell("t", "y", 0.9), cell("t", "auto", 0.5, score=0.75),
    cell("u", "x", 1.0), failed("u", "y", "too large"), failed("u", "z", "no"),
]  # fmt: skip


def test_rows_are_means_over_seeds_best_first():
    rows = table_rows(CELLS)
    assert [(r["set"], r["head"]) for r in rows][:3] == [("s", "x"), ("s", "auto"), ("s", "y")]
    first = rows[0]
    assert first["accuracy"] == pytest.approx(0.7)
    assert first["sd"] == pytest.approx(0.1)
    assert (first["seconds"], first["peak_mib"], first["seeds"]) == (2.0, 109.0, 3)
    bad = [r for r in rows if r["error"]]
    assert [r["error"] for r in bad] == ["1 of 1 failed: too large", "1 of 1 failed: no"]
    assert all(r["accuracy"] is None for r in bad)


def test_heads_are_compared_where_all_of_them_answered():
    means = {r["head"]: r for r in head_means(table_rows(CELLS))}
    assert means["x"]["accuracy"] == pytest.approx((0.7 + 0.2 + 1.0) / 3)
    assert means["x"]["common"] == pytest.approx(0.45)
    assert means["y"]["common"] == means["y"]["accuracy"] == pytest.approx(0.7)
    assert (means["y"]["tasks"], means["y"]["of"]) == (2, 3)
    assert (means["z"]["tasks"], means["z"]["accuracy"], means["z"]["common"]) == (0, None, None)


def test_the_oracle_takes_fixed_heads_only():
    cells = [*CELLS, cell("s", "auto:fast=true", 1.0)]
    assert {t: h for t, (h, _) in oracle(table_rows(cells)).items()} == {
        ("s", "a"): "x", ("t", "a"): "y", ("u", "a"): "x",
    }  # fmt: skip


def test_auto_is_measured_against_the_oracle_where_it_answered():
    (found,) = against_oracle(table_rows(CELLS))
    assert found["tasks"] == 2
    assert (found["auto"], found["oracle"]) == (pytest.approx(0.55), pytest.approx(0.8))
    assert found["worst_gap"] == pytest.approx(0.4)
    assert (found["worst_task"], found["worst_best_head"]) == ("t/a", "y")


def test_spearman_is_of_ranks_and_none_without_an_order():
    assert spearman([(1, 0.1), (2, 0.2), (30, 0.9)]) == pytest.approx(1)
    assert spearman([(3, 0.1), (2, 0.2), (1, 0.9)]) == pytest.approx(-1)
    assert spearman([(1, 0.1), (2, 0.2)]) is None
    assert spearman([(1, 0.1), (1, 0.2), (1, 0.3)]) is None
    assert spearman([]) is None


def test_agreement_is_a_mean_over_seeds_of_a_task():
    def candidates(*accuracies):
        return [{"score": i, "accuracy": a} for i, a in enumerate(accuracies)] + [{"score": 9}]

    cells = [
        cell("s", "auto", 0.5, 0, candidates=candidates(0.1, 0.2, 0.3)),
        cell("s", "auto", 0.5, 1, candidates=candidates(0.3, 0.2, 0.1)),
        cell("t", "auto", 0.5, 0, candidates=candidates(0.1, 0.2, 0.3)),
        cell("u", "auto", 0.5, 0, candidates=[]),
        cell("t", "x", 0.5, 0),
        failed("t", "auto", "no"),
    ]
    assert {r["set"]: r["spearman"] for r in agreement(cells)} == {"s": 0, "t": pytest.approx(1)}


def test_the_text_has_every_row_and_summary():
    more = [{"score": i, "accuracy": a} for i, a in enumerate((0.1, 0.2, 0.3))]
    text = "\n".join(lines([*CELLS, cell("u", "auto", 0.5, candidates=more)]))
    for words in ("0.7000 ± 0.1000", "too large", "oracle (best", "worst gap 0.5000", "+1.00"):
        assert words in text
    json.dumps(summary(CELLS))


def test_a_table_of_failures_alone_is_a_table():
    assert any("no" in line for line in lines([failed("s", "x", "no")]))
    assert summary([failed("s", "x", "no")])["oracle"]["accuracy"] is None


def test_a_head_carries_its_options():
    assert parse_head("kmeans") == ("kmeans", {})
    assert parse_head("a:unit=true,n=3,kind=full") == ("a", {"unit": True, "n": 3, "kind": "full"})


def test_labels_below_zero_or_empty_are_unknown():
    assert codes(np.array([7, -1, 3, 7])).tolist() == [1, -1, 0, 1]
    assert codes(np.array(["b", "", "a"])).tolist() == [1, -1, 0]
    assert chosen(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(chosen(100, 10)) > 0).all()


@pytest.fixture
def sets(tmp_path):
    """A folder with one set of two spaces, of three groups; a tenth of the labels is unknown."""
    rng, y = np.random.default_rng(0), np.arange(60) % 3
    spaces = {n: rng.standard_normal((60, 4)).astype("f4") + 9 * np.eye(4)[y] for n in "ab"}
    folder = tmp_path / "sets"
    folder.mkdir()
    known = np.where(np.arange(60) < 6, -1, y)
    np.savez(folder / "three.npz", y=known, classes=np.array(["p", "q", "r"]), **spaces)
    return folder


def run(folder, out, *more):
    return arena.main([str(folder), "--out", str(out), "--seeds", "2", "--jobs", "1", *more])


def test_spaces_of_an_npz(sets):
    (data,) = find_sets(sets)
    assert pick_spaces(data, None) == ["a", "b", "a+b"]
    assert pick_spaces(data, ["b+a", "c", "a+c"]) == ["b+a"]
    found = load(data, "b+a", 50)
    assert [x.shape for x in found.spaces] == [(50, 4), (50, 4)]
    assert (found.n_clusters, found.fit.all()) == (3, True)
    assert (found.y < 0).sum() > 0


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((4, 2))}, "labels y"),
        ({"y": np.arange(4)}, "float arrays"),
        ({"y": np.arange(4), "n": np.zeros((4, 2), int)}, "float arrays"),
    ],
)
def test_an_npz_without_labels_or_vectors_is_refused(arrays, words, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=words):
        find_sets(tmp_path)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    (tmp_path / "bad.npz").write_text("<html>")
    with pytest.raises(InputError, match=r"a readable \.npz; got another file"):
        find_sets(tmp_path)


def test_rows_that_are_placed_count_and_unlabelled_ones_do_not(rng):
    y = np.arange(40) % 2
    x = (9 * np.eye(3)[y] + rng.standard_normal((40, 3))).astype(np.float32)
    wrong = np.where(np.arange(40) < 8, -1, y)
    found = measure(Loaded([x], wrong, np.arange(40) < 30, 2), "kmeans", {}, 0)
    assert found["accuracy"] == 1
    assert found["peak_mib"] > 10


def test_auto_shows_its_candidates(rng):
    y = np.arange(60) % 3
    x = (9 * np.eye(3)[y] + rng.standard_normal((60, 3))).astype(np.float32)
    found = measure(Loaded([x], y, y >= 0, 3), "auto", {}, 4)
    assert found["accuracy"] > 0.9
    assert found["method"] in {c["head"] for c in found["candidates"]}
    assert all(0 <= c["accuracy"] <= 1 and 0 <= c["score"] <= 1 for c in found["candidates"])
    json.dumps(found)


def test_finished_cells_are_kept_and_settings_count(sets, tmp_path, capsys):
    out = tmp_path / "out" / "arena.json"
    small = ("--heads", "kmeans:restarts=2", "co-kmeans", "--spaces", "a", "a+b")
    assert run(sets, out, *small) == 0
    doc = json.loads(out.read_text())
    assert len(doc["cells"]) == 8
    assert {r["accuracy"] for r in doc["table"]} == {1}
    log = out.with_suffix(".jsonl")
    log.write_text(log.read_text() + '{"key": "cut o')
    assert run(sets, out, *small) == 0
    assert json.loads(out.read_text())["cells"] == doc["cells"]
    assert run(sets, out, "--heads", "kmeans:restarts=3", "--spaces", "a") == 0
    assert len(arena.read_cells(log)) == 10
    assert run(sets, out, "--heads", "kmeans:restarts=3", "--spaces", "a", "--rows", "40") == 0
    assert len(arena.read_cells(log)) == 12
    assert "written to" in capsys.readouterr().out
    assert arena.main(["--tables-only", "--out", str(out)]) == 0
    assert "kmeans:restarts=3" in capsys.readouterr().out


def test_what_fails_or_takes_too_long_is_a_row(sets, tmp_path, capsys):
    out = tmp_path / "arena.json"
    slow = ("--heads", "co-kmeans:restarts=90000", "--spaces", "a")
    assert run(sets, out, *slow, "--limit", "0.5") == 0
    cells = json.loads(out.read_text())["cells"]
    assert [c["error"] for c in cells] == ["over 0.5 s", "not tried after seed 0: over 0.5 s"]
    # Another chance only with more time.
    keys = [c["key"] for c in cells]
    done = arena.read_cells(out.with_suffix(".jsonl"))
    assert all(arena.is_done(done[k], 0.5) and not arena.is_done(done[k], 9) for k in keys)
    assert run(sets, out, "--rows", "2", "--heads", "kmeans", "--spaces", "a") == 0
    assert "2 of 2 failed: the number of clusters K" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--heads", "kmens"), "Did you mean 'kmeans'"),
        (("--heads", "kmeans:size=3"), "options of kmeans must be of restarts, prepare"),
        (("--spaces", "q"), "--spaces must be some of a, b; got q"),
    ],
)
def test_bad_wishes_are_refused_before_anything_runs(more, words, sets, tmp_path, capsys):
    assert run(sets, tmp_path / "arena.json", *more) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [sets]


def test_images_become_spaces(tmp_path):
    x, y = two_kinds(60)
    (tmp_path / "sets").mkdir()
    np.savez(tmp_path / "sets" / "two.npz", x=x, y=y)
    out = tmp_path / "arena.json"
    for _ in range(2):  # the second finds everything made
        assert run(tmp_path / "sets", out, "--rows", "40", "--heads", "kmeans") == 0
    (row,) = json.loads(out.read_text())["table"]
    assert (row["space"], row["accuracy"]) == ("pixels", 1)
    assert len(arena.read_cells(out.with_suffix(".jsonl"))) == 2


@pytest.mark.usefixtures("arrays_dir")
def test_artefacts_are_spaces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (
        "download --out raw arrays --data-dir data",
        "train --index raw/index --out weights pixels",
        "encode --index raw/index --weights weights --out run/pixels",
    ):
        assert imclust(words.split()) == 0
    # Labels of the validation images, beside the index and then beside the features.
    for _ in range(2):
        (data,) = find_sets(tmp_path / "run")
        found = load(data, "pixels", 1000)
        assert (found.fit.sum(), (found.y >= 0).sum(), found.n_clusters) == (60, 20, 2)
        if not (tmp_path / "run" / "labels").exists():
            shutil.move(tmp_path / "raw" / "labels", tmp_path / "run" / "labels")
    assert measure(found, "kmeans", {}, 0)["accuracy"] == 1
