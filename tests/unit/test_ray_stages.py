"""Reduction, download and index by the workers of a Ray cluster: the bytes of one process."""

import importlib.util
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import dying, two_kinds
from imclust.__main__ import main
from imclust.clustering.reducers import pca
from imclust.clustering.reducers.pca import PCAConfig
from imclust.core import shards
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.npy import NpyRows, open_npy
from imclust.core.ray_tasks import run_tasks
from imclust.core.ray_workers import one_cluster
from imclust.core.records import save_rows
from imclust.data import ray_inspection
from imclust.stages import look, reduce

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray is an extra")
ROWS = 3000


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A `features` artefact of rows in few directions, of more than are reduced at once."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 4)) @ rng.standard_normal((4, 12)) + 50
    x = (x + 0.1 * rng.standard_normal(x.shape)).astype(np.float32)

    def write(folder):
        with NpyRows(folder / "x.npy", x.shape) as file:
            file.write(0, x)
        save_rows(
            folder, np.arange(ROWS).astype(str), np.where(np.arange(ROWS) % 7, "train", "val")
        )
        return {"rows": ROWS, "dims": 12}

    make_artifact(tmp_path / "z", ArtifactSpec("features", {}, {}, ()), write)
    monkeypatch.chdir(tmp_path)
    for module in (pca, reduce):
        monkeypatch.setattr(module, "LARGE", 1000)
    monkeypatch.setattr(shards, "SHARD", 700)
    return x


LINE = "reduce --features z --out {} --half {} pca --components 3"


def test_many_rows_are_reduced_shard_by_shard_as_by_numpy(many):
    assert main(LINE.format("p", "").split()) == 0
    got = np.asarray(open_npy(Path("p/x.npy")), float)
    fitted = many[np.arange(ROWS) % 7 > 0].astype(float)
    _, _, directions = np.linalg.svd(fitted - fitted.mean(0), full_matrices=False)
    want = (many - fitted.mean(0)) @ directions[:3].T
    want *= np.sign((want * got).sum(0))
    np.testing.assert_allclose(got, want, atol=0.02)  # of float16
    assert open_npy(Path("p/x.npy")).dtype == np.float16
    assert read_manifest(Path("p"))["explained"] > 0.5


def test_covariances_are_the_same_wherever_shards_are_worked_on(many):
    def elsewhere(parts, work, more):
        return (work(shards.received(part), *more) for part in parts)

    x = open_npy(Path("z/x.npy"))
    here = pca.pca(x, PCAConfig(3), 0).predict(x)
    with shards.run_by(elsewhere):
        np.testing.assert_array_equal(pca.pca(x, PCAConfig(3), 0).predict(x), here)


def test_what_leaves_float16_is_one_sentence(many, capsys):
    x = np.lib.format.open_memmap("z/x.npy", "r+")
    x *= 1e5
    x.flush()
    doc = json.loads(Path("z/manifest.json").read_text())
    assert doc["rows"] == ROWS
    with pytest.raises(InputError, match="features must be finite"):
        reduce._placed(x, pca.pca(x, PCAConfig(3), 0).predict, np.float16)


def test_ray_is_refused_where_it_cannot_help(many, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert main(["reduce", "--features", "z", "--out", "p", "--ray", "local:2", "tsne"]) == 2
    assert "--ray must be used with pca; got tsne" in capsys.readouterr().err
    assert main(["reduce", "--features", "z", "--out", "p", "--ray", "here", "pca"]) == 2
    assert "--ray must be auto, ray://host:port or local:N" in capsys.readouterr().err
    assert main(["download", "--out", "r", "--ray", "here", "folder", "--data-dir", "z"]) == 2
    assert "--ray must be auto, ray://host:port or local:N" in capsys.readouterr().err
    assert main(["download", "--out", "r", "--ray-storage", "a", "folder", "--data-dir", "z"]) == 2
    assert "--ray-storage must be used with --ray" in capsys.readouterr().err


@needs_ray
def test_reduced_by_workers_are_the_bytes_of_one_process(many):
    assert main(LINE.format("here", "").split()) == 0
    with one_cluster():
        assert main(LINE.format("there", "--ray local:2").split()) == 0
    for name in ("x.npy", "ids.npy", "splits.npy"):
        assert Path("there", name).read_bytes() == Path("here", name).read_bytes()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """30 images, one of 16 bit, a copy, a damaged one."""
    (tmp_path / "files").mkdir()
    for i, x in enumerate(two_kinds(28)[0]):
        Image.fromarray(x).save(tmp_path / f"files/{i:02}.png")
    deep = (np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "files/deep.png")
    (tmp_path / "files/copy.png").write_bytes((tmp_path / "files/03.png").read_bytes())
    (tmp_path / "files/odd.png").write_bytes((tmp_path / "files/05.png").read_bytes()[:100])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ray_inspection, "EACH", 8)
    return tmp_path / "files"


