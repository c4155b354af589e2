"""Ray on two hosts, each a network namespace: the bytes of one process, also when one is away."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

import pytest

import imclust
from ray_hosts import cluster, may_be_made, once, prepare_pictures

RAY = all(importlib.util.find_spec(name) is not None for name in ("ray", "grpc"))
WHY = "Ray is an extra" if not RAY else may_be_made()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY), reason=WHY or "runs")]


@pytest.fixture
def place(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="hosts-", dir="/tmp"))  # of a short name
    (folder / "out").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(imclust.__file__).parents[1]))
    yield folder
    shutil.rmtree(folder)


def test_hosts_write_the_bytes_of_one_process_and_one_may_be_away_for_a_while(place):
    prepare_pictures()
    with cluster(place, hosts=2) as at:
        runs = [once(name, at) for name in ("encode", "auto", "back")]
    for row in runs:
        assert row["status"] == 0, row
        assert row["equal"], row
    assert runs[0]["nodes"] == 2
    assert runs[-1]["hit"]


def test_a_host_that_sees_another_folder_is_told_before_work_and_does_with_storage(place):
    prepare_pictures()
    (place / "shared").mkdir()
    with cluster(place, hosts=2, own=place / "out") as at:
        refused, stored = once("scratch", at), once("storage", at)
    assert refused["status"] == 2
    assert "got nothing there; put it on storage that all nodes share" in refused["said"]
    assert stored["equal"], stored
