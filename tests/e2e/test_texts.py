"""Texts, and images with texts, from the command line to the score."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers import refused
from imclust.__main__ import main
from imclust.core.records import Features
from topics import ITEMS, TOPICS, make_table


def stages(*lines):
    for line in lines:
        assert main(line.split()) == 0, line


def hungarian(folder):
    return json.loads((folder / "scores.json").read_text())["train"]["hungarian"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Forty sentences downloaded, trained and encoded."""
    top = tmp_path_factory.mktemp("texts")
    make_table(top / "t.csv")
    stages(
        f"download --out {top}/raw texts --data-dir {top}/t.csv --label-column topic",
        f"train --index {top}/raw/index --out {top}/w text",
        f"encode --index {top}/raw/index --weights {top}/w --out {top}/z",
    )
    return top


def test_topics_are_found(run, capsys):
    stages(
        f"reduce --features {run}/z --out {run}/p pca",
        f"cluster --features {run}/z --index {run}/raw/index --out {run}/c --n-clusters 4 kmeans",
        f"score --assignment {run}/c --index {run}/raw/index --labels {run}/raw/labels "
        f"--weights {run}/w --out {run}/s --spaces {run}/z",
        f"submit --assignment {run}/c --index {run}/raw/index --out {run}/sub",
        f"report --submission {run}/sub --scores {run}/s --labels {run}/raw/labels "
        f"--embedding {run}/p --out {run}/report",
    )
    assert hungarian(run / "s") > 0.9
    rows = (run / "sub" / "submission.csv").read_text().splitlines()
    assert rows[0] == "id,label"
    assert [r.split(",")[0] for r in rows[1:]] == [f"s{i}" for i in range(40)]
    assert (run / "report" / "embedding.png").is_file()
    manifest = json.loads((run / "c" / "manifest.json").read_text())
    assert manifest["track"] == "open"


def test_latents_do_not_depend_on_the_batch_or_the_order_inside_it(run):
    index, w = run / "raw" / "index", run / "w"
    stages(f"encode --index {index} --weights {w} --out {run}/z3 --batch 3")
    a, b = (Features.load(run / name) for name in ("z", "z3"))
    assert a.ids.tolist() == b.ids.tolist() == [f"s{i}" for i in range(40)]
    np.testing.assert_allclose(a.x, b.x, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(a.x, axis=1), 1, atol=1e-5)


def test_shards_of_texts_hold_their_rows(run):
    index, w = run / "raw" / "index", run / "w"
    stages(f"encode --index {index} --weights {w} --out {run}/z1 --shard 1/3")
    whole, part = (Features.load(run / name) for name in ("z", "z1"))
    assert 0 < len(part.ids) < 20
    np.testing.assert_allclose(part.x, whole.at(part.ids), atol=2e-6)


def test_it_says_nothing_but_its_own_lines(imclust, run):
    done = imclust("train", "--index", run / "raw" / "index", "--out", "w", "text")
    assert done[0] == 0
    assert done[2] == ""
    assert [line.split(":")[0] for line in done[1].splitlines()] == [
        "text",
        "weights of text are in w",
    ]


def test_what_is_for_images_is_refused(imclust, run):
    index, w = run / "raw" / "index", run / "w"
    refused(imclust("train", "--index", index, "--out", "x", "pixels"), "texts", "the text encoder")
    flags = ("encode", "--index", index, "--weights", w, "--out", "x")
    refused(imclust(*flags, "--flip"), "--flip", "images")
    refused(imclust(*flags, "--backend", "openvino"), "--backend", "torch for texts")
    done = imclust("download", "--out", "d", "texts", "--data-dir", "nothing.csv")
    refused(done, "--data-dir", "nothing.csv")


COLOURS = {"cooking": (200, 60, 40), "space": (200, 60, 40), "football": (40, 160, 60),
           "finance": (50, 60, 190)}  # fmt: skip
SUBJECT = {"cooking": "cooking", "space": "space", "football": "football", "finance": "football"}


def test_images_and_texts_together_tell_apart_what_either_confuses(tmp_path):
    """Two groups share their colours, two others their subject; names of files are the ids."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows = []
    for i, (_, group) in enumerate(ITEMS):
        noise = rng.normal(0, 25, (16, 16, 3)) + rng.normal(0, 10, 3)
        pixels = (np.array(COLOURS[group]) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
        rows.append((f"{i}.png", TOPICS[SUBJECT[group]][i // 4], group))
    make_table(tmp_path / "t.csv", rows)
    t = tmp_path
    stages(
        f"download --out {t}/rt texts --data-dir {t}/t.csv --label-column topic",
        f"train --index {t}/rt/index --out {t}/tw text",
        f"encode --index {t}/rt/index --weights {t}/tw --out {t}/tz",
        f"download --out {t}/ri folder --data-dir {t}/images",
        f"train --index {t}/ri/index --out {t}/iw pixels --size 16",
        f"encode --index {t}/ri/index --weights {t}/iw --out {t}/iz",
    )
    found = {}
    both = f"{t}/iz {t}/tz"
    for name, spaces, method in (
        ("images", f"{t}/iz", "kmeans"),
        ("texts", f"{t}/tz", "kmeans"),
        ("joined", both, "kmeans"),
        ("taught", both, "co-kmeans --restarts 50"),
    ):
        stages(
            f"cluster --features {spaces} --index {t}/ri/index --out {t}/{name}-clusters "
            f"--n-clusters 4 {method}",
            f"score --assignment {t}/{name}-clusters --index {t}/ri/index --labels {t}/rt/labels "
            f"--out {t}/{name}-scores",
        )
        found[name] = hungarian(t / f"{name}-scores")
    assert max(found["images"], found["texts"]) < 0.9
    assert min(found["joined"], found["taught"]) > 0.95