DOWNLOAD = "download --out {} --set-aside-corrupt {} folder --data-dir files"


def lines(text):
    return [line for line in text.splitlines() if not line.startswith("Ray: ")]


@needs_ray
@pytest.mark.parametrize("storage", ["", " --ray-storage kept"])
def test_an_index_by_workers_is_that_of_one_process(files, capsys, storage):
    assert main(DOWNLOAD.format("one", "").split()) == 0
    said = lines(capsys.readouterr().out)
    with one_cluster():
        assert main(DOWNLOAD.format("ray", f"--ray local:2{storage}").split()) == 0
        assert lines(capsys.readouterr().out) == said  # copies, depths, damage
        assert Path("ray/index/index.csv").read_bytes() == Path("one/index/index.csv").read_bytes()
        doc = read_manifest(Path("ray/index"))
        assert doc["ray"] == {"tasks": 4, "kept": 0, "retries": 0, "nodes": 1}
        assert sorted(p.name for p in Path("ray/index").iterdir()) == ["index.csv", "manifest.json"]
        assert not Path("kept").exists() or not list(Path("kept").iterdir())

        # After a stop, only what had not been looked at is.
        def stopped(work, parts, note, take):
            run_tasks(work, parts[:2], note)
            raise InputError("stopped")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_inspection, "run_and_take", stopped)
            assert main(DOWNLOAD.format("again", f"--ray local:2{storage}").split()) == 2
        assert main(DOWNLOAD.format("again", f"--ray local:2{storage}").split()) == 0
    assert read_manifest(Path("again/index"))["ray"]["kept"] == 2
    assert Path("again/index/index.csv").read_bytes() == Path("one/index/index.csv").read_bytes()


@needs_ray
def test_a_worker_that_is_killed_changes_no_byte(files, many, monkeypatch):
    assert main(DOWNLOAD.format("one", "").split()) == 0
    assert main(LINE.format("here", "").split()) == 0
    place = Path.cwd()
    marks = [place / name for name in ("index", "moments", "rows")]
    inspect = dying(ray_inspection.inspect_part, marks[0])
    monkeypatch.setattr(ray_inspection, "inspect_part", inspect)
    monkeypatch.setattr(pca, "shard_moments", dying(pca.shard_moments, marks[1]))
    monkeypatch.setattr(reduce, "_placed", dying(reduce._placed, marks[2]))
    with one_cluster():
        assert main(DOWNLOAD.format("ray", "--ray local:2").split()) == 0
        assert main(LINE.format("there", "--ray local:2").split()) == 0
    assert all(mark.exists() for mark in marks)
    assert read_manifest(Path("ray/index"))["ray"]["retries"] == 1
    for one, ray in (("one/index/index.csv", "ray/index/index.csv"), ("here/x.npy", "there/x.npy")):
        assert Path(one).read_bytes() == Path(ray).read_bytes()


@needs_ray
def test_addresses_fetched_by_workers_are_those_fetched_here(files):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(files)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = [f"http://127.0.0.1:{server.server_port}/{i:02}.png" for i in (0, 1, 2, 77)]
    Path("list.csv").write_text("\n".join(["url", *urls]) + "\n")
    try:
        for out, more in (("one", ""), ("ray", "--ray local:1")):
            words = f"download --out {out} {more} listed --data-dir list.csv --leave-out-failed"
            assert main(words.split()) == 0
    finally:
        server.shutdown()
        server.server_close()
    one, ray = (Path(out, "index/index.csv").read_text() for out in ("one", "ray"))
    assert one.replace("one/files", "ray/files") == ray
    assert len(list(Path("ray/files/fetched").rglob("*.png"))) == 3
    failed = [Path(out, "files/failed.csv").read_text() for out in ("one", "ray")]
    assert failed[0] == failed[1]


def test_pictures_looked_at_elsewhere_are_told_the_same(files, monkeypatch):
    asked = []

    def elsewhere(items, work, more):
        for item in items:
            asked.append(len(item))
            yield work(shards.received(item), *more)

    monkeypatch.setattr(look, "PART", 7)
    for line in (
        "download --out raw --set-aside-corrupt folder --data-dir files",
        "train --index raw/index --out w pixels",
        "encode --index raw/index --weights w --out z",
        "look --features z --index raw/index --out here",
    ):
        assert main(line.split()) == 0
    with shards.run_by(elsewhere):
        assert main(["look", "--features", "z", "--index", "raw/index", "--out", "there"]) == 0
    assert asked[:4] == [7] * 4
    assert len(asked) > 5  # pairs were, too
    for name in ("look_at.csv", "neighbours.npy", "line.npy", "ids.npy"):
        assert Path("there", name).read_bytes() == Path("here", name).read_bytes()
