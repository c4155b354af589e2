"""Shards as objects: whole or none after any crash, and nothing of anybody else's is touched."""

import importlib.util
import json
import shutil
import socket
from threading import Barrier, Thread
from uuid import uuid4

import fsspec
import pytest
from PIL import Image

from helpers import two_kinds
from imclust.__main__ import main, parse
from imclust.core import object_storage
from imclust.core.errors import DamagedArtifactError, InputError
from imclust.core.manifest import MANIFEST
from imclust.core.object_shards import fetch_shard, make_shard, remove_shards, shard_at
from imclust.core.object_storage import (
    fetch_named,
    object_size,
    probe_storage,
    put_named,
    storage_url,
)

SPEC = {"encoding": "a", "first": 0, "rows": 2}
FILES = {"x.npy": b"0123456789" * 1000, "ids.npy": b"ab"}


@pytest.fixture(scope="session")
def google():
    """A local stand-in for Google's storage, with one bucket."""
    for name in ("gcsfs", "gcp_storage_emulator"):
        pytest.importorskip(name, reason=f"{name} is an extra")
    from gcp_storage_emulator.server import create_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        yield
    server.stop()


@pytest.fixture(params=["memory", "file", "gs"])
def top(request, tmp_path):
    if request.param == "file":
        return storage_url(str(tmp_path / "shards"))
    if request.param == "gs":
        request.getfixturevalue("google")
        return storage_url(f"gs://bucket/{uuid4().hex}")
    return storage_url(f"memory://{uuid4().hex}")


def write(folder):
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return {"rows": 2}


def never(folder):
    raise AssertionError("it is there already")


def objects(url):
    """Address below -> bytes of everything there."""
    fs, path = fsspec.core.url_to_fs(url)
    found = fs.find(path) if fs.exists(path) else []
    return {name.removeprefix(path): fs.cat_file(name) for name in found}


def put(url, data):
    fs, path = fsspec.core.url_to_fs(url, **({"auto_mkdir": True} if "file:" in url else {}))
    fs.pipe_file(path, data)


def at(top, end):
    """The one object of the shard whose name ends so."""
    (name,) = [name for name in objects(shard_at(top, SPEC)) if name.endswith(end)]
    return shard_at(top, SPEC) + name


def remove(url):
    fs, path = fsspec.core.url_to_fs(url)
    fs.rm_file(path)


def test_a_shard_comes_back_as_a_copied_folder_would(top, tmp_path):
    plain, twin, got = (tmp_path / name for name in ("plain", "twin", "got"))
    plain.mkdir()
    got.mkdir()
    write(plain)
    shutil.copytree(plain, twin)
    assert make_shard(top, SPEC, write)
    assert not make_shard(top, SPEC, never)
    assert fetch_shard(top, SPEC, got)["rows"] == 2
    names = sorted(p.name for p in twin.iterdir())
    assert sorted(p.name for p in got.iterdir()) == names
    assert all((got / name).read_bytes() == (twin / name).read_bytes() for name in names)
    before = objects(top)
    assert make_shard(top, {**SPEC, "first": 2}, write)  # another spec, another place
    assert before.items() < objects(top).items()


@pytest.mark.parametrize("crash", ["after the data", "in the data", "in the manifest"])
def test_what_a_crash_leaves_is_no_shard_and_is_made_again(top, tmp_path, crash, capsys):
    make_shard(top, SPEC, write)
    want = objects(top)
    manifest, data = at(top, MANIFEST), at(top, "x.npy")
    if crash == "in the manifest":
        put(manifest, want[manifest.removeprefix(top)][:40])
    else:
        remove(manifest)
    if crash == "in the data":
        put(data, FILES["x.npy"][:7])
    with pytest.raises(DamagedArtifactError, match="has no manifest"):
        fetch_shard(top, SPEC, tmp_path)
    assert make_shard(top, SPEC, write)
    assert objects(top) == want
    assert capsys.readouterr().out == ""  # it is work, not damage


