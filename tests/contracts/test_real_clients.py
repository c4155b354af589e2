"""The real aicrowd-cli, kaggle and gdown, unmodified, over CONNECT and TLS; ours ask the same."""

import subprocess
import sys

import pytest

from helpers import environment
from imclust.competitions.clients import connect
from imclust.competitions.downloads import Expected
from standin import AICROWD_KEY, KAGGLE_TOKEN, mark

SLUG = "demo-challenge"


@pytest.fixture
def place(tmp_path):
    (tmp_path / "got").mkdir()
    (tmp_path / "submission.csv").write_text("id,label\n0,1\n")
    return tmp_path


@pytest.fixture
def real(standin, place):
    """Run a real client: its status and output."""

    def call(module, *args, **keys):
        pytest.importorskip(module.split(".")[0])
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *args],
            cwd=place,
            env=environment(**standin.environment(place, **keys)),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture
def aicrowd(real, place):
    """The real aicrowd-cli, signed in."""
    (place / "config.toml").write_text(
        f'aicrowd_api_key = "{AICROWD_KEY}"\ndisable_update_check = true\n'
    )
    return lambda *args: real(
        "aicrowd.cli", "--config-path", str(place / "config.toml"), *args, "-c", SLUG
    )


@pytest.fixture
def kaggle(real):
    return lambda *args: real("kaggle.cli", "competitions", *args, KAGGLE_API_TOKEN=KAGGLE_TOKEN)


def wire(journal, *paths):
    """What was asked of services: method, address, body and what is no noise of the headers."""
    asked = []
    for r in journal:
        if paths and not any(path in r.path for path in paths):
            continue
        body = {k: v for k, v in (r.body or {}).items() if k != "lastModifiedEpochSeconds"}
        headers = {k: v for k, v in r.headers.items() if k in {"Authorization", "Range"}}
        asked.append((r.method, r.url.split("?")[0], r.query.get("challenge_id"), headers, body))
    return asked


def ours(standin, board, place, monkeypatch):
    """Our client on the same stand-in, whose journal begins anew."""
    standin.use(monkeypatch, place, AICROWD_API_KEY=AICROWD_KEY, KAGGLE_API_TOKEN=KAGGLE_TOKEN)
    standin.journal.clear()
    standin.submissions.clear()
    standin.uploads.clear()
    standin.links.clear()
    return connect(board)


def test_aicrowd_download(aicrowd, standin, place, monkeypatch):
    aicrowd("dataset", "download", "-o", "got")
    for name, data in standin.files.items():
        assert (place / "got" / name).read_bytes() == data
    assert {r.via for r in standin.journal} == {"connect"}
    theirs = wire(standin.journal, "/challenges/", "/data/images")
    client = ours(standin, f"aicrowd:{SLUG}", place, monkeypatch)
    client.download(client.list_files()[0], place / "ours" / "images.npy", Expected())
    assert standin.journal[0].path == "/api/v1/api_user"  # ours: is the key good at all?
    assert wire(standin.journal, "/challenges/", "/data/images") == theirs
    assert theirs[0][3] == {"Authorization": f"Token {mark(AICROWD_KEY)}"}


@pytest.mark.parametrize("part", [False, True], ids=["challenge", "problem of a challenge"])
def test_aicrowd_submit(aicrowd, standin, place, monkeypatch, part):
    if part:
        standin.meta = {SLUG: "whole-challenge"}
    out = aicrowd("submission", "create", "-f", "submission.csv", "-d", "mine")
    [recorded] = standin.submissions
    assert str(recorded["ref"]) in out.splitlines()[-1]
    assert recorded["file"] == (place / "submission.csv").read_bytes()
    theirs = wire(standin.journal, "/api/v1/submissions", "/s3")
    client = ours(standin, f"aicrowd:{SLUG}", place, monkeypatch)
    client.submit(place / "submission.csv", "mine", lambda: None)
    assert wire(standin.journal, "/api/v1/submissions", "/s3") == theirs
    assert standin.submissions[0]["file"] == recorded["file"]


def test_kaggle_download(kaggle, standin, place, monkeypatch):
    kaggle("download", SLUG, "-f", "images.npy", "-p", "got", "-q")
    assert (place / "got" / "images.npy").read_bytes() == standin.files["images.npy"]
    theirs = wire(standin.journal, "DownloadDataFile", "/gcs/")
    client = ours(standin, f"kaggle:{SLUG}", place, monkeypatch)
    client.download(client.list_files()[0], place / "ours" / "images.npy", Expected())
    assert wire(standin.journal, "DownloadDataFile", "/gcs/") == theirs


def test_kaggle_submit(kaggle, standin, place, monkeypatch):
    assert "Successfully" in kaggle("submit", SLUG, "-f", "submission.csv", "-m", "mine", "-q")
    [recorded] = standin.submissions
    paths = ("Submission", "/gcs/")
    theirs = wire(standin.journal, *paths)
    client = ours(standin, f"kaggle:{SLUG}", place, monkeypatch)
    client.submit(place / "submission.csv", "mine", lambda: None)
    assert wire(standin.journal, *paths) == theirs
    assert standin.submissions[0]["file"] == recorded["file"]
    assert len(theirs) == 3


def test_kaggle_followed(kaggle, standin, place):
    kaggle("submit", SLUG, "-f", "submission.csv", "-m", "mine", "-q")
    assert "PENDING" in kaggle("submissions", SLUG, "-v")
    assert "0.91" in kaggle("submissions", SLUG, "-v")
    assert "Team Alice" in kaggle("leaderboard", SLUG, "-s", "-v")
    assert "images.npy" in kaggle("files", SLUG, "-v")


@pytest.mark.parametrize("asks", [False, True], ids=["small", "large"])
def test_gdown(real, standin, place, monkeypatch, asks):
    standin.drive["someid"], standin.drive_asks = standin.files["images.npy"], asks
    real("gdown", "https://drive.google.com/file/d/someid/view", "-O", "got/a.npy", "--no-cookies")
    assert (place / "got" / "a.npy").read_bytes() == standin.drive["someid"]
    theirs = wire(standin.journal)
    client = ours(standin, "drive:someid", place, monkeypatch)
    client.download(client.list_files()[0], place / "ours" / "a.npy", Expected())
    assert wire(standin.journal) == theirs
    assert not standin.unknown
