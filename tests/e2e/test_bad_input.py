"""What a stranger gets wrong: one sentence each, a status that is not 0, nothing half-written."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import ROOT, environment, refused, two_kinds


def download(imclust, data, *flags, challenge="arrays", out="raw"):
    return imclust("download", "--out", out, *flags, challenge, "--data-dir", data)


def nothing_written(folder):
    left = [p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock")]
    return left == []


@pytest.fixture
def space(imclust, arrays_dir, tmp_path):
    """An index and a space of raw pixels, ready to reduce and cluster."""
    assert download(imclust, arrays_dir)[0] == 0
    assert imclust("train", "--index", "raw/index", "--out", "w", "pixels")[0] == 0
    assert imclust("encode", "--index", "raw/index", "--weights", "w", "--out", "z")[0] == 0
    return tmp_path / "z"


def test_missing_data(imclust, tmp_path):
    refused(download(imclust, tmp_path / "nowhere"), "DATA_DIR", "does not exist", "check the path")
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"\x80\x04\x95 pickled", "other content"),
        (None, "nothing there"),
    ],
)
def test_what_is_no_array(imclust, arrays_dir, tmp_path, content, words):
    (arrays_dir / "trainX.npy").unlink()
    if content:
        (arrays_dir / "trainX.npy").write_bytes(content)
    refused(download(imclust, arrays_dir), "trainX.npy", words)
    assert nothing_written(tmp_path / "raw")


def test_pickled_objects_are_never_loaded(imclust, arrays_dir, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    np.save(arrays_dir / "trainX.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    refused(download(imclust, arrays_dir), "trainX.npy", "pickled", "save it again as numbers")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("k", "words"),
    [(1, "at least 2"), (0, "at least 2"), (-3, "at least 2"), (61, "number of images (60)")],
)
def test_impossible_k_is_refused_before_any_work(imclust, arrays_dir, k, words):
    result = download(imclust, arrays_dir, "--n-clusters", k)
    refused(result, "clusters K", words, f"got {k}")


@pytest.mark.parametrize("k", [1, 61])
def test_impossible_k_is_refused_by_cluster_too(imclust, space, tmp_path, k):
    flags = ("--features", space, "--index", "raw/index", "--out", "c", "--n-clusters", k)
    refused(imclust("cluster", *flags, "kmeans"), "clusters K", str(k))
    assert not (tmp_path / "c").exists()


def test_k_that_nobody_said(imclust, tmp_path):
    for i, x in enumerate(two_kinds(4)[0]):
        Image.fromarray(x).save(tmp_path / f"{i}.png")
    assert download(imclust, tmp_path, challenge="folder")[0] == 0
    flags = ("--features", "z", "--index", "raw/index", "--out", "c")
    refused(imclust("cluster", *flags, "kmeans"), "the challenge does not say it", "K=<n>")


def test_one_image_and_an_empty_folder(imclust, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    refused(download(imclust, folder, challenge="folder"), "at least two images", "0 images found")
    Image.fromarray(two_kinds(1)[0][0]).save(folder / "a.png")
    refused(download(imclust, folder, challenge="folder"), "at least two images", "1 image found")
    np.save(folder / "trainX.npy", two_kinds(1)[0])
    refused(download(imclust, folder), "readable images", "at least 2", "got 1")


def test_corrupt_images_are_listed_then_refused(imclust, tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for i, x in enumerate(two_kinds(6)[0]):
        Image.fromarray(x).save(folder / f"{i}.jpg")
    (folder / "2.jpg").write_bytes((folder / "2.jpg").read_bytes()[:200])
    (folder / "4.jpg").write_text("<html>404</html>")
    result = download(imclust, folder, challenge="folder")
    refused(result, "2 of 6", "--set-aside-corrupt")
    assert "2.jpg: truncated" in result[1]
    assert "4.jpg: a web page" in result[1]
    assert nothing_written(tmp_path / "raw" / "index")
    result = download(imclust, folder, "--set-aside-corrupt", challenge="folder")
    assert result[0] == 0
    assert "2 of 6 images are set aside" in result[1]


def test_a_space_with_other_bytes_than_were_written_is_refused(imclust, space, tmp_path):
    x = np.load(space / "x.npy")
    x[3, 5] = np.nan
    np.save(space / "x.npy", x)
    refused(
        imclust("reduce", "--features", space, "--out", "k", "kernel-pca"),
        "x.npy holds other bytes than were written",
    )
    assert not (tmp_path / "k").exists()


def test_settings_out_of_range(imclust, space):
    flags = ("reduce", "--features", space, "--out", "k")
    refused(imclust(*flags, "tsne", "--perplexity", "0.2"), "tsne.perplexity", "in [1")
    refused(imclust(*flags, "kernel-pca", "--components", "0"), "kernel-pca.components")
    code, _, err = imclust(*flags, "tsne", "--perplexitty", "30")
    assert code == 2
    assert "perplexitty" in err


def in_shell(command, cwd):
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
    )


def test_a_disk_that_fills_up_while_writing(imclust, space, tmp_path):
    """No file may grow past 100 KiB: the same failure in `write` as on a full disk."""
    command = f"ulimit -f 100; {sys.executable} -m imclust encode"
    done = in_shell(f"{command} --index raw/index --weights w --out z2", tmp_path)
    refused((done.returncode, done.stdout, done.stderr), "is full", "free some space", status=3)
    assert not (tmp_path / "z2").exists()
    # With room, the same command goes on.
    assert imclust("encode", "--index", "raw/index", "--weights", "w", "--out", "z2")[0] == 0


@pytest.fixture
def mount(tmp_path):
    """A small file system of its own, or a skip where one may not be mounted."""
    at = tmp_path / "disk"
    at.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(at)], capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


def test_a_full_disk_is_refused_before_writing(imclust, space, mount):
    done = imclust("encode", "--index", "raw/index", "--weights", "w", "--out", mount / "z")
    refused(done, "free space", "at least", "on another disk", status=3)
    assert not (mount / "z").exists()


def test_a_read_only_disk(imclust, space, mount):
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    done = imclust("encode", "--index", "raw/index", "--weights", "w", "--out", mount / "z")
    refused(done, "must be accessible", "choose another folder", status=3)


def test_labels_of_another_length(imclust, arrays_dir, tmp_path):
    np.save(arrays_dir / "valY.npy", np.zeros(19, int))
    refused(download(imclust, arrays_dir), "valY.npy", "[20]", "[19]")
    assert nothing_written(tmp_path / "raw")


def test_data_that_went_away_is_said(imclust, arrays_dir):
    assert download(imclust, arrays_dir)[0] == 0
    (arrays_dir / "trainX.npy").rename(arrays_dir / "gone.npy")
    flags = ("train", "--index", "raw/index", "--out", "w", "pixels")
    refused(imclust(*flags), "it has gone", "run download again")


def test_the_script_asks_for_k_before_any_work(tmp_path):
    command = f"bash {ROOT}/run_baseline.sh"
    env = f"CHALLENGE=folder DATA_DIR={tmp_path} WORKSPACE={tmp_path}"
    done = in_shell(f"{env} {command}", tmp_path)
    assert done.returncode == 2
    assert "K (--k) must be given for CHALLENGE=folder" in done.stderr
    assert nothing_written(tmp_path)
