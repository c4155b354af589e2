"""The parts of report.html, without a browser."""

import base64
import gzip
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imclust.__main__ import parse
from imclust.clustering.graph_merging import cluster_tree
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.records import Assignment
from imclust.data.images import ImageRow
from imclust.report.page import gallery, labelled, relations, sprites
from imclust.report.page.build import _evidence
from imclust.report.page.compare import compared
from imclust.report.page.provenance import corrected_command, new_file
from imclust.report.page.render import PLOTTING, POLICY, _plotting, marked, squeezed
from imclust.report.page.rows import NONE, Rows, packed
from imclust.report.page.sources import Sources
from imclust.report.page.tables import Table, cell, shown
from imclust.stages.report import assignment_of


def soft(clusters, k, rng):
    """Posteriors whose argmax is the clusters."""
    p = rng.random((len(clusters), k)) * 0.5
    p[np.arange(len(p)), clusters] = 1
    return (p / p.sum(1, keepdims=True)).astype(np.float32)


def rows_of(clusters, k, rng, labels=None, classes=()):
    n = len(clusters)
    p = soft(clusters, k, rng)
    ids = np.array([f"i{i:03}" for i in range(n)])
    return Rows(
        ids,
        np.full(n, "train"),
        np.asarray(clusters),
        p,
        p.max(1),
        np.argsort(-p, 1)[:, 1],
        rng.random(n),
        np.full(n, -1) if labels is None else np.asarray(labels),
        list(classes),
        None,
        [],
        n,
        np.bincount(clusters, minlength=k).tolist(),
        list(range(k)),
    )


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), "<u2")


def test_numbers_and_json_come_back():
    assert unpacked(packed([0, 7, NONE])).tolist() == [0, 7, NONE]
    data = {"id": ["</script>", "🦊", "\u2028"]}
    assert json.loads(gzip.decompress(base64.b64decode(squeezed(data)))) == data


# --- thumbnails ---------------------------------------------------------------------------------


def images_on_disk(folder, n, side, rng):
    folder.mkdir()
    x = rng.integers(0, 256, (n, 1, 1, 3)) * np.ones((1, side, side, 1))
    np.save(folder / "x.npy", x.astype(np.uint8))
    return x[:, 0, 0], [
        ImageRow(str(i), "train", str(folder / "x.npy"), str(i), side, side) for i in range(n)
    ]


