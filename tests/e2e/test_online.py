"""Any challenge by its name on a service, from its files to an index."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from helpers import npy, refused, two_kinds, zipped
from imclust.__main__ import main
from standin import AICROWD_KEY, KAGGLE_TOKEN, Cut, Html, Status

KEYS = {"AICROWD_API_KEY": AICROWD_KEY, "KAGGLE_API_TOKEN": KAGGLE_TOKEN}


@pytest.fixture(params=["aicrowd:demo-challenge", "kaggle:demo-challenge"])
def board(request, standin, tmp_path, monkeypatch):
    standin.use(monkeypatch, tmp_path, **KEYS)
    monkeypatch.chdir(tmp_path)
    return request.param


def pictures(n=6):
    found = {}
    for i, x in enumerate(two_kinds(n)[0]):
        out = io.BytesIO()
        Image.fromarray(x).save(out, "PNG")
        found[f"test/{i}.png"] = out.getvalue()
    return found


SAMPLE = b"ImageID,label\r\n5,0\r\n4,0\r\n3,0\r\n2,0\r\n1,0\r\n0,0\r\n"


def download(capsys, board, *more):
    code = main(["download", "--out", "raw", "online", "--board", board, *more])
    out, err = capsys.readouterr()
    return code, out, err


def index(tmp_path):
    doc = json.loads((tmp_path / "raw/index/manifest.json").read_text())
    return doc, (tmp_path / "raw/index/index.csv").read_text()


def test_a_zip_of_images_with_a_sample(board, standin, tmp_path, capsys):
    standin.files = {"test.zip": zipped(pictures()), "sample_submission.csv": SAMPLE}
    code, _, err = download(capsys, board)
    assert code == 0, err
    doc, _ = index(tmp_path)
    assert doc["columns"] == ["ImageID", "label"]
    assert doc["board"] == board
    assert (tmp_path / "raw/index/sample.csv").read_bytes() == SAMPLE
    assert not (tmp_path / "raw/files/test").exists()  # images are read from the zip
    asked = len(standin.journal)
    assert download(capsys, board)[0] == 0
    assert len(standin.journal) == asked


def test_one_zip_of_everything(board, standin, tmp_path, capsys):
    inside = pictures() | {"sampleSubmission.csv": SAMPLE}
    standin.files = {"demo.zip": zipped(inside)}
    code, out, err = download(capsys, board)
    assert code == 0, err
    assert "6 images to cluster" in out
    assert (tmp_path / "raw/index/sample.csv").read_bytes() == SAMPLE


def test_arrays_in_a_zip(board, standin, tmp_path, capsys):
    x, _ = two_kinds(20)
    standin.files = {"data.zip": zipped({"a/trainX.npy": npy(x)})}
    code, out, err = download(capsys, board)
    assert code == 0, err
    assert "read as arrays" in out
    assert index(tmp_path)[0]["rows"] == {"train": 20}


def test_pairs(board, standin, tmp_path, capsys):
    cases = b"id,image1_name,image2_name\n0,0,1\n1,2,4\n"
    standin.files = {"images.zip": zipped(pictures()), "test_case.csv": cases}
    code, _, err = download(capsys, board)
    assert code == 0, err
    assert index(tmp_path)[0]["pairs"] == 2


@pytest.mark.parametrize(
    ("member", "words"),
    [("../../evil.txt", "leads out of its folder"), ("/etc/evil", "leads out of its folder")],
)
def test_a_zip_that_leads_out_is_refused(board, standin, tmp_path, capsys, member, words):
    standin.files = {"data.zip": zipped({"trainX.npy": npy(np.zeros((3, 4, 4))), member: b"x"})}
    refused(download(capsys, board), words, status=8)
    assert not list(tmp_path.rglob("evil*"))


def test_what_breaks_once_is_mended_and_a_page_is_never_data(board, standin, tmp_path, capsys):
    data = zipped(pictures() | {"noise.bin": np.random.default_rng(0).bytes(400_000)})
    standin.files = {"data.zip": data, "sample_submission.csv": SAMPLE}
    standin.faults["GET", "*/data.zip"] = [Cut(100_000), Html()]
    refused(download(capsys, board), "data.zip must be a .zip file; got a web page", status=8)
    assert not (tmp_path / "raw/index").exists()
    code, _, err = download(capsys, board)
    assert code == 0, err
    assert (tmp_path / "raw/files/data.zip").read_bytes() == data
    assert standin.asked("GET", "*/data.zip")[-1].headers["Range"] == "bytes=100000-"


def test_rules_not_accepted_and_unknown_challenges(board, standin, capsys):
    standin.rules_accepted = False
    refused(download(capsys, board), "accept", "rules", status=4)
    refused(download(capsys, board + "x"), "demo-challengex", status=2)


def test_no_key(board, monkeypatch, capsys):
    for name in KEYS:
        monkeypatch.delenv(name)
    refused(download(capsys, board), "set ", status=4)


def test_a_listing_that_promises_another_size(board, standin, capsys):
    if board.startswith("kaggle"):
        pytest.skip("Kaggle's listing may speak of the unpacked size")
    standin.sizes["images.npy"] = 5
    refused(download(capsys, board), "images.npy must be of 5 bytes", status=8)


def test_the_service_is_down(board, standin, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    standin.faults["*", "*"] = standin.faults["GET", "*"] = Status(503)
    standin.faults["POST", "*"] = Status(503)
    refused(download(capsys, board), "503", status=7)


def test_blitz7_comes_from_aicrowd_without_data_dir(standin, tmp_path, monkeypatch, capsys):
    standin.use(monkeypatch, tmp_path, **KEYS)
    monkeypatch.chdir(tmp_path)
    standin.slug = "stage-prediction"
    standin.files = {"test.zip": zipped(pictures()), "sample_submission.csv": SAMPLE}
    assert main(["download", "--out", "raw", "blitz7"]) == 0
    assert "6 images to cluster" in capsys.readouterr().out
    assert index(tmp_path)[0]["n_clusters"] == 5


def test_the_list_says_what_each_challenge_needs(standin, tmp_path, monkeypatch, capsys):
    standin.use(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["challenges"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "nothing: embedded" in lines["photos"]
    assert "scratch" in lines["hw9"]
    assert "kaggle:ml2020spring-hw9" in lines["hw9"]
    assert "a key of AIcrowd (or DATA_DIR)" in lines["blitz7"]
    assert "DATA_DIR" in lines["folder"]
    monkeypatch.setenv("AICROWD_API_KEY", AICROWD_KEY)
    assert main(["challenges", "blitz7", "--ask"]) == 2
    assert "not ready" in capsys.readouterr().out
    standin.slug = "stage-prediction"
    assert main(["challenges", "blitz7", "--ask"]) == 0
    out = capsys.readouterr().out
    assert "ready as alice: 2 files" in out
    assert AICROWD_KEY not in out
    assert "key: from AICROWD_API_KEY" in out
    assert "stage-prediction" in out
    assert standin.unknown == []
