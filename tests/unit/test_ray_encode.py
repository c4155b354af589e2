"""Encoding by the workers of a Ray cluster: the bytes of one process."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import never_ending, two_kinds
from imclust.__main__ import main, parse
from imclust.cli.steps import RayCluster, Step
from imclust.core import overdue, ray_tasks
from imclust.core.errors import InputError
from imclust.core.locks import wait_lock
from imclust.core.manifest import read_manifest
from imclust.core.ray_tasks import Tally, run_tasks
from imclust.core.records import read_csv
from imclust.data.images import load_index
from imclust.encoders import _ray_latents
from imclust.stages.encode import Encode

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray is an extra")
SERVER = all(importlib.util.find_spec(name) is not None for name in ("moto", "s3fs", "flask"))
needs_s3 = pytest.mark.skipif(not SERVER, reason="s3fs is an extra, and moto[server] plays S3")
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
    encode = Step("latents", (("encode", "--out", "z"), ("cluster", "--out", "a", "kmeans")))
    assert encode.by_ray(RayCluster("auto", "s3://a", 0.5)).commands == (
        ("encode", "--ray", "auto", "--ray-storage", "s3://a", "--gpu-share", "0.5", "--out", "z"),
        ("cluster", "--ray", "auto", "--out", "a", "kmeans"),
    )
    methods = ["cluster", "--out", "a", "kmeans"], ["cluster", "--out", "a", "auto"]
    others = ["encode", "--out", "z"], ["reduce", "--out", "pca", "tsne"]
    methods += ["reduce", "--out", "y", "pca"], ["download", "--out", "r", "folder"]
    methods += (["look", "--out", "l"],)
    step = Step("clusters", tuple(map(tuple, (*methods, *others))))
    with_ray = [words[1] == "--ray" for words in step.by_ray(RayCluster("local:2")).commands]
    assert with_ray == [True, True, True, True, True, True, False]
    assert step.by_ray(RayCluster()) is step


def test_only_the_clusterer_counts_not_what_k_is_called():
    words = ("cluster", "--out", "a", "--n-clusters", "auto")
    step = Step("clusters", ((*words, "leiden"), (*words, "auto"), ("predict", "--out", "p")))
    with_ray = [words[1] == "--ray" for words in step.by_ray(RayCluster("local:2")).commands]
    assert with_ray == [False, True, True]


def test_the_line_to_watch_counts_shards_images_and_retries():
    tally = Tally(4, done=3, kept=1, retries=2, began=time.monotonic() - 100)
    for node, kept in (("a", False), ("b", True), ("a", False)):
        tally.nodes[node] += 1
        tally.last_node, tally.last_kept = node, kept
        tally.add_images(400)
    said = "shards 3/4, 4 images/s a node on 2 nodes, retries 2, about 50 s left"
    assert tally.line() == said
    assert tally.table() == [
        "  node a: 2 shards, 800 images, 8 a second",
        "  node b: 1 shard, 0 images, 0 a second",
    ]


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
def test_a_worker_with_a_share_of_a_gpu_does_many_tasks(tmp_path):
    """Or each task would load the network anew. Ray is told of a GPU that need not be there."""
    import ray

    def note_process(path):
        with path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return True

    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        tasks = [tmp_path / "processes"] * 12
        run_tasks(note_process, tasks, lambda tally, item: None, gpus=0.5)
    finally:
        ray.shutdown()
    noted = tasks[0].read_text().split()
    assert len(noted) == 12
    assert len(set(noted)) <= 2


@needs_ray
def test_a_shard_that_never_ends_is_encoded_elsewhere(place, monkeypatch, capsys):
    """One whose lock is held for ever, as by a host that has gone from the network."""
    mark = place / "hung"
    monkeypatch.setattr(overdue, "PATIENCE", 2.0)

    def locked(part):
        return wait_lock(part.out.with_name(f".{part.out.name}.wait"))

    hung = never_ending(_ray_latents.encode_part, mark, inside=locked)
    monkeypatch.setattr(_ray_latents, "encode_part", hung)
    assert main([*ENCODE.split(), "r", "--ray", "local:2", "--ray-rows", "4"]) == 0
    assert mark.exists()
    assert latents(place, "r") == latents(place, "one")
    assert read_manifest(place / "r")["ray"] == {"tasks": 10, "kept": 0, "retries": 1, "nodes": 1}
    assert not (place / "r/shards").exists()
    assert "is overdue and given out again: shards 9/10, " in capsys.readouterr().out


@needs_ray
@pytest.mark.slow
def test_a_whole_run_makes_the_artefacts_of_one_process(images, tmp_path, capsys):
    words = ["cluster-folder", str(images / "files"), "--n-clusters", "2", "--effort", "quick"]
    assert main([*words, "--workspace", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    by_ray = ["--ray", "local:2", "--ray-storage", str(tmp_path / "shards")]
    assert main([*words, "--workspace", str(tmp_path / "ray"), *by_ray]) == 0
    said = capsys.readouterr().out
    assert said.count("shards 1/1, ") == 3  # of the index and both spaces
    one, ray = artefacts(tmp_path / "one"), artefacts(tmp_path / "ray")
    assert len(one) > 30
    assert sorted(one) == sorted(ray)
    assert [name for name in one if one[name] != ray[name]] == []
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.fixture(scope="module")
def server():
    """A local S3, with one bucket; yields its file system."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "secret-of-the-test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import s3fs

        fs = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
        fs.mkdir("bucket")
        yield fs
    moto.stop()


