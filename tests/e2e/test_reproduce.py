"""A submission made again from its manifests, with the same bytes, or with the reason why not."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers import environment, imclust_in, make_arrays, refused
from imclust.competitions.ledger import read
from imclust.core.manifest import file_digest, file_sums, read_manifest, sums_digest, write_manifest

STAGES = (
    "download --out data/raw arrays --data-dir data/mine",
    "train --index data/raw/index --out data/weights pixels",
    "encode --index data/raw/index --weights=data/weights --out data/latents",
    "reduce --features data/latents --out data/pca pca --components 5",
    "cluster --features data/latents data/pca --index data/raw/index --out data/kmeans kmeans",
    "submit --assignment data/kmeans --index data/raw/index --out submissions/mine/one",
)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with one submission: stages called with relative paths."""
    top = tmp_path_factory.mktemp("made") / "first"
    make_arrays(top / "data" / "mine")
    for line in STAGES:
        status, _, err = imclust_in(top, *line.split())
        assert status == 0, err
    return top


@pytest.fixture
def made(template, tmp_path):
    """A copy of that workspace."""
    return shutil.copytree(template, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def originals_gone(template, made):
    """The index names the images where they first lay: there they are no more."""
    away = template.rename(template.with_name("away"))
    yield
    away.rename(template)


def sums(folder):
    return {p: file_digest(p) for p in folder.rglob("*") if p.is_file() and "repro" not in str(p)}


def test_the_same_bytes_and_nothing_else_touched(made, imclust):
    before = sums(made)
    status, out, err = imclust("reproduce", "submissions/mine/one")
    assert status == 0, err
    assert "6 stages" in out
    assert "[5/6] cluster data/kmeans" in out
    assert "same bytes: submission.csv, submission_inverted.csv" in out
    assert sums(made) == before
    assert not (made / "data" / "reproduced" / "mine" / "one").exists()
    log = read(made / "submissions" / "log.csv")
    assert [row.submission for row in log] == ["mine/one", "mine/one"]


@pytest.mark.usefixtures("originals_gone")
def test_from_elsewhere_after_a_move_and_kept(made, imclust, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved") / "ws"
    shutil.copytree(made, moved)
    shutil.rmtree(made / "data")
    out = moved.parent / "again"
    status, said, err = imclust("reproduce", moved / "submissions/mine/one", "--out", out, "--keep")
    assert status == 0, err
    assert f"kept in {out}" in said
    assert (out / "submissions/mine/one/submission.csv").is_file()
    assert np.load(out / "data/latents/x.npy").shape[0] == 80


def test_it_finds_where_the_numbers_began_to_differ(made, imclust):
    path = made / "data/latents/x.npy"
    x = np.load(path)
    np.save(path, np.random.default_rng(0).permutation(x))  # tampered with, of the same size
    doc = read_manifest(path.parent)  # and by somebody who mends the manifest
    doc["files"] = file_sums(path.parent)
    write_manifest(path.parent, doc | {"digest": sums_digest(doc["files"])})
    for line in STAGES[3:]:
        stage, *flags = line.split()
        status, _, err = imclust(stage, "--force", *flags)
        assert status == 0, err
    result = imclust("reproduce", "submissions/mine/one")
    refused(result, "must come out the same", "submission.csv", status=1)
    assert "the first artefact with other numbers is data/latents" in result[1]
    assert "rows differ" in result[1]
    assert "commit, versions, machine and threads are those of then" in result[1]


def test_a_changed_file_is_found(made, imclust):
    path = made / "submissions/mine/one/submission.csv"
    lines = path.read_text().splitlines(keepends=True)
    flipped = lines[5].replace("1\n", "x").replace("0\n", "1\n").replace("x", "0\n")
    path.write_text("".join([*lines[:5], flipped, *lines[6:]]))
    result = imclust("reproduce", "submissions/mine/one")
    refused(result, "submission.csv", status=1)
    assert "submission.csv: 1 of 61 rows differ" in result[1]
    assert "the first artefact with other numbers is submissions/mine/one" in result[1]


def test_an_interrupted_one_goes_on(made, imclust):
    command = [sys.executable, "-m", "imclust", "reproduce", "submissions/mine/one", "--keep"]
    running = subprocess.Popen(
        command, cwd=made, env=environment(), start_new_session=True, stdout=subprocess.PIPE
    )
    latents = made / "data/reproduced/mine/one/data/latents/manifest.json"
    while not latents.exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    first = latents.stat().st_mtime_ns
    status, out, err = imclust(*command[3:])
    assert status == 0, err
    assert "same bytes" in out
    assert latents.stat().st_mtime_ns == first


def test_what_cannot_be_made_again_is_refused_in_one_sentence(made, imclust):
    (made / "full").mkdir()
    (made / "full" / "file").write_text("x")
    result = imclust("reproduce", "submissions/mine/one", "--out", "full")
    refused(result, "an empty or a new folder", "set --out")
    refused(imclust("reproduce", "data/kmeans"), "of kind 'submission'")
    shutil.move(made / "data/mine", made / "data/gone")
    refused(imclust("reproduce", "submissions/mine/one"), "data/mine must be there", "put it back")
    shutil.rmtree(made / "data/latents")
    refused(imclust("reproduce", "submissions/mine/one"), "latents must be a finished")
