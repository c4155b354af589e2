"""Work on shards in this process and, where Ray is installed, on its workers: the same bytes."""

import importlib.util
import os
import pickle
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from helpers import dying, never_ending
from imclust.__main__ import main
from imclust.clustering import block_kmeans, portfolio
from imclust.clustering.block_kmeans import Centres, one_pass
from imclust.clustering.classifier import learn_clusters, placed_by
from imclust.clustering.clusterers import _base
from imclust.clustering.clusterers._base import Clustering, concatenate_views, predict_in_blocks
from imclust.clustering.clusterers.auto import AutoConfig, auto
from imclust.clustering.effort import EFFORTS
from imclust.clustering.metrics import hungarian_accuracy
from imclust.core import overdue, ray_workers, shards
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.npy import NpyRows, open_npy
from imclust.core.overdue import Overdue
from imclust.core.ray_workers import one_cluster, ray_cluster
from imclust.core.records import Assignment, read_csv, save_rows
from imclust.core.shards import MappedRows, in_parallel, is_unwanted, over_shards, received, run_by

RAY = importlib.util.find_spec("ray") is not None
MANY = 52_000
SMALL = {name: replace(effort, rows=600) for name, effort in EFFORTS.items()}


@pytest.fixture
def mapped(rng, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, rng.standard_normal((1000, 12)).astype(np.float16))
    return open_npy(path)


def test_mapped_rows_are_found_again(mapped):
    for view in (mapped, np.asarray(mapped), mapped[100:300], np.asarray(mapped[7:, 3:9])):
        there = MappedRows.of(view)
        np.testing.assert_array_equal(there.rows(), view)
        assert there.rows().dtype == view.dtype
        assert not there.rows().flags.writeable
    assert MappedRows.of(np.array(mapped)) is None


def test_shards_come_in_order_whoever_works(mapped, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 300)
    here = list(over_shards(mapped, np.sum, 0))
    assert [place.stop for place, _ in here] == [300, 600, 900, 1000]

    def elsewhere(parts, work, more):
        assert all(isinstance(part, MappedRows) for part in parts)
        return (work(part.rows(), *more) for part in parts)

    with run_by(elsewhere):
        there = list(over_shards(mapped, np.sum, 0))
    for (_, a), (_, b) in zip(here, there, strict=True):
        np.testing.assert_array_equal(a, b)


def test_items_in_parallel_come_in_order_on_one_thread_of_each_library(monkeypatch):
    monkeypatch.setattr(shards, "threads", lambda: 3)
    met = threading.Barrier(3)

    def work(item, more):
        met.wait(30)  # three at once, or nobody goes on
        pools = threadpoolctl.threadpool_info()
        return item + more, max((p["num_threads"] for p in pools), default=1)

    assert list(in_parallel(range(6), work, 10)) == [(10 + i, 1) for i in range(6)]
    assert list(in_parallel([], work, 10)) == []


def test_an_error_of_an_item_ends_the_others(monkeypatch):
    monkeypatch.setattr(shards, "threads", lambda: 2)
    begun, left = [], []

    def work(item):
        begun.append(item)
        if item == 0:
            raise InputError(f"item {item}")
        while not is_unwanted():
            time.sleep(0.01)
        left.append(item)

    with pytest.raises(InputError, match="item 0"):
        list(in_parallel(range(1000), work))
    assert len(begun) < 10
    assert set(left) == set(begun) - {0}
    assert not is_unwanted()


def test_sums_do_not_depend_on_where_shards_are_worked_on(mapped, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 300)
    centres = Centres(np.asarray(mapped[:5], float), np.zeros(12))
    here = one_pass(mapped, centres)
    parts = [block_kmeans.shard_sums(mapped[a : a + 300], centres) for a in range(0, 1000, 300)]
    total = block_kmeans.nothing_yet(centres)
    for part in parts:
        total = total.plus(part)
    np.testing.assert_array_equal(here.sums, total.sums)
    assert here.score == total.score