@pytest.fixture
def s3(server, place):
    """The file system and a folder in it."""
    return server, f"bucket/{place.name}"


def by_s3(at):
    ray = ["--ray", "local:2", "--ray-rows", "4", "--ray-storage", f"s3://{at}"]
    return [*ENCODE.split(), "r", *ray]


def there(fs, at, end):
    """Objects whose names end so."""
    try:
        return sorted(name for name in fs.find(at) if name.endswith(end))
    except FileNotFoundError:  # what it saw first has gone meanwhile
        return []


@contextmanager
def held_up(words, source, fs, at):
    """The command in a process of its own, when all shards are done but that of one picture, from
    which nothing can be read; the picture is put back when the block ends."""
    kept = Path(f"{source}.kept")
    run = subprocess.Popen([sys.executable, "-m", "imclust", *words], stdout=-1, text=True)

    def wait_for(end, count):
        while len(there(fs, at, end)) < count:
            assert run.poll() is None, "the command ended first"
            time.sleep(0.1)

    try:
        wait_for("-weights.safetensors", 1)  # the index is read, and Ray has yet to start
        os.rename(source, kept)
        os.mkfifo(source)
        wait_for("/manifest.json", 9)
        yield run, lambda: os.replace(kept, source)
    finally:
        if kept.exists():
            os.replace(kept, source)
        run.kill()
        run.wait()
        run.stdout.close()


def workers(driver):
    """Processes below a driver that are at a task."""
    parents, tasks = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, words = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rsplit(")", 1)[1].split()[1])
        if words.startswith(b"ray::_placed"):
            tasks.append(int(folder.name))

    def below(pid):
        return pid == driver or (pid in parents and below(parents[pid]))

    return [pid for pid in tasks if below(pid)]


@needs_ray
@needs_s3
@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_shard_only(place, s3):
    fs, at = s3
    source = load_index(place / "raw/index")[20].source
    with held_up(by_s3(at), source, fs, at) as (run, put_back):
        (worker,) = workers(run.pid)
        put_back()
        os.kill(worker, signal.SIGKILL)
        said = run.communicate()[0]
    assert run.returncode == 0
    assert latents(place, "r") == latents(place, "one")
    assert "retries 1" in said
    assert read_manifest(place / "r")["ray"] == {"tasks": 10, "kept": 0, "retries": 1, "nodes": 1}
    assert fs.find(at) == []  # shards and weights have gone
    assert "secret-of-the-test" not in said + (place / "r/manifest.json").read_text()


@needs_ray
@needs_s3
@pytest.mark.slow
def test_after_a_kill_only_lost_and_damaged_objects_are_made_again(place, s3, capsys):
    fs, at = s3
    source = load_index(place / "raw/index")[20].source
    with held_up(by_s3(at), source, fs, at) as (run, _):
        run.kill()
    gone, damaged, *_ = there(fs, at, "-x.npy")
    fs.rm_file(gone)
    fs.pipe_file(damaged, fs.cat_file(damaged)[:-4] + b"else")
    fs.rm_file(there(fs, at, "/manifest.json")[-1])
    fs.pipe_file(f"{at}/mine.txt", b"mine")
    capsys.readouterr()
    assert main(by_s3(at)) == 0
    said = capsys.readouterr().out
    assert latents(place, "r") == latents(place, "one")
    assert read_manifest(place / "r")["ray"] == {"tasks": 10, "kept": 6, "retries": 0, "nodes": 1}
    assert said.count("is damaged (x.npy has gone); it is made again") == 1
    assert said.count("is damaged (x.npy holds other bytes than were put); it is made again") == 1
    assert fs.find(at) == [f"{at}/mine.txt"]


@needs_ray
@needs_s3
@pytest.mark.slow
def test_objects_lost_before_they_are_joined_are_made_again(place, s3, capsys, monkeypatch):
    fs, at = s3
    done = ray_tasks.run_tasks

    def then_lost(work, parts, *more, **options):
        tally = done(work, parts, *more, **options)
        if len(parts) == 10:
            fs.rm_file(there(fs, at, "/manifest.json")[0])
            fs.pipe_file(there(fs, at, "-x.npy")[-1], b"else")
        return tally

    monkeypatch.setattr(ray_tasks, "run_tasks", then_lost)
    assert main(by_s3(at)) == 0
    assert "2 of the finished shards are lost or damaged; they are made" in capsys.readouterr().out
    assert latents(place, "r") == latents(place, "one")
    assert read_manifest(place / "r")["ray"]["retries"] == 2


@needs_ray
@needs_s3
def test_storage_that_cannot_be_used_is_one_sentence_before_work(place, s3, capsys, monkeypatch):
    assert main(by_s3("no-such-bucket/me")) == 2
    assert "the storage s3://no-such-bucket/me must be one that can be" in capsys.readouterr().err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3[0].clear_instance_cache()
    assert main(by_s3(s3[1])) == 2
    s3[0].clear_instance_cache()
    said = capsys.readouterr().err
    assert "NoCredentialsError" in said
    assert "and the credentials in the environment." in said
    assert s3[0].find(s3[1]) == []


@needs_ray
@pytest.mark.slow
def test_storage_that_only_the_driver_sees_is_one_sentence(place, capsys):
    words = [*ENCODE.split(), "r", "--ray", "local:1", "--ray-storage", "memory://shards"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "-weights.safetensors on " in said
    assert "got nothing there; put it on storage that all nodes share." in said
