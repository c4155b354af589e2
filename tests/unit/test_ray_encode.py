"""Encoding by the workers of a Ray cluster: the bytes of one process."""

import importlib.util
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main, parse
from imclust.cli.steps import Step
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.ray_tasks import Tally
from imclust.core.records import read_csv
from imclust.data.images import load_index
from imclust.stages.encode import Encode

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray is an extra")
ENCODE = "encode --index raw/index --weights w --batch 4 --out "


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """40 images in files, and an encoder that has seen a few."""
    at = tmp_path_factory.mktemp("images")
    (at / "files").mkdir()
    for i, x in enumerate(two_kinds(40)[0]):
        Image.fromarray(x).save(at / "files" / f"{i:02}.png")
    for line in (
        f"download --out {at}/raw folder --data-dir {at}/files",
        f"train --index {at}/raw/index --out {at}/w pixels",
        f"encode --index {at}/raw/index --weights {at}/w --batch 4 --out {at}/one",
    ):
        assert main(line.split()) == 0
    return at


@pytest.fixture
def place(images, tmp_path, monkeypatch):
    for name in ("raw", "w", "files", "one"):
        (tmp_path / name).symlink_to(images / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def latents(place, name):
    return [(place / name / f"{n}.npy").read_bytes() for n in ("x", "ids", "splits")]


def test_shards_of_a_given_batch_are_whole_batches(images):
    rows = load_index(images / "raw/index")
    shares = [Encode(images, images, images, batch=4, shard=f"{i}/3").part(rows) for i in range(3)]
    assert [len(share) for share in shares] == [12, 12, 16]
    assert [r.id for share in shares for r in share] == [r.id for r in rows]


def test_shards_joined_by_hand_are_the_bytes_of_one_process(place):
    for i in range(3):
        assert main([*ENCODE.split(), f"s{i}", "--shard", f"{i}/3"]) == 0
    shards = [f"s{i}" for i in range(3)]
    assert main(["gather", "--index", "raw/index", "--out", "g", "--features", *shards]) == 0
    assert latents(place, "g") == latents(place, "one")


def test_a_shard_without_a_row_is_one_sentence(place, capsys):
    assert main([*ENCODE.split(), "a", "--shard", "0/30"]) == 2
    assert "shard 0/30 must be at least one image; got none" in capsys.readouterr().err


WRONG = {
    "--ray somewhere": "--ray must be auto, ray://host:port or local:N",
    "--ray local:2 --shard 0/2": "--ray must be used without --shard",
    "--ray local:2 --dedupe": "--ray must be used without --dedupe",
    "--ray local:2 --ray-rows 0": "--ray-rows must be at least 1",
    "--gpu-share 0.5": "--gpu-share must be used with --ray",
    "--ray local:2 --gpu-share 1.5": "--gpu-share must be from 0 to 1, or a whole number",
}


@pytest.mark.parametrize("flags", WRONG)
def test_what_cannot_be_is_one_sentence_before_any_work(flags, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(InputError) as e:
        parse([*ENCODE.split(), "a", *flags.split()])
    assert WRONG[flags] in str(e.value)


@pytest.mark.parametrize("command", ["cluster-folder files", "run photos", "baseline"])
def test_commands_refuse_an_address_that_is_none(command):
    name, *more = command.split()
    with pytest.raises(InputError, match="must be auto, ray://host:port or local:N"):
        parse([name, "--ray", "10.0.0.1", *more])


def test_steps_pass_the_address_to_the_stages_that_know_it():
    methods = ["cluster", "--out", "a", "kmeans"], ["cluster", "--out", "a", "auto"]
    others = ["encode", "--out", "z"], ["reduce", "--out", "y", "pca"]
    step = Step("clusters", tuple(map(tuple, (*methods, *others))))
    with_ray = [words[1] == "--ray" for words in step.by_ray("local:2").commands]
    assert with_ray == [True, False, True, False]
    assert step.by_ray(None) is step


def test_the_line_to_watch_counts_shards_images_and_retries():
    tally = Tally(4, done=3, retries=2)
    tally.nodes.update(["a", "b", "a"])
    assert tally.line() == "shards 3/4, 0 images/s a node on 2 nodes, retries 2"


@needs_ray
@pytest.mark.slow
def test_workers_write_the_bytes_of_one_process_and_go_on_after_a_stop(place, capsys):
    words = [*ENCODE.split(), "r", "--ray", "local:2", "--ray-rows", "8"]
    picture = place / "changed"
    row = load_index(place / "raw/index")[20]
    shutil.copy(row.source, picture)
    try:
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(row.source)
        assert main(words) == 2  # a picture that changed since stops the run
        assert "must be the image that was indexed" in capsys.readouterr().err
    finally:
        shutil.copy(picture, row.source)
    before = {p: os.stat(p).st_ino for p in (place / ".r.partial/shards").glob("0*/x.npy")}
    assert before
    assert main(words) == 0
    assert latents(place, "r") == latents(place, "one")
    doc = read_manifest(place / "r")
    assert doc["ray"] == {"tasks": 5, "kept": len(before), "retries": 0, "nodes": 1}
    assert doc["config"] == read_manifest(place / "one")["config"]
    assert not (place / "r/shards").exists()
    assert main([*ENCODE.split(), "r"]) == 0  # up to date without Ray, too
    assert json.loads((place / "r/manifest.json").read_text()) == doc


def artefacts(top):
    """Name -> bytes of every file of every artefact, but manifests and pages, which tell times and
    places; of the candidates without their seconds."""
    found = {}
    for manifest in top.rglob("manifest.json"):
        for path in manifest.parent.iterdir():
            if path.is_file() and path.suffix not in {".html", ".ipynb", ".json"}:
                data = path.read_bytes()
                if path.name == "candidates.csv":
                    data = [{**row, "seconds": ""} for row in read_csv(path)]
                found[str(path.relative_to(top))] = data
    return found


@needs_ray
@pytest.mark.slow
def test_a_whole_run_makes_the_artefacts_of_one_process(images, tmp_path, capsys):
    words = ["cluster-folder", str(images / "files"), "--n-clusters", "2", "--effort", "quick"]
    assert main([*words, "--workspace", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    assert main([*words, "--workspace", str(tmp_path / "ray"), "--ray", "local:2"]) == 0
    said = capsys.readouterr().out
    assert said.count("shards 1/1, ") == 2  # of both spaces
    one, ray = artefacts(tmp_path / "one"), artefacts(tmp_path / "ray")
    assert len(one) > 30
    assert sorted(one) == sorted(ray)
    assert [name for name in one if one[name] != ray[name]] == []