@pytest.fixture
def features(tmp_path, monkeypatch):
    """A `features` artefact of more rows than are clustered at once."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((5, 8))

    def write(folder):
        with NpyRows(folder / "x.npy", (MANY, 8), half=True) as file:
            x = centres[rng.integers(0, 5, MANY)] + rng.standard_normal((MANY, 8))
            file.write(0, x.astype(np.float16))
        save_rows(folder, np.arange(MANY).astype(str), np.full(MANY, "train"))
        return {"rows": MANY, "dims": 8}

    make_artifact(tmp_path / "z", ArtifactSpec("features", {}, {}, ()), write)
    monkeypatch.chdir(tmp_path)
    return tmp_path


LINE = "cluster --features z --index none --n-clusters 5 --out {out} {more} kmeans --restarts 2"


def test_no_ray_is_one_sentence_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)  # there are no features at all
    assert main(LINE.format(out="a", more="--ray local:2").split()) == 2
    err = capsys.readouterr().err
    assert "--ray must be used where Ray is installed; got no Ray here" in err
    assert "pip install 'imclust[ray]'" in err


@pytest.mark.parametrize("address", ["local:0", "local", "ray://host", "10.0.0.1:6379"])
def test_an_address_that_is_none_is_one_sentence(tmp_path, monkeypatch, capsys, address):
    monkeypatch.chdir(tmp_path)
    assert main(LINE.format(out="a", more=f"--ray {address}").split()) == 2
    assert "--ray must be auto, ray://host:port or local:N" in capsys.readouterr().err


def test_the_stage_clusters_many_rows_of_half_precision(features):
    assert main(LINE.format(out="a", more="").split()) == 0
    doc, found = read_manifest(features / "a"), Assignment.load(features / "a")
    y = np.random.default_rng(0)
    y.standard_normal((5, 8))
    truth = y.integers(0, 5, MANY)
    assert hungarian_accuracy(truth, found.clusters) > 0.98
    assert doc["stability"] > 0.8
    assert sum(doc["sizes"]) == MANY
    rows = read_csv(features / "a/assignment.csv")
    assert [int(row["cluster"]) for row in rows] == found.clusters.tolist()
    assert (
        main(["reduce", "--features", "z", "--out", "half", "--half", "pca", "--components", "3"])
        == 0
    )
    assert open_npy(features / "half/x.npy").dtype == np.float16


@pytest.mark.parametrize(
    ("k", "more", "said"),
    [
        (MANY + 1, "", "the number of clusters K must be from 2 to the number of images (52000)"),
        (MANY - 1, "", "the probabilities of 52000 images and 51999 clusters must be"),
        (5, " --levels 3", "--levels"),
    ],
)
def test_a_count_that_cannot_be_is_one_sentence_before_any_work(features, capsys, k, more, said):
    def works(*_):
        raise AssertionError("work began")

    line = f"cluster --features z --index none --n-clusters {k} --out a kmeans{more}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imclust.stages.cluster.run_head", works)
        patch.setattr("imclust.stages.cluster.finite", works)
        patch.setattr("imclust.core.checks.free_memory", lambda: 16 << 30)
        assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.strip().count("\n") == 0
    assert not (features / "a").exists()


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_a_cluster_that_cannot_do_the_work_is_one_sentence(features, monkeypatch, capsys):
    with one_cluster():
        out = ["--ray", "local:1", "kmeans", "--restarts", "2"]
        line = ["cluster", "--features", "z", "--index", "none", "--n-clusters", "5", "--out"]
        monkeypatch.setattr(ray_workers, "__version__", "0.0.1")
        assert main([*line, "a", *out]) == 2
        err = capsys.readouterr().err
        assert "must be of Python" in err
        assert "and imclust 0.0.1 as here; got Python" in err
        monkeypatch.undo()
        monkeypatch.chdir(features)
        # A file that this process sees and no other: one of its own descriptors.
        here = os.open("z/x.npy", os.O_RDONLY)
        os.dup2(here, 1234)
        unseen = Path("/proc/self/fd/1234")
        said = "nothing there; put it on storage that all nodes"
        with pytest.raises(InputError, match=said), ray_cluster("local:1", [unseen]):
            pass
        os.close(here)
        os.close(1234)
    assert not (features / "a").exists()


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_ray_is_refused_with_other_methods(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "cluster --features z --index none --n-clusters 5 --out a --ray local:2 leiden"
    assert main(line.split()) == 2
    assert "--ray must be used with auto or kmeans; got leiden" in capsys.readouterr().err


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_the_bytes_are_those_of_one_process(features, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 10_000)
    assert main(LINE.format(out="here", more="").split()) == 0
    for workers in (1, 2):
        out = f"with{workers}"
        assert main(LINE.format(out=out, more=f"--ray local:{workers}").split()) == 0
        for name in ("probabilities.npy", "assignment.csv"):
            assert (features / out / name).read_bytes() == (features / "here" / name).read_bytes()


def test_predict_refuses_an_address_that_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "predict --assignment a --index i --features z --out p --ray somewhere"
    assert main(words.split()) == 2
    assert "--ray must be auto, ray://host:port or local:N" in capsys.readouterr().err


def test_several_spaces_travel_by_where_they_lie(mapped):
    def elsewhere(parts, work, more):
        assert all(isinstance(x, MappedRows) for part in parts for x in part)
        return (work(received(part), *more) for part in parts)

    with pytest.MonkeyPatch.context() as patch, run_by(elsewhere):
        patch.setattr(shards, "SHARD", 300)
        found = list(over_shards([mapped, mapped[:, :3]], np.hstack))
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in found])[:, :12], mapped)
    assert [rows.shape for _, rows in found] == [(300, 15)] * 3 + [(100, 15)]


def in_pickles(items, work, more):
    """Stands for workers: what goes there and comes back is pickled."""
    for item in pickle.loads(pickle.dumps(items)):
        yield pickle.loads(pickle.dumps(work(received(item), *more)))


def test_candidates_made_elsewhere_are_those_made_here():
    rng = np.random.default_rng(0)
    spaces = [rng.standard_normal((120, 6)) + 4 * (np.arange(120) % 3)[:, None] for _ in range(2)]
    spaces = [x.astype(np.float32) for x in spaces]
    here = auto(spaces, 3, AutoConfig("quick"), 0)
    with run_by(in_pickles):
        there = auto(spaces, 3, AutoConfig("quick"), 0)
    np.testing.assert_array_equal(here.probabilities, there.probabilities)
    assert [(c.name, c.view, c.reason, c.numbers) for c in here.candidates] == [
        (c.name, c.view, c.reason, c.numbers) for c in there.candidates
    ]


def test_rows_are_placed_shard_by_shard_as_all_at_once(mapped, monkeypatch):
    z = [np.asarray(mapped, np.float32), np.asarray(mapped[:, :5], np.float32)]
    labels = (z[0].sum(1) > 0).astype(int)
    learned = learn_clusters(concatenate_views(z), labels, 2)
    found = Clustering(np.empty((0, 2)), placed_by(learned, list))
    want = learned.posteriors(concatenate_views(z))
    monkeypatch.setattr(_base, "LARGE", 500)
    monkeypatch.setattr(shards, "SHARD", 300)
    np.testing.assert_allclose(predict_in_blocks(found, z), want, atol=1e-6)
    here = predict_in_blocks(found, z)
    with run_by(in_pickles):
        np.testing.assert_array_equal(predict_in_blocks(found, z), here)


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
@pytest.mark.slow
def test_auto_and_predict_by_workers_are_the_bytes_of_one_process(features, monkeypatch):
    """Also where the worker of a candidate and that of a shard are killed."""
    monkeypatch.setattr(shards, "SHARD", 20_000)
    line = "cluster --features z --index index --out {} {} auto --effort quick"
    place = "predict --assignment here --features z --index index --out {} {}"
    monkeypatch.setattr("imclust.clustering.effort.EFFORTS", SMALL)
    about = {"content": "texts", "n_clusters": 5}
    make_artifact(features / "index", ArtifactSpec("index", {}, {}, ()), lambda _: about)
    assert main(line.format("here", "").split()) == 0
    assert main(place.format("placed", "").split()) == 0
    for module, name in ((portfolio, "_on_view"), (_base, "_predicted")):
        monkeypatch.setattr(module, name, dying(getattr(module, name), features / name))
    with one_cluster():
        assert main(line.format("there", "--ray local:2").split()) == 0
        assert main(place.format("placed-there", "--ray local:2").split()) == 0
    assert (features / "_on_view").exists()
    assert (features / "_predicted").exists()
    for one, other in (("here", "there"), ("placed", "placed-there")):
        for name in ("probabilities.npy", "assignment.csv"):
            assert (features / one / name).read_bytes() == (features / other / name).read_bytes()


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_a_worker_that_dies_changes_no_byte(features, monkeypatch):
    from imclust.core.ray_workers import ray_workers

    monkeypatch.setattr(shards, "SHARD", 2000)
    x = open_npy(features / "z/x.npy")
    want = [np.sum(x[a : a + 2000]) for a in range(0, MANY, 2000)]
    with ray_workers("local:2", [features / "z/x.npy"]):
        found = [f for _, f in over_shards(x, dying(np.sum, features / "died"))]
    assert (features / "died").exists()
    assert found == want


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_a_shard_that_never_ends_is_given_out_again(features, monkeypatch, capsys):
    monkeypatch.setattr(shards, "SHARD", 2000)
    monkeypatch.setattr(overdue, "PATIENCE", 2.0)
    x = open_npy(features / "z/x.npy")
    want = [np.sum(x[a : a + 2000]) for a in range(0, MANY, 2000)]
    with ray_workers.ray_workers("local:2", [features / "z/x.npy"]):
        found = [f for _, f in over_shards(x, never_ending(np.sum, features / "hung"))]
    assert (features / "hung").exists()
    assert found == want
    assert "is overdue and given out again" in capsys.readouterr().out


def test_a_task_is_overdue_when_nothing_else_ends_and_it_takes_several_times_the_usual():
    now = [0.0]
    tasks = Overdue(10, lambda: now[0])
    for number in range(4):
        tasks.begin(number)
    now[0] = 1000
    assert tasks.numbers() == []  # what is usual is not known before one has ended
    for number, ended in enumerate((1005, 1010)):
        now[0] = ended
        tasks.end(number, f"node {number}")
    now[0] = 1010 + 4 * 1000
    assert tasks.numbers() == []
    now[0] += 100  # four times the median of 1005 and 1010
    assert tasks.numbers() == [2, 3]
    assert [tasks.other_node(2), tasks.other_node(2)] == ["node 1", "node 0"]
    assert tasks.numbers() == [3]
    now[0] += 10**6
    assert tasks.numbers() == [2, 3]
    tasks.other_node(2)
    now[0] += 10**6
    assert tasks.numbers() == [3]  # often enough


def test_a_task_that_had_nothing_to_do_tells_nothing_of_how_long_others_take():
    now = [0.0]
    tasks = Overdue(10, lambda: now[0])
    for number in range(3):
        tasks.begin(number)
    tasks.end(0, "a", worked=False)
    now[0] = 60
    assert tasks.numbers() == []
    tasks.end(1, "a")
    now[0] = 60 + 100
    assert tasks.numbers() == []
    now[0] = 60 + 250
    assert tasks.numbers() == [2]


@pytest.mark.skipif(not RAY, reason="Ray is an extra")
def test_storage_that_workers_do_not_see_is_one_sentence(features, monkeypatch):
    from imclust.core import ray_workers
    from imclust.core.errors import InputError

    looked = ray_workers._looked
    monkeypatch.setattr(ray_workers, "_looked", lambda paths: (looked([])[0], dict.fromkeys(paths)))
    with (
        pytest.raises(InputError, match="put it on storage that all nodes share"),
        ray_workers.ray_workers("local:1", [features / "z/x.npy"]),
    ):
        pass
