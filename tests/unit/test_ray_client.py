"""A cluster that was started by itself, joined at ray://host:port."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imclust
from helpers import two_kinds
from imclust.__main__ import main
from imclust.core import ray_workers
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest

RAY = all(importlib.util.find_spec(name) is not None for name in ("ray", "grpc"))
pytestmark = pytest.mark.skipif(not RAY, reason="Ray is an extra")
SOURCES = str(Path(imclust.__file__).parents[1])


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def head():
    """Address and environment of a cluster of one node, in processes and a folder of its own."""
    port, room = free_port(), tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # of a short name
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    env |= {"PYTHONPATH": SOURCES, "RAY_worker_niceness": "0"}
    words = ["--head", "--block", f"--port={free_port()}", f"--ray-client-server-port={port}"]
    words += ["--num-cpus=2", "--object-store-memory=300000000", f"--temp-dir={room}"]
    words += ["--include-dashboard=false"]
    with Path(room, "said.txt").open("w") as said:
        ray = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
            env=env, cwd="/", stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        while True:
            assert ray.poll() is None, Path(room, "said.txt").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"ray://127.0.0.1:{port}", env
    finally:
        os.killpg(ray.pid, signal.SIGKILL)
        ray.wait()
        shutil.rmtree(room, ignore_errors=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    for i, x in enumerate(two_kinds(30)[0]):
        Image.fromarray(x).save(tmp_path / f"files/{i:02}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(words, env):
    return subprocess.run(
        [sys.executable, "-m", "imclust", *words.split()], env=env, capture_output=True, text=True
    )


DOWNLOAD = "download --out {} {} folder --data-dir files"


def test_its_workers_write_the_bytes_of_one_process(place, head):
    address, env = head
    encode = "encode --index one/index --weights w --batch 4 --out {} {}"
    assert main(DOWNLOAD.format("one", "").split()) == 0
    assert main(["train", "--index", "one/index", "--out", "w", "pixels"]) == 0
    assert main(encode.format("here", "").split()) == 0
    for words in (
        DOWNLOAD.format("ray", f"--ray {address}"),
        encode.format("there", f"--ray {address} --ray-rows 8"),
    ):
        done = command(words, env)
        assert done.returncode == 0, done.stderr
        assert "Ray: 2 CPUs on 1 node" in done.stdout
    assert Path("ray/index/index.csv").read_bytes() == Path("one/index/index.csv").read_bytes()
    np.testing.assert_array_equal(np.load("there/x.npy"), np.load("here/x.npy"))
    assert read_manifest(Path("there"))["ray"]["tasks"] == 4


def test_a_cluster_with_another_imclust_is_one_sentence_before_work(place, head):
    address, env = head
    shutil.copytree(Path(SOURCES, "imclust"), place / "other/imclust")
    (place / "other/imclust/_version.py").write_text('"""Another."""\n\n__version__ = "9.9.9"\n')
    env = {**env, "PYTHONPATH": str(place / "other")}
    done = command(DOWNLOAD.format("ray", f"--ray {address}"), env)
    assert done.returncode == 2
    assert "and imclust 9.9.9 as here; got Python" in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not Path("ray/index").exists()


@pytest.mark.parametrize("how", ["auto", "ray"])
def test_where_nobody_listens_is_one_sentence_at_once(place, capsys, monkeypatch, how):
    """Of a cluster that RAY_ADDRESS names and that has gone Ray waits for ever."""
    port = free_port()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    address = "auto" if how == "auto" else f"ray://127.0.0.1:{port}"
    assert main(DOWNLOAD.format("ray", f"--ray {address}").split()) == 2
    said = capsys.readouterr().err
    assert f"the Ray cluster {address} must be running; got no answer from 127.0.0.1:{port}" in said


SAID = {
    "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
    "This process was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n": (
        "must be of the same Python and Ray as here; got Version mismatch: The cluster was started "
        "with: Ray: 2.60.0 Python: 3.12.1 This process was started with: Ray: 2.60.0 Python: "
        "3.11.7; install the same on both."
    ),
    "ray client connection timeout": "set RAY_AUTH_MODE and the token as on its nodes",
    "Ray Client requires pip package `ray[client]`.": "pip install 'ray[client]'",
}


@pytest.mark.parametrize("said", SAID)
def test_what_ray_says_of_a_cluster_is_one_sentence(said, monkeypatch):
    """As Ray 2.60 said it here, to a cluster of Python 3.12, without a token, without gRPC."""
    import ray

    def refuse(**_):
        raise ConnectionError(said)

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray_workers, "_refuse_silence", lambda address: None)
    with pytest.raises(InputError) as e:
        ray_workers._connect("ray://127.0.0.1:1")
    assert SAID[said] in str(e.value)
    assert "\n" not in str(e.value)