def test_every_thumbnail_lies_where_its_number_says(tmp_path, rng):
    colours, rows = images_on_disk(tmp_path / "i", 70, 24, rng)
    made = sprites.sheets_of(rows, 400, "thumbnails")
    assert made.side == 400  # what is asked for; side_for never asks for so much
    assert len(made.images) == -(-70 // made.per) > 1
    for i in range(70):
        sheet = Image.open(io.BytesIO(base64.b64decode(made.images[i // made.per])))
        line, column = divmod(i % made.per, made.columns)
        middle = (column * made.side + 200, line * made.side + 200)
        assert np.abs(np.array(sheet.getpixel(middle)) - colours[i]).max() < 24


def test_thumbnails_are_no_larger_than_the_images_and_smaller_for_many():
    def rows(n, side):
        return [ImageRow("", "train", "", "", side, side)] * n

    assert sprites.side_for(rows(10, 32)) == 32
    sides = [sprites.side_for(rows(n, 500)) for n in (10, 2000, 5000, 10_000, 50_000, 100_000)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == 128
    assert sides[-1] == sprites.LEAST


def test_noise_keeps_to_the_budget(tmp_path, rng):
    """Noise does not compress: quality goes down, then the side."""
    rows = images_on_disk(tmp_path / "i", 60, 32, rng)[1]
    np.save(tmp_path / "i" / "x.npy", rng.integers(0, 256, (60, 32, 32, 3)).astype(np.uint8))
    for budget in (60_000, 9_000, 3_000):
        made = sprites.sheets_of(rows, 32, "thumbnails", budget)
        assert sum(len(base64.b64decode(i)) for i in made.images) <= budget


# --- galleries, relations, labels ---------------------------------------------------------------


def test_a_gallery_holds_every_image_once_and_the_right_ones(rng):
    clusters = np.repeat([0, 1, 3], [100, 5, 1])  # cluster 2 is empty, cluster 3 a single image
    rows = rows_of(clusters, 4, rng)
    found = gallery.galleries(rows, list("abcd"))
    assert [c["size"] for c in found] == [100, 5, 0, 1]
    for c in found:
        shown_rows = [i for g in gallery.GROUPS for i in c[g]]
        assert len(shown_rows) == len(set(shown_rows))
        assert all(clusters[i] == c["number"] for i in shown_rows)
    assert found[3]["centres"] == [105]
    near = np.argsort(rows.distance[:100], kind="stable")[: gallery.EACH]
    assert found[0]["centres"] == near.tolist()
    far = np.argsort(rows.distance[:100], kind="stable")[::-1]
    assert found[0]["outliers"] == far[: gallery.EACH].tolist()


def test_many_clusters_share_the_room_of_the_gallery(rng):
    found = gallery.galleries(rows_of(np.arange(4000) % 1000, 1000, rng), [""] * 1000)
    assert len(gallery.shown_of(found)) <= 1000 * len(gallery.GROUPS)


def save(folder, kind, write):
    make_artifact(folder, ArtifactSpec(kind, {}, {}, ()), write)
    return folder


def test_distances_are_those_of_the_answer_and_the_advice_is_its_first_merge(tmp_path, rng):
    clusters = rng.integers(0, 4, 50)
    z = rng.standard_normal((50, 6)).astype(np.float32) + 2 * np.eye(4, 6)[clusters]
    tree = cluster_tree([z], clusters, 4, 0)

    def answer(folder):
        np.save(folder / "apart.npy", tree.apart.astype(np.float32))
        return {}

    found = relations.distances_of(save(tmp_path / "a", "assignment", answer))
    np.testing.assert_allclose(found, tree.apart, rtol=1e-6)
    pairs = relations.nearest_pairs(found)
    assert [d for _, _, d in pairs] == sorted(d for _, _, d in pairs)
    assert len(pairs) == 6
    assert pairs[0][:2] == tuple(tree.merges[0, :2])
    assert relations.distances_of(save(tmp_path / "b", "assignment", lambda folder: {})) is None


def test_a_tree_of_a_thousand_clusters_is_drawn():
    chain = [[0.0, 1.0, 1.0, 2.0]] + [[i + 1.0, 999.0 + i, i + 1.0, i + 2.0] for i in range(1, 999)]
    drawn = relations.tree(chain, [1] * 1000)
    assert sorted(drawn["order"]) == list(range(1000))
    assert len(drawn["x"]) == 999


def test_confusion_counts_and_the_most_confident_mistake_comes_first(rng):
    y = rng.integers(0, 3, 200)
    c = np.where(rng.random(200) < 0.8, (y + 1) % 3, rng.integers(0, 3, 200))
    labels = np.where(np.arange(200) < 150, y, -1)  # the rest has none
    rows = rows_of(c, 3, rng, labels, "abc")
    found = labelled.against_labels(rows)
    assert found["n"] == 150
    for i, row in enumerate(found["counts"]):
        for j, n in zip(found["clusters"], row, strict=True):
            assert n == ((y[:150] == i) & (c[:150] == j)).sum()
    assert found["class_of"] == [2, 0, 1]
    wrong = [i for i in range(150) if (c[i] - 1) % 3 != y[i]]
    assert found["wrong"] == len(wrong)
    assert found["mistakes"][0] == max(wrong, key=lambda i: rows.confidence[i])
    assert sum(n for _, _, n in found["pairs"]) == len(wrong)


def test_without_labels_there_is_no_confusion(rng):
    assert labelled.against_labels(rows_of(np.arange(9) % 3, 3, rng)) is None


# --- other runs ---------------------------------------------------------------------------------


def test_the_same_clusters_by_other_numbers_have_not_moved(tmp_path, rng):
    c = np.sort(rng.integers(0, 3, 60))
    rows = rows_of(c, 3, rng)
    theirs = (c + 1) % 3
    theirs[:4] = (theirs[:4] + 1) % 3  # but four of them have
    back = rng.permutation(60)
    other = Assignment(rows.ids[back], rows.splits, soft(theirs[back], 3, rng))
    folder = save(tmp_path / "a", "assignment", other.save)
    found = compared(rows, folder, "other", list("abc"))
    assert (found["common"], found["moved"]) == (60, 4)
    assert found["ours"] == [2, 0, 1]
    assert unpacked(found["cluster"]).tolist() == theirs.tolist()
    assert sum(n for _, _, n in found["flows"]) == 4
    strange = Assignment(np.array(["x", "y"]), np.full(2, "train"), soft([0, 1], 2, rng))
    with pytest.raises(InputError, match="of the same images"):
        compared(rows, save(tmp_path / "b", "assignment", strange.save), "b", ["", ""])


def test_an_answer_is_needed_and_two_must_be_one(tmp_path, rng):
    folders = [
        save(
            tmp_path / name,
            "assignment",
            Assignment(np.array(["x", "y"]), np.full(2, "train"), soft([0, 1], 2, rng)).save,
        )
        for name in "ab"
    ]
    assert assignment_of(None, folders[0]) == folders[0]
    with pytest.raises(InputError, match="told of an assignment"):
        assignment_of(None, None)
    with pytest.raises(InputError, match="the same assignment"):
        assignment_of(*folders)
    strange = save(tmp_path / "c", "scores", lambda folder: {})
    with pytest.raises(InputError, match="of kind 'assignment'"):
        assignment_of(strange)


# --- texts --------------------------------------------------------------------------------------


def test_a_cell_is_a_number_where_it_is_one():
    assert [cell(t) for t in ("3", "0.5", "", "3+5 power")] == [3, 0.5, None, "3+5 power"]
    assert [shown(v) for v in (3, 0.1234, 2.0, None, "x")] == ["3", "0.1234", "2", "\u2013", "x"]
    assert shown(float("nan")) == "\u2013"
    table = Table("t", "", ["a", "b"], [[1, "x"], [None, "y"]])
    assert (table.numeric(0), table.numeric(1)) == (True, False)


def test_the_command_names_the_new_corrections_the_old_ones_lie_with_the_answer():
    at = Sources(Path("run/clusters"), Path("raw/index"))
    argv = ["cluster", "--features", "my x", "--out", "c", "kmeans"]
    assert new_file({"argv": argv}) == "corrections.json"
    assert corrected_command(at, {"argv": argv}, "a.json") == (
        "python -m imclust cluster --corrections a.json --features 'my x' --out c kmeans"
    )
    argv[1:1] = ["--corrections", "a.json", "b.json"]
    assert new_file({"argv": argv}) == "corrections-3.json"
    assert corrected_command(at, {"argv": argv}, "c.json") == (
        "python -m imclust cluster --corrections c.json --features 'my x' --out c kmeans"
    )


def test_an_answer_made_through_python_gets_a_command_that_says_the_same():
    at = Sources(Path("run/clusters"), Path("raw/index"))
    config = {"method": "kmeans", "prepare": "pca", "seed": 3, "n_clusters": 5}
    places = {"features": "../latents", "features 2": "../pixels", "index": "../../raw/index"}
    doc = {"argv": ["photos"], "config": config, "inputs_at": places, "n_clusters": 5}
    line = corrected_command(at, doc, "new.json")
    stage, *words = shlex.split(line)[3:]
    assert words[:2] == ["--corrections", "new.json"]
    cfg = parse([stage, *words[2:]])[1]
    assert cfg.features == (Path("run/latents"), Path("run/pixels"))
    assert (cfg.clusterer.prepare, cfg.seed, cfg.n_clusters) == ("pca", 3, 5)


def test_the_plotting_library_names_no_address_that_the_policy_would_allow():
    assert len(_plotting()) == len(PLOTTING)
    assert "http" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "'unsafe-inline'" not in POLICY.partition("script-src")[2]


def test_names_show_what_is_not_seen_as_marks():
    assert marked("photo\u202egpj.exe") == "photo[U+202E]gpj.exe"
    assert marked("a\nb\x00\u200f") == "a[U+000A]b[U+0000][U+200F]"
    for name in ("שלום.png", "été 🦊.png", "日本.jpg"):
        assert marked(name) == name


def test_a_name_by_hand_is_no_model_s():
    found = [("sea", "by eye at here; sand 0.9"), ("", "sky 0.1"), ("hill", "by eye at here")]
    assert _evidence({"names": ["My sea", "", ""]}, found) == ["sand 0.9", "", "by eye at here"]
    assert _evidence({"names": ["who", "what"]}, []) == []
    assert _evidence({"names": None}, found)[0] == "by eye at here; sand 0.9"
