"""`--via cli`: the real aicrowd-cli against the stand-in, and what is made of its words."""

import subprocess

import pytest

from helpers import failed
from imclust.competitions.clients._aicrowd_key import config
from imclust.competitions.clients.aicrowd_cli import AIcrowdCli
from imclust.competitions.downloads import Expected
from standin import AICROWD_KEY, Cut, Html, NoAnswer, NoLength, Stall, Status

pytest.importorskip("aicrowd")


@pytest.fixture
def aicrowd(standin, tmp_path, monkeypatch):
    standin.use(monkeypatch, tmp_path, AICROWD_API_KEY=AICROWD_KEY)
    return AIcrowdCli("demo-challenge")


@pytest.fixture
def submit(aicrowd, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("id,label\n0,1\n")
    return lambda: aicrowd.submit(path, "--mine", lambda: None)


@pytest.fixture
def get(aicrowd, tmp_path):
    def call(**expected):
        file = aicrowd.list_files()[0]
        aicrowd.download(file, tmp_path / "raw" / "images.npy", Expected(**expected))
        return (tmp_path / "raw" / "images.npy").read_bytes()

    return call


def test_files_come_and_are_not_fetched_again(aicrowd, get, standin):
    assert [f.name for f in aicrowd.list_files()] == ["images.npy", "sample_submission.csv"]
    assert get() == standin.files["images.npy"]
    assert get() == standin.files["images.npy"]
    assert len(standin.asked("GET", "/data/images.npy")) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Cut(9000), "corrupt", 8),
        (Html(), "corrupt", 8),
        (Status(401, "<a href=https://www.aicrowd.com/x>register</a>"), "not-allowed", 4),
        (Status(404), "server", 7),
        (Status(503), "server", 7),
        (NoLength(), "server", 7),
    ],
)
def test_downloads_that_it_calls_a_success(get, standin, tmp_path, fault, kind, status):
    standin.faults["GET", "/data/*"] = fault
    with failed(kind, status, "images.npy"):
        get()
    assert not (tmp_path / "raw" / "images.npy").exists()


def test_html_of_the_right_size(get, standin):
    page = b"<html>" + b" " * (len(standin.files["images.npy"]) - 6)
    standin.faults["GET", "/data/*"] = Html(page.decode())
    with failed("wrong-content", 8, "web page"):
        get()


def test_a_hang_is_ended(aicrowd, get, standin, monkeypatch):
    files = aicrowd.list_files()
    monkeypatch.setattr(AIcrowdCli, "download_deadline", 2)
    standin.faults["GET", "/data/*"] = Stall(60)
    assert files
    with failed("timeout", 7, "within 2 s"):
        get()


def test_submitted(aicrowd, submit, standin):
    ref = submit()
    assert standin.submissions[0]["file"] == b"id,label\n0,1\n"
    assert standin.submissions[0]["description"] == "--mine"
    assert aicrowd.status(ref).state == "pending"
    assert aicrowd.status(ref).public == 0.91


@pytest.mark.parametrize(
    ("where", "fault", "kind", "status"),
    [
        (("GET", "/api/v1/api_user"), Status(401), "bad-credentials", 4),
        (("GET", "/challenges/"), Status(404), "not-found", 2),
        (("POST", "/s3"), Status(400, "<Error><Code>EntityTooLarge</Code></Error>"),
         "rejected-file", 6),
        (("POST", "/api/v1/submissions"), Status(503), "unknown-state", 9),
        (("POST", "/api/v1/submissions"), NoAnswer(), "unknown-state", 9),
    ],
)  # fmt: skip
def test_submissions_that_fail(submit, standin, where, fault, kind, status):
    standin.faults[where] = fault
    with failed(kind, status):
        submit()
    assert len(standin.asked("POST", "/api/v1/submissions")) == int(kind == "unknown-state")


def test_no_more_today(submit, standin):
    standin.allowed = 0
    with failed("limit", 5, "submission limit"):
        submit()


def test_rules_not_accepted(submit, standin):
    standin.rules_accepted = False
    with failed("not-allowed", 4, "register"):
        submit()
    assert not standin.submissions


def test_no_answer_in_time_leaves_the_state_open(submit, standin, monkeypatch):
    monkeypatch.setattr(AIcrowdCli, "deadline", 3)
    standin.faults["POST", "/api/v1/submissions"] = Stall(60)
    with failed("unknown-state", 9, "it may count"):
        submit()


def test_no_key(aicrowd, monkeypatch):
    monkeypatch.delenv("AICROWD_API_KEY")
    with failed("no-credentials", 4, "AICROWD_API_KEY"):
        aicrowd.list_files()


def test_the_key_is_no_argument_and_its_file_is_gone(aicrowd, monkeypatch):
    calls, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (calls.append((a, k)), run(*a, **k))[1])
    aicrowd.list_files()
    [((command,), options)] = calls
    assert AICROWD_KEY not in repr(command)
    assert AICROWD_KEY not in repr(options["env"])
    from pathlib import Path

    assert not Path(command[command.index("--config-path") + 1]).exists()
    assert not config().exists()
