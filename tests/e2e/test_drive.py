"""`hw9` through the real gdown, against a stand-in for Google Drive on this machine."""

import json
import subprocess
import sys

import numpy as np
import pytest

from helpers import DRIVE, environment, homework, npy, refused
from standin_services import QUOTA_PAGE


@pytest.fixture
def drive(standin):
    standin.drive = homework()
    return standin


def download(imclust, drive, tmp_path):
    return imclust("download", "--out", "raw", "hw9", **drive.environment(tmp_path))


def test_three_files_are_fetched_checked_and_indexed_once(imclust, drive, tmp_path):
    code, out, err = download(imclust, drive, tmp_path)
    assert code == 0, err
    assert "8500 images to cluster, 500 for validation" in out
    doc = json.loads((tmp_path / "raw/index/manifest.json").read_text())
    assert doc["n_clusters"] == 2
    assert doc["rules"] == "scratch"
    asked = len(drive.journal)
    assert download(imclust, drive, tmp_path)[0] == 0
    assert len(drive.journal) == asked


def test_a_page_instead_of_a_file(imclust, drive, tmp_path):
    drive.drive[DRIVE["valX.npy"]] = QUOTA_PAGE
    result = download(imclust, drive, tmp_path)
    refused(result, "valX.npy must come from Google Drive", "24 hours", "in a browser", status=5)
    assert (tmp_path / "raw/files/trainX.npy").exists()
    assert not (tmp_path / "raw/files/valX.npy").exists()
    assert not (tmp_path / "raw/index").exists()


@pytest.mark.parametrize(
    ("body", "words", "status", "aside"),
    [
        (npy(np.zeros((8, 8), np.uint8)), "of shape [8500, 32, 32, 3]; got [8, 8]", 2, True),
        (b"GIF89a something else entirely", "must be a .npy file", 8, True),
        (b"", "no public link", 4, False),
    ],
)
def test_another_file_is_refused_and_kept_aside(
    imclust, drive, tmp_path, body, words, status, aside
):
    drive.drive[DRIVE["trainX.npy"]] = body
    refused(download(imclust, drive, tmp_path), "trainX.npy", words, status=status)
    there = {p.name for p in (tmp_path / "raw/files").iterdir()} - {".trainX.npy.lock"}
    assert there == ({".trainX.npy.rejected"} if aside else set())


def test_no_network_is_one_sentence(imclust, tmp_path):
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    done = subprocess.run(
        [sys.executable, "-m", "imclust", "download", "--out", "raw", "hw9"],
        cwd=tmp_path,
        env=environment(**nowhere),
        capture_output=True,
        text=True,
        timeout=120,
    )
    result = (done.returncode, done.stdout, done.stderr)
    refused(result, "check the network", "as raw/files/trainX.npy", status=7)
