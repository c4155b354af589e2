"""Very many clusters: the nearest of each row, through the stage, as numpy finds them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main
from imclust.clustering import many_clusters, nearest_clusters
from imclust.clustering.block_kmeans import Centres
from imclust.clustering.clusterers._base import centre_probabilities
from imclust.clustering.many_clusters import (
    CELLS,
    CentreCells,
    cluster_many,
    nearest_of_shard,
    place_many,
)
from imclust.core import shards
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.nearest_records import clusters_of
from imclust.core.npy import NpyRows, open_npy
from imclust.core.records import Assignment, read_csv, save_rows
from imclust.core.shards import received, run_by
from imclust.report import largest_clusters
from imclust.report.page.rows import NONE, gather_rows

RAY = importlib.util.find_spec("ray") is not None
ROWS, K = 4000, 400


def encode_pictures(count):
    """So many pictures in files/, their index in raw/index, their pixels as latents in z."""
    Path("files").mkdir()
    for i, x in enumerate(two_kinds(count)[0]):
        Image.fromarray(x).save(f"files/{i:02}.png")
    for line in (
        "download --out raw folder --data-dir files",
        "train --index raw/index --out w pixels",
        "encode --index raw/index --weights w --out z",
    ):
        assert main(line.split()) == 0


@pytest.fixture
def features(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    centres = 4 * rng.standard_normal((K, 6))
    x = (centres[rng.integers(0, K, ROWS)] + 0.3 * rng.standard_normal((ROWS, 6))).astype("f2")

    def write(folder):
        with NpyRows(folder / "x.npy", x.shape, half=True) as file:
            file.write(0, x)
        save_rows(
            folder, np.arange(ROWS).astype(str), np.where(np.arange(ROWS) % 9, "train", "val")
        )
        return {"rows": ROWS, "dims": 6}

    make_artifact(tmp_path / "z", ArtifactSpec("features", {}, {}, ()), write)
    monkeypatch.chdir(tmp_path)
    for module in (many_clusters, nearest_clusters):
        monkeypatch.setattr(module, "MANY", 300)
    monkeypatch.setattr(shards, "SHARD", 1500)
    return x.astype(np.float32)


LINE = "cluster --features z --index none --n-clusters {k} --out {out} {more} kmeans --levels 2"


def exact(x, points):
    apart = np.sqrt(np.maximum(np.square(x[:, None] - points).sum(2), 0))
    order = np.argsort(apart, 1)[:, :8]
    return order, np.take_along_axis(apart, order, 1)


def test_the_nearest_of_cells_are_the_nearest_of_all(rng):
    x, points = rng.standard_normal((900, 5)), rng.standard_normal((1600, 5))
    x = x.astype(np.float32)
    cells = CentreCells.of(Centres(points, points.mean(0)))
    nearest, apart = nearest_of_shard(x, cells)
    order, far = exact(x, points)
    assert (nearest[:, 0] == order[:, 0]).mean() > 0.97
    assert len(cells.heads) > CELLS
    same = (nearest == order).all(1)
    assert same.mean() > 0.7
    np.testing.assert_allclose(apart[same], far[same], atol=1e-3)
    assert (np.diff(apart, axis=1) >= 0).all()
    assert all(len(set(row)) == 8 for row in nearest.tolist())


def test_probabilities_are_those_of_equal_gaussians_at_the_nearest(features):
    found = cluster_many(features, features, K, seed=0)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)
    assert (np.diff(found.probabilities, axis=1) <= 1e-6).all()
    variance = found.facts["inertia"] / ROWS
    assert variance < 6 * 0.3**2 * 1.5
    centres = many_clusters.hierarchical_kmeans(features, K)
    _, apart = nearest_of_shard(features, CentreCells.of(centres))
    want = centre_probabilities(apart, 6, float(np.square(apart[:, 0]).mean()))
    np.testing.assert_allclose(found.probabilities, want, atol=1e-4)


def test_further_rows_go_to_the_nearest_means(features):
    found = cluster_many(features, features, K, seed=0)
    labels = found.nearest[:, 0]
    rows = features[::7] + 0.05
    variance = found.facts["inertia"] / ROWS
    placed = place_many(features, labels, rows, variance)
    used = np.unique(labels)
    means = np.stack([features[labels == c].mean(0, dtype=float) for c in used])
    order, far = exact(rows, means)
    assert (placed.nearest[:, 0] == used[order[:, 0]]).mean() > 0.97
    same = (placed.nearest == used[order]).all(1)
    assert same.mean() > 0.7
    want = centre_probabilities(far, 6, variance)
    np.testing.assert_allclose(placed.probabilities[same], want[same], atol=1e-3)


def test_the_stage_writes_the_nearest_and_others_say_what_they_lack(features, capsys):
    assert main(LINE.format(k=K, out="c", more="--parquet" * 0).split()) == 0
    assert "kmeans: clusters of " in capsys.readouterr().out
    doc, found = read_manifest(Path("c")), clusters_of(Path("c"))
    assert doc["n_clusters"] == K
    assert sum(doc["sizes"]) == ROWS
    assert sorted(p.name for p in Path("c").iterdir()) == [
        "assignment.csv", "ids.npy", "manifest.json", "nearest.npy", "nearest_probabilities.npy",
        "splits.npy",
    ]  # fmt: skip
    table = read_csv(Path("c/assignment.csv"))
    assert [int(row["cluster"]) for row in table] == found.clusters.tolist()
    assert [int(row["runner_up"]) for row in table] == found.nearest[:, 1].tolist()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    centre = unit[found.clusters == found.clusters[7]].mean(0)
    want = 1 - unit[7] @ centre / np.linalg.norm(centre)
    assert float(table[7]["distance"]) == pytest.approx(want, abs=1e-3)
    with pytest.raises(InputError, match="must be so few that all have probabilities; got 400"):
        Assignment.load(Path("c"))


def test_a_submission_is_made_of_it_and_further_images_placed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nearest_clusters, "MANY", 3)
    encode_pictures(30)
    for line in (
        "cluster --features z --index raw/index --n-clusters 5 --out c kmeans --levels 2",
        "submit --assignment c --index raw/index --out s --log ledger.csv",
    ):
        assert main(line.split()) == 0
    found = clusters_of(Path("c"))
    rows = read_csv(Path("s/submission.csv"))
    assert [list(row.values())[-1] for row in rows] == found.clusters.astype(str).tolist()
    for line in (
        "cluster --features z --index raw/index --n-clusters 5 --out d kmeans --levels 2",
        "predict --assignment d --index raw/index --features z --out p",
    ):
        assert main(line.split()) == 0
    placed = clusters_of(Path("p"))  # the very files that are clustered
    np.testing.assert_array_equal(placed.clusters, found.clusters)
    assert read_manifest(Path("p"))["copies"] == 30
    assert "predict: clusters of " in capsys.readouterr().out
    words = ["score", "--assignment", "c", "--index", "raw/index", "--labels", "raw/labels"]
    assert main([*words, "--out", "t"]) == 2


def test_a_page_shows_the_largest_of_very_many_clusters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nearest_clusters, "MANY", 3)
    monkeypatch.setattr(largest_clusters, "LARGEST", 4)
    encode_pictures(40)
    for line in (
        "cluster --features z --index raw/index --n-clusters 12 --out c kmeans --levels 2",
        "report --assignment c --out r",
    ):
        assert main(line.split()) == 0
    found, sizes = clusters_of(Path("c")), np.array(read_manifest(Path("c"))["sizes"])
    rows = gather_rows(Path("c"), Path("raw/index"), None, {})
    assert len(rows.numbers) == 4
    assert sorted(sizes[rows.numbers]) == sorted(sizes)[-4:]
    assert rows.sizes == sizes[rows.numbers].tolist()
    numbers = np.array([*rows.numbers, -1])
    where = {i: n for n, i in enumerate(found.ids.tolist())}
    order = [where[i] for i in rows.ids.tolist()]
    np.testing.assert_array_equal(numbers[rows.clusters], found.clusters[order])
    np.testing.assert_allclose(rows.confidence, found.probabilities[order, 0], atol=1e-6)
    second = found.nearest[order, 1]
    shown = rows.runner_up != NONE
    np.testing.assert_array_equal(shown, np.isin(second, rows.numbers))
    np.testing.assert_array_equal(numbers[rows.runner_up[shown]], second[shown])
    page = Path("r/report.html").read_text()
    assert f"This page shows the largest 4 clusters, with {len(order)} images, and not" in page
    assert "not the other 8; corrections of so many clusters are not taken." in page
    assert '<html lang="en" class="uncorrected">' in page  # nothing invites to correct them
    assert ".uncorrected [data-correcting] { display: none; }" in page
    assert "Select images to move them" not in page
    assert f"cluster {rows.numbers[-1]}" in page


def test_of_too_many_images_of_the_largest_clusters_some_are_drawn(features, monkeypatch):
    assert main(LINE.format(k=K, out="c", more="").split()) == 0
    monkeypatch.setattr(largest_clusters, "LARGEST", 50)
    whole, numbers = largest_clusters.shown_part(Path("c"))
    assert whole.probabilities.shape == (len(whole.ids), 50)
    monkeypatch.setattr(largest_clusters, "MOST", 100)
    part, same = largest_clusters.shown_part(Path("c"))
    assert len(part.ids) == 100
    np.testing.assert_array_equal(same, numbers)
    found = dict(zip(whole.ids.tolist(), whole.clusters.tolist(), strict=True))
    assert [found[i] for i in part.ids.tolist()] == part.clusters.tolist()


@pytest.mark.parametrize(
    ("k", "more", "said"),
    [
        (ROWS, "", "K must be from 2 to the number of images (3555)"),
        (K, "--unclustered 0.1", "--unclustered must be used with at most"),
        (K, "--copies z", "--copies must be used with at most"),
        (K, "--proportions uniform", "--proportions, ... must be used with at most"),
    ],
)
def test_what_very_many_clusters_cannot_have_is_one_sentence(features, capsys, k, more, said):
    assert main(LINE.format(k=k, out="c", more=more).split()) == 2
    assert said in capsys.readouterr().err
    assert not Path("c").exists()


def test_cells_worked_on_elsewhere_give_the_same_bytes(features):
    def elsewhere(items, work, more):
        return (work(received(item), *more) for item in items)

    x = open_npy(Path("z/x.npy"))
    here = cluster_many(x, x, K, seed=1)
    with run_by(elsewhere):
        there = cluster_many(x, x, K, seed=1)
    assert here.nearest.tobytes() == there.nearest.tobytes()
    assert here.probabilities.tobytes() == there.probabilities.tobytes()


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_workers_write_the_bytes_of_one_process(features):
    assert main(LINE.format(k=K, out="here", more="").split()) == 0
    assert main(LINE.format(k=K, out="there", more="--ray local:2").split()) == 0
    for name in ("nearest.npy", "nearest_probabilities.npy", "assignment.csv"):
        assert Path("here", name).read_bytes() == Path("there", name).read_bytes()
