"""The baseline as a user gets it, on real files: in this process, and once through the script."""

import json
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from helpers import ROOT, environment, make_arrays, refused, two_kinds
from imclust.__main__ import main
from imclust.competitions.ledger import read

STAGES = (
    "index",
    "labels",
    "published",
    "weights",
    "features",
    "assignment",
    "scores",
    "submission",
    "report",
)


def baseline(capsys, workspace, *flags):
    """Run the command; returns what it printed."""
    status = main(["baseline", "--workspace", str(workspace), *map(str, flags)])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return printed.out


def arrays(top):
    return ("--challenge", "arrays", "--data-dir", top / "tiny")


SHORT = ("--encoder-flags", "--epochs 3")  # enough to tell the two kinds apart


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """A workspace with one run on tiny arrays, made by the script."""
    top = tmp_path_factory.mktemp("run")
    make_arrays(top / "tiny")
    env = {"CHALLENGE": "arrays", "DATA_DIR": "tiny", "WORKSPACE": str(top)}
    script = ["bash", str(ROOT / "run_baseline.sh"), *SHORT]
    done = subprocess.run(
        script, cwd=top, env=environment(**env), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (top / "printed").write_text(done.stdout)
    return top


RUN = "arrays-tiny/conv-ae-homework-seed0-164a0226"  # named after the flags of the training


def test_it_says_where_everything_is_and_how_good(top):
    printed = (top / "printed").read_text()
    folder = top / "submissions" / RUN
    for name in ("submission.csv", "submission_inverted.csv"):
        assert str(folder / name) in printed
    assert "valX clustered on its own (the homework's way), n = 20" in printed
    assert "valX through the clustering of trainX (the honest way), n = 20" in printed
    assert re.search(r"max\(acc, 1-acc\) \d\.\d+  Hungarian .* NMI .* ARI", printed)
    assert re.search(r"submission(_inverted)?\.csv fits valY: accuracy", printed)
    assert "seconds: index" in printed
    for picture in ("embedding.png", "reconstructions.png", "training.png"):
        assert picture in printed
        path = top / "data/runs" / RUN / "report" / picture
        with Image.open(path) as image:
            assert image.width > 600
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_the_seconds_are_those_of_the_manifests(top):
    """Of every artefact, also where two have folders of one name."""
    printed = (top / "printed").read_text()
    shown = re.search(r"^seconds: (.*)$", printed, re.M)[1].split("  ")
    total = sum(float(part.rsplit(" ", 1)[1]) for part in shown)
    made = [json.loads(p.read_text()) for p in top.rglob("manifest.json")]
    mine = [doc for doc in made if doc["kind"] not in {"published"}]
    assert len(shown) == len(mine)
    assert total == pytest.approx(sum(doc["seconds"] for doc in mine), abs=0.06 * len(shown))


def test_the_submission_is_what_the_homework_wants(top):
    folder = top / "submissions" / RUN
    rows = (folder / "submission.csv").read_text().splitlines()
    inverted = (folder / "submission_inverted.csv").read_text().splitlines()
    assert rows[0] == inverted[0] == "id,label"
    assert [r.split(",")[0] for r in rows[1:]] == [str(i) for i in range(60)]
    assert all(int(a[-1]) + int(b[-1]) == 1 for a, b in zip(rows[1:], inverted[1:], strict=True))
    labels = np.array([int(r.split(",")[1]) for r in rows[1:]])
    agreement = (labels == two_kinds(60)[1]).mean()
    assert max(agreement, 1 - agreement) > 0.95


def test_each_of_the_twins_is_scored_in_its_own_orientation(top, capsys):
    folder = top / "submissions" / RUN
    rows = {row.file: row for row in read(top / "submissions" / "log.csv")}
    truth = two_kinds(60)[1]
    right = {}
    for name in ("submission.csv", "submission_inverted.csv"):
        labels = [int(line[-1]) for line in (folder / name).read_text().split()[1:]]
        right[name] = (np.array(labels) == truth).mean()
        # The images of both splits are of the same two kinds: one orientation fits both.
        assert (right[name] > 0.5) == (float(rows[name].validation) > 0.5)
    assert sum(float(row.validation) for row in rows.values()) == pytest.approx(1)
    best = max(right, key=right.get)
    log = ("--log", str(top / "submissions" / "log.csv"))
    assert main(["leaderboard", *log]) == 0
    assert f", {best}, by its validation accuracy" in capsys.readouterr().out
    for turned in (False, True):
        words = ["upload", str(folder), "--to", "hw9", *log, *(["--invert"] if turned else [])]
        assert main(words) == 0  # shows what it would send
        printed = capsys.readouterr().out
        assert "ml2020spring-hw9" in printed
        assert f"{best} fits valY: accuracy" in printed
        hints = ("add --invert", "leave out --invert")
        assert [hint in printed for hint in hints] == [
            best == "submission_inverted.csv" and not turned,
            best == "submission.csv" and turned,
        ]


def test_a_second_run_does_nothing_but_say_so(top, capsys):
    before = {p: p.stat().st_mtime_ns for p in top.rglob("*") if p.is_file()}
    printed = baseline(capsys, top, *arrays(top), *SHORT)
    steps = [line for line in printed.splitlines() if re.match(r"\[\d/\d\] ", line)]
    assert len(steps) == 8
    assert all(": up to date" in line for line in steps)
    after = {p: p.stat().st_mtime_ns for p in top.rglob("*") if p.is_file()}
    changed = {p for p in after if before.get(p) != after[p] and not p.name.endswith(".lock")}
    assert not changed


def test_another_k_has_a_run_of_its_own_that_shares_what_k_does_not_decide(top, capsys):
    first = (top / "submissions" / RUN / "submission.csv").read_bytes()
    ledger = len(read(top / "submissions" / "log.csv"))
    printed = baseline(capsys, top, *arrays(top), *SHORT, "--k", "3")
    for title in ("index", "training", "latents"):
        assert f"] {title}: up to date" in printed
    run = top / "data/runs/arrays-tiny/conv-ae-homework-k3-seed0-164a0226"
    made = sorted(p.parent.name for p in run.glob("*/manifest.json"))
    assert made == ["clusters", "report", "scores", "val-clusters"]
    folder = top / "submissions/arrays-tiny/conv-ae-homework-k3-seed0-164a0226"
    assert not (folder / "submission_inverted.csv").exists()
    assert {r[-1] for r in (folder / "submission.csv").read_text().split()[1:]} == {"0", "1", "2"}
    assert (top / "submissions" / RUN / "submission.csv").read_bytes() == first
    rows = read(top / "submissions" / "log.csv")
    assert len(rows) == ledger + 1
    assert (rows[-1].k, rows[-1].head) == ("3", "minibatch-kmeans --recipe fast")


def test_every_manifest_tells_where_it_came_from(top):
    docs = [json.loads(p.read_text()) for p in top.rglob("manifest.json")]
    assert {d["kind"] for d in docs} == set(STAGES)
    for d in docs:
        assert d["track"] == "scratch"
        assert d["seconds"] >= 0
        assert d["files"]
        assert all(len(digest) == 64 for _, digest in d["files"].values())


def test_the_commands_of_a_dry_run_do_the_same_one_by_one(top, tmp_path, capsys, monkeypatch):
    shutil.copytree(top / "tiny", tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    said = baseline(capsys, ".", *arrays(tmp_path), *SHORT, "--dry-run")
    commands = [shlex.split(line) for line in said.splitlines()]
    assert [p for p in tmp_path.iterdir() if p.name != "tiny"] == []
    stages = [words[3] for words in commands]
    homework = ["reduce", "reduce", "cluster"]
    assert stages == [
        *("download", "train", "encode"), *homework, *homework, *("score", "submit", "report")
    ]  # fmt: skip
    for words in commands:
        assert words[:3] == ["python", "-m", "imclust"]
        assert main(words[3:]) == 0, capsys.readouterr().err
    for name in ("submission.csv", "submission_inverted.csv"):
        mine, theirs = (at / "submissions" / RUN / name for at in (tmp_path, top))
        assert mine.read_bytes() == theirs.read_bytes()
    again = baseline(capsys, ".", *arrays(tmp_path), *SHORT)
    assert again.count(": up to date") == 8


def test_a_vote_on_k_is_held_once_for_all_splits(tmp_path, capsys):
    make_arrays(tmp_path / "tiny", 120, 40)
    flags = ("--encoder", "pixels", "--predictor", "kmeans", "--k", "auto")
    baseline(capsys, tmp_path, *arrays(tmp_path), *flags)
    run = tmp_path / "data/runs/arrays-tiny/pixels-kmeans-kauto-seed0"
    docs = [
        json.loads((run / n / "manifest.json").read_text()) for n in ("clusters", "val-clusters")
    ]
    assert docs[0]["config"]["n_clusters"] == "auto"
    assert docs[0]["n_clusters"] == docs[1]["n_clusters"] == docs[1]["config"]["n_clusters"]
    assert "k_words" in docs[0]
    assert "k_words" not in docs[1]


def test_any_clusterer_may_be_the_predictor(top, capsys):
    printed = baseline(capsys, top, *arrays(top), "--encoder", "pixels", "--predictor", "spectral")
    run = top / "data/runs/arrays-tiny/pixels-spectral-seed0"
    doc = json.loads((run / "clusters" / "manifest.json").read_text())
    assert doc["config"]["method"] == "spectral"
    assert "pixels-spectral-seed0/submission.csv" in printed


def test_digits_have_ten_clusters_and_no_inverted_twin(tmp_path, capsys, monkeypatch):
    few = load_digits()
    few.images, few.target = few.images[:600], few.target[:600]
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: few)
    printed = baseline(capsys, tmp_path, "--challenge", "digits", "--encoder", "pixels")
    folder = tmp_path / "submissions/digits/pixels-homework-seed0"
    assert not (folder / "submission_inverted.csv").exists()
    assert len((folder / "submission.csv").read_text().splitlines()) == 601
    accuracy = float(re.search(r"Hungarian (\d\.\d+)", printed)[1])
    assert accuracy > 0.75


def test_a_folder_with_a_sample_and_a_corrupt_image(tmp_path, capsys, monkeypatch):
    data = tmp_path / "shots"
    data.mkdir()
    for i, x in enumerate(two_kinds(20)[0]):
        Image.fromarray(x).save(data / f"{i}.jpg")
    (data / "7.jpg").write_bytes((data / "7.jpg").read_bytes()[:300])
    ids = [*range(19, -1, -1)]
    sample = "ImageID,label\n" + "".join(f"{i},0\n" for i in ids)
    (data / "sample_submission.csv").write_text(sample)
    flags = ("--challenge", "folder", "--data-dir", data, "--k", "2", "--encoder", "pixels")
    monkeypatch.setenv("SET_ASIDE_CORRUPT", "0")  # is off
    status = main(["baseline", "--workspace", str(tmp_path), *map(str, flags)])
    refused((status, "", capsys.readouterr().err), "1 of 20 that are not", "SET_ASIDE_CORRUPT=1")
    monkeypatch.setenv("SET_ASIDE_CORRUPT", "1")
    printed = baseline(capsys, tmp_path, *flags)
    assert "7.jpg: truncated" in printed
    assert "1 image set aside gets the largest cluster" in printed
    folder = tmp_path / "submissions/folder-shots/pixels-homework-k2-seed0"
    rows = (folder / "submission.csv").read_text().split()
    assert rows[0] == "ImageID,label"
    assert [int(r.split(",")[0]) for r in rows[1:]] == ids


def test_more_clusters_than_images_are_refused_before_anything_is_learned(top, tmp_path, capsys):
    words = ["baseline", "--workspace", str(tmp_path), *map(str, arrays(top)), "--k", "61"]
    refused((main(words), "", capsys.readouterr().err), "from 2 to the number of images (60)")
    assert not (tmp_path / "data" / "runs").exists()


def test_labels_that_nobody_published_cannot_be_learned_from(top, tmp_path, capsys):
    words = ["baseline", "--workspace", str(tmp_path), *map(str, arrays(top))]
    refused((main([*words, "--finetune", "published"]), "", capsys.readouterr().err), "FINETUNE")
    assert not (tmp_path / "data" / "runs").exists()


def test_an_image_tree_is_scored_by_its_folder_names(tmp_path, capsys):
    for i, (x, y) in enumerate(zip(*two_kinds(24), strict=True)):
        at = tmp_path / "tree" / ("warm", "cold")[y]
        at.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(at / f"{i}.png")
    flags = ("--challenge", "imagefolder", "--data-dir", tmp_path / "tree", "--encoder", "pixels")
    printed = baseline(capsys, tmp_path, *flags)
    assert "images to cluster, against their labels, n = 24" in printed
    assert "valX" not in printed


def test_the_literal_recipe_runs_through(top, capsys):
    """Every stage under the literal recipe; the training itself cut to two epochs."""
    flags = ("--recipe", "literal", "--encoder-flags", "--epochs 2")
    printed = baseline(capsys, top, *arrays(top), *flags)
    [run] = (top / "submissions" / "arrays-tiny").glob("conv-ae-homework-literal-seed0-*")
    assert len((run / "submission.csv").read_text().split()) == 61
    assert str(run / "submission.csv") in printed


@pytest.mark.parametrize("n_val", [1, 6])
def test_validation_images_too_few_for_k_are_placed_only(capsys, tmp_path, n_val):
    """One, or copies of one: they cannot be clustered on their own, and nothing else ends."""
    make_arrays(tmp_path / "tiny")
    one = np.load(tmp_path / "tiny/valX.npy")[:1]
    np.save(tmp_path / "tiny/valX.npy", np.repeat(one, n_val, axis=0))
    np.save(tmp_path / "tiny/valY.npy", np.zeros(n_val, np.int64))
    said = baseline(capsys, tmp_path, *arrays(tmp_path), "--encoder", "pixels")
    left_out = "for 2 clusters need as many different validation images, and there is 1"
    assert f"validation: left out, {left_out}" in said
    [scores] = (tmp_path / "data/runs/arrays-tiny").glob("*/scores/scores.json")
    assert "val_through" in json.loads(scores.read_text())
    assert [*(tmp_path / "submissions/arrays-tiny").glob("*/submission.csv")]
    planned = baseline(capsys, tmp_path, *arrays(tmp_path), "--encoder", "pixels", "--dry-run")
    assert f"# validation: left out, {left_out}" in planned
    assert "val-clusters" not in planned
