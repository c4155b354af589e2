"""The shell script as a user types it, on real files."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import ROOT, environment, make_arrays, two_kinds

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


def baseline(workspace, **env):
    """Run the script in this interpreter's environment; returns what it printed."""
    done = subprocess.run(
        ["bash", str(ROOT / "run_baseline.sh")],
        env=environment(WORKSPACE=str(workspace), **env),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run on tiny arrays: its workspace, its environment and what it printed."""
    top = tmp_path_factory.mktemp("run")
    env = {"CHALLENGE": "arrays", "DATA_DIR": str(make_arrays(top / "tiny"))}
    return top, env, baseline(top, **env)


def test_it_says_where_everything_is_and_how_good(run):
    top, _, printed = run
    folder = top / "submissions/arrays-tiny/fast-seed0"
    for name in ("submission.csv", "submission_inverted.csv"):
        assert str(folder / name) in printed
    assert "valX clustered on its own (the homework's way), n = 20" in printed
    assert "valX through the clustering of trainX (the honest way), n = 20" in printed
    assert re.search(r"max\(acc, 1-acc\) \d\.\d+  Hungarian .* NMI .* ARI", printed)
    assert "seconds: index" in printed
    for picture in ("embedding.png", "reconstructions.png", "training.png"):
        assert picture in printed
        path = top / "data/runs/arrays-tiny/fast-seed0/report" / picture
        with Image.open(path) as image:
            assert image.width > 600
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_the_submission_is_what_the_homework_wants(run):
    top, _, _ = run
    folder = top / "submissions/arrays-tiny/fast-seed0"
    rows = (folder / "submission.csv").read_text().splitlines()
    inverted = (folder / "submission_inverted.csv").read_text().splitlines()
    assert rows[0] == inverted[0] == "id,label"
    assert [r.split(",")[0] for r in rows[1:]] == [str(i) for i in range(60)]
    assert all(int(a[-1]) + int(b[-1]) == 1 for a, b in zip(rows[1:], inverted[1:], strict=True))
    labels = np.array([int(r.split(",")[1]) for r in rows[1:]])
    agreement = (labels == two_kinds(60)[1]).mean()
    assert max(agreement, 1 - agreement) > 0.95


def test_a_second_run_does_nothing_but_say_so(run):
    top, env, _ = run
    before = {p: p.stat().st_mtime_ns for p in top.rglob("*") if p.is_file()}
    printed = baseline(top, **env)
    assert printed.count("is up to date") == 14
    after = {p: p.stat().st_mtime_ns for p in top.rglob("*") if p.is_file()}
    changed = {p for p in after if before.get(p) != after[p] and not p.name.endswith(".lock")}
    assert not changed


def test_a_changed_setting_redoes_only_what_depends_on_it(run):
    top, env, _ = run
    printed = baseline(top, **env, K="3")
    kept = [s for s in printed.splitlines() if s.endswith("is up to date")]
    assert (
        len(kept) == 9
    )  # index, labels, published, weights, latents and two reductions of either split
    folder = top / "submissions/arrays-tiny/fast-seed0"
    assert not (folder / "submission_inverted.csv").exists()
    assert {r[-1] for r in (folder / "submission.csv").read_text().split()[1:]} == {"0", "1", "2"}


def test_every_manifest_tells_where_it_came_from(run):
    top, _, _ = run
    docs = [json.loads(p.read_text()) for p in top.rglob("manifest.json")]
    assert {d["kind"] for d in docs} == set(STAGES)
    for d in docs:
        assert d["track"] == "scratch"
        assert d["seconds"] >= 0
        assert d["files"]
        assert all(len(digest) == 64 for _, digest in d["files"].values())


def test_digits_have_ten_clusters_and_no_inverted_twin(tmp_path):
    printed = baseline(tmp_path, CHALLENGE="digits", ENCODER="pixels")
    folder = tmp_path / "submissions/digits/pixels-fast-seed0"
    assert not (folder / "submission_inverted.csv").exists()
    assert len((folder / "submission.csv").read_text().splitlines()) == 1798
    accuracy = float(re.search(r"Hungarian (\d\.\d+)", printed)[1])
    assert accuracy > 0.75


def test_a_folder_with_a_sample_and_a_corrupt_image(tmp_path):
    data = tmp_path / "shots"
    data.mkdir()
    for i, x in enumerate(two_kinds(20)[0]):
        Image.fromarray(x).save(data / f"{i}.jpg")
    (data / "7.jpg").write_bytes((data / "7.jpg").read_bytes()[:300])
    ids = [*range(19, -1, -1)]
    sample = "ImageID,label\n" + "".join(f"{i},0\n" for i in ids)
    (data / "sample_submission.csv").write_text(sample)
    env = {"CHALLENGE": "folder", "DATA_DIR": str(data), "K": "2", "ENCODER": "pixels"}
    with pytest.raises(AssertionError, match="1 of 20 that are not"):
        baseline(tmp_path, **env)
    printed = baseline(tmp_path, **env, SET_ASIDE_CORRUPT="1")
    assert "7.jpg: truncated" in printed
    assert "1 images set aside get the largest cluster" in printed
    rows = (
        (tmp_path / "submissions/folder-shots/pixels-fast-seed0/submission.csv").read_text().split()
    )
    assert rows[0] == "ImageID,label"
    assert [int(r.split(",")[0]) for r in rows[1:]] == ids


def test_an_image_tree_is_scored_by_its_folder_names(tmp_path):
    for i, (x, y) in enumerate(zip(*two_kinds(24), strict=True)):
        at = tmp_path / "tree" / ("warm", "cold")[y]
        at.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(at / f"{i}.png")
    env = {"CHALLENGE": "imagefolder", "DATA_DIR": str(tmp_path / "tree"), "ENCODER": "pixels"}
    printed = baseline(tmp_path, **env)
    assert "images to cluster, against their labels, n = 24" in printed
    assert "valX" not in printed


def test_the_literal_recipe_runs_through(run, tmp_path):
    """Every stage under `--recipe literal`; the training itself cut to two epochs."""
    top, _, _ = run
    index = top / "data/raw/arrays-tiny/index"
    steps = [
        f"train --index {index} --out w conv-ae --recipe literal --epochs 2",
        f"encode --index {index} --weights w --out z",
        "reduce --features z --out k kernel-pca --recipe literal",
        "reduce --features k --out t tsne --recipe literal",
        f"cluster --features t --index {index} --out c minibatch-kmeans --recipe literal",
        f"submit --assignment c --index {index} --out s",
    ]
    for step in steps:
        done = subprocess.run(
            [sys.executable, "-m", "imclust", *step.split()],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert len((tmp_path / "s/submission.csv").read_text().split()) == 61
