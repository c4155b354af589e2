"""Images that come later: placed as `cluster` itself would have, copies of old ones exactly."""

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main
from imclust.clustering import placing
from imclust.clustering.auto_search import ALONE, JOINED, View
from imclust.clustering.clusterers.auto import AutoConfig
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment, read_csv
from imclust.stages.predict import Predict, run


def folder(at, images, first=0):
    at.mkdir()
    for i, x in enumerate(images, first):
        Image.fromarray(x).save(at / f"{i:02}.png")
    return at


def encoded(raw, weights, to):
    for name, w in weights.items():
        flags = ("--index", raw / "index", "--weights", w, "--out", to / name)
        assert main(["encode", *map(str, flags)]) == 0
    return [to / name for name in weights]


@pytest.fixture
def answered(tmp_path, monkeypatch):
    """60 old images clustered by `auto` in two spaces, the same with 12 more as validation images,
    and these 12 on their own."""
    monkeypatch.chdir(tmp_path)
    x, _ = two_kinds(72)
    folder(tmp_path / "old", x[:60])
    (tmp_path / "both").mkdir()
    np.save(tmp_path / "both" / "trainX.npy", x[:60])
    np.save(tmp_path / "both" / "valX.npy", x[60:])
    folder(tmp_path / "new", x[60:], 60)
    for name, kind in (("old", "folder"), ("new", "folder"), ("both", "arrays")):
        assert main(["download", "--out", f"raw/{name}", kind, "--data-dir", name]) == 0
    for side in (8, 16):
        flags = ["--index", "raw/old/index", "--out", f"weights-{side}"]
        assert main(["train", *flags, "pixels", "--size", str(side)]) == 0
    return tmp_path


def cluster(raw, spaces, out, *method):
    flags = ("--features", *spaces, "--index", raw / "index", "--out", out, "--n-clusters", 2)
    assert main(["cluster", *map(str, flags), *method]) == 0


def weights(at):
    return {f"z{side}": at / f"weights-{side}" for side in (8, 16)}


def place(at, **more):
    settings = {"assignment": at / "c", "index": at / "raw/new/index", "out": at / "placed"}
    run(
        Predict(
            features=tuple(encoded(at / "raw/new", weights(at), at / "znew")), **settings, **more
        )
    )
    return Assignment.load(at / "placed")


def test_placed_as_cluster_places_rows_of_another_split(answered):
    at, head = answered, ("auto", "--effort", "quick")
    spaces = encoded(at / "raw/old", weights(at), at / "z")
    cluster(at / "raw/old", spaces, at / "c", *head)
    as_array = encoded(at / "raw/both", weights(at), at / "zboth")
    cluster(at / "raw/both", as_array, at / "both-c", *head)
    placed, twin = place(at), Assignment.load(at / "both-c")
    np.testing.assert_array_equal(
        Assignment.load(at / "c").probabilities, twin.part("train").probabilities
    )
    np.testing.assert_array_equal(placed.probabilities, twin.part("val").probabilities)


@pytest.mark.parametrize("head", [("auto", "--effort", "quick"), ("kmeans",)])
def test_a_copy_of_an_old_image_gets_what_that_has(answered, head):
    at = answered
    spaces = encoded(at / "raw/old", weights(at), at / "z")
    cluster(at / "raw/old", spaces, at / "c", *head)
    for i in (3, 4):
        (at / "new" / f"copy {i}.png").write_bytes((at / "old" / f"{i:02}.png").read_bytes())
    assert main(["download", "--out", "raw/new", "folder", "--data-dir", "new"]) == 0
    placed, old = place(at), Assignment.load(at / "c")
    for i in (3, 4):
        mine = placed.probabilities[placed.ids.tolist().index(f"copy {i}.png")]
        was = old.probabilities[old.ids.tolist().index(f"{i:02}.png")]
        np.testing.assert_array_equal(mine, was)
    kinds = np.array([int(i.removesuffix(".png")[-1]) % 2 for i in placed.ids])
    agree = (placed.clusters == kinds).mean()
    assert max(agree, 1 - agree) == 1
    doc = read_manifest(at / "placed")
    assert (doc["copies"], doc["n_clusters"], sum(doc["sizes"])) == (2, 2, 14)
    table = read_csv(at / "placed" / "assignment.csv")
    assert {int(r["runner_up"]) + int(r["cluster"]) for r in table} == {1}
    assert all(0 <= float(r["distance"]) <= 2 for r in table)


def test_other_features_than_those_of_the_answer_are_refused(answered):
    at = answered
    spaces = encoded(at / "raw/old", weights(at), at / "z")
    cluster(at / "raw/old", spaces, at / "c", "kmeans")
    new = encoded(at / "raw/new", weights(at), at / "znew")
    settings = {"assignment": at / "c", "index": at / "raw/new/index", "out": at / "placed"}
    with pytest.raises(InputError, match=r"--features must be 2, as of the assignment; got 1;"):
        run(Predict(features=(new[0],), **settings))
    with pytest.raises(InputError, match=r"numbers as in .*z8; got"):
        run(Predict(features=(new[1], new[0]), **settings))
    assert not (at / "placed").exists()


def test_the_name_of_a_view_says_what_is_in_it(blobs):
    z, _ = blobs
    for parts, how in [((0,), ALONE[0]), ((0, 2), JOINED[1]), ((1,), "white")]:
        assert View.named(View.of([z, z, z], parts, how).name) == (parts, how)
    assert AutoConfig().effort  # what such names come from


@pytest.mark.parametrize("head", [("auto", "--effort", "quick"), ("kmeans",)], ids=lambda h: h[0])
def test_where_many_are_clustered_a_classifier_places(answered, monkeypatch, head):
    at = answered
    old = encoded(at / "raw/old", weights(at), at / "zold")
    cluster(at / "raw/old", old, at / "c", *head)
    few = place(at)
    monkeypatch.setattr(placing, "LARGE", 40)
    many = place(at, force=True)
    np.testing.assert_array_equal(many.clusters, few.clusters)
    assert (many.probabilities != few.probabilities).any()