@pytest.mark.parametrize("damage", ["gone", "shorter", "other bytes"])
def test_a_shard_whose_sums_differ_is_said_and_made_again(top, tmp_path, damage, capsys):
    make_shard(top, SPEC, write)
    want, data = objects(top), at(top, "x.npy")
    remove(data)
    if damage != "gone":
        put(data, FILES["x.npy"][1:] + b"z" * (damage == "other bytes"))
    with pytest.raises(DamagedArtifactError, match=r"has gone|holds other bytes"):
        fetch_shard(top, SPEC, tmp_path)
    assert make_shard(top, SPEC, write)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert f"the shard {shard_at(top, SPEC)} is damaged (x.npy " in said
    assert objects(top) == want


def altered(doc):
    return json.dumps(doc | {"rows": 3}).encode()


FOREIGN = {
    "a document": lambda text: b'{"mine": true}',
    "an edited manifest": lambda text: altered(json.loads(text)),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_somebody_else_put_there_is_refused_before_work(top, what):
    make_shard(top, SPEC, write)
    manifest = at(top, MANIFEST)
    put(manifest, FOREIGN[what](objects(top)[manifest.removeprefix(top)]))
    before = objects(top)
    with pytest.raises(InputError, match="got a manifest of something else"):
        make_shard(top, SPEC, never)
    assert remove_shards(top) == 0
    assert objects(top) == before


def test_bytes_that_are_no_beginning_of_the_manifest_stay(top):
    put(f"{shard_at(top, SPEC)}/{MANIFEST}", b"my notes")
    with pytest.raises(InputError, match="got a manifest of something else"):
        make_shard(top, SPEC, write)
    assert objects(top)[f"{shard_at('', SPEC)}/{MANIFEST}"] == b"my notes"


def test_the_manifest_of_another_shard_is_not_taken(top, tmp_path):
    make_shard(top, SPEC, write)
    other = {**SPEC, "first": 2}
    text = objects(top)[at(top, MANIFEST).removeprefix(top)]
    put(f"{shard_at(top, other)}/{MANIFEST}", text)
    with pytest.raises(DamagedArtifactError):
        fetch_shard(top, other, tmp_path)
    with pytest.raises(InputError, match="something else"):
        make_shard(top, other, never)
    assert remove_shards(top) == 1  # and not the copy, which lies at another's place
    assert list(objects(top)) == [f"{shard_at('', other)}/{MANIFEST}"]


def test_two_workers_at_one_shard_leave_one_that_is_whole(top, tmp_path):
    both, ends = Barrier(2), []

    def slow(folder):
        both.wait(60)  # both have found nothing
        return write(folder)

    threads = [Thread(target=lambda: ends.append(make_shard(top, SPEC, slow))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [True, True]
    fetch_shard(top, SPEC, tmp_path)
    assert (tmp_path / "x.npy").read_bytes() == FILES["x.npy"]
    assert len(objects(top)) == 3


def test_a_write_that_fails_leaves_nothing(top):
    with pytest.raises(ZeroDivisionError):
        make_shard(top, SPEC, lambda folder: {"rows": 1 / 0})
    assert objects(top) == {}


def test_only_shards_and_what_is_named_are_removed(top, tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"w")
    named, kept = put_named(top, file), f"{top}/mine.txt"
    for first in (0, 2):
        make_shard(top, {**SPEC, "first": first}, write)
    beside = f"{shard_at(top, SPEC)}/mine.txt"
    put(kept, b"1")
    put(beside, b"2")
    assert remove_shards(top, named) == 2
    assert objects(top) == {"/mine.txt": b"1", beside.removeprefix(top): b"2"}


def test_named_objects_are_put_once_and_compared(top, tmp_path, monkeypatch):
    file, back = tmp_path / "w", tmp_path / "back"
    file.write_bytes(b"w" * 10)
    name = put_named(top, file)
    assert object_size(f"{top}/{name}") == 10
    put(f"{top}/{name}", b"v" * 10)
    with pytest.raises(DamagedArtifactError, match="holds other bytes"):
        fetch_named(top, name, back)
    assert put_named(top, file) == name
    fetch_named(top, name, back)
    assert back.read_bytes() == b"w" * 10
    assert object_size(f"{top}/none") is None


def test_the_probe_leaves_nothing(top):
    probe_storage(top)
    assert objects(top) == {}


def test_storage_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as e:
        probe_storage(storage_url(str(tmp_path / "file" / "below")))
    assert "must be one that can be read and written; got " in str(e.value)
    assert "check the bucket or folder, and the credentials in the environment." in str(e.value)
    assert (tmp_path / "file").read_text() == ""


WRONG = {
    "": "must be a folder, or an address such as s3://bucket/folder; got ''",
    "s3://": "must be a folder, or an address such as s3://bucket/folder; got 's3://'",
    "simplecache::s3://a/b": "must be a folder, or an address",
    "sftp://me:secret@host/a": "must be an address without password or parameters",
    "s3://a/b?token=secret": "must be an address without password or parameters",
    "nowhere://a/b": "of a protocol that fsspec knows, such as file, s3, gs or hdfs; got nowhere",
}


@pytest.mark.parametrize("given", WRONG)
def test_an_address_that_cannot_be_is_one_sentence_without_its_secrets(given):
    with pytest.raises(InputError) as e:
        storage_url(given)
    assert WRONG[given] in str(e.value)
    assert "secret" not in str(e.value)


@pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_google_without_its_package_is_one_sentence():
    with pytest.raises(InputError, match=r"the package for gs:// is installed; .*imclust\[gs\]"):
        storage_url("gs://bucket/me")


def test_hdfs_without_its_driver_or_server_is_one_sentence():
    with pytest.raises(InputError, match="hdfs://"):
        probe_storage(storage_url("hdfs://127.0.0.1:1/me"))


def test_a_store_whose_package_is_missing_is_one_sentence(monkeypatch):
    def missing(protocol):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(InputError, match=r"Install s3fs.*pip install 'imclust\[s3\]'"):
        storage_url("s3://a/b")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="got no fsspec here"):
        storage_url("s3://a/b")


def test_a_folder_is_told_whole_wherever_a_worker_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage_url("a/b/") == f"file://{tmp_path}/a/b"


def test_what_a_store_says_is_told_without_secrets_and_short(monkeypatch):
    def refused(url):
        raise OSError(f"GET ?Signature=abc {'x' * 500}\nmore")

    monkeypatch.setattr(object_storage, "_open", refused)
    with pytest.raises(InputError) as e:
        object_size("s3://bucket/a")
    assert "Signature=***" in str(e.value)
    assert len(str(e.value)) < 400


COMMANDS = {
    "encode": ["--index", "i", "--weights", "w", "--out", "z"],
    "cluster-folder": ["files"],
    "run": ["photos"],
    "baseline": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_storage_without_ray_is_one_sentence(command):
    with pytest.raises(InputError, match="--ray-storage must be used with --ray; got no --ray"):
        parse([command, "--ray-storage", "s3://a/b", *COMMANDS[command]])


def test_a_whole_run_refuses_storage_before_any_work(tmp_path, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: True if n == "ray" else real(n))
    (tmp_path / "in").mkdir()
    for i, x in enumerate(two_kinds(12)[0]):
        Image.fromarray(x).save(tmp_path / "in" / f"{i:02}.png")
    (tmp_path / "file").write_text("")
    words = ["cluster-folder", str(tmp_path / "in"), "--workspace", str(tmp_path / "at")]
    assert main([*words, "--ray", "local:1", "--ray-storage", str(tmp_path / "file/below")]) == 2
    assert "the storage file://" in capsys.readouterr().err
    assert not list((tmp_path / "at").rglob("manifest.json"))
