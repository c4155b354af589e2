"""`--via cli`: the real aicrowd-cli against the stand-in, and what is made of its words."""

import subprocess
from pathlib import Path

import pytest

from helpers import failed
from imclust.competitions.clients._aicrowd_key import config
from imclust.competitions.clients.aicrowd_cli import AIcrowdCli
from standin import AICROWD_KEY, NoAnswer, Stall, Status

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


def test_submitted(aicrowd, submit, standin):
    ref = submit()
    assert standin.submissions[0]["file"] == b"id,label\n0,1\n"
    assert standin.submissions[0]["description"] == "--mine"
    assert aicrowd.status(ref).state == "pending"
    assert aicrowd.status(ref).public == 0.91


@pytest.mark.parametrize(
    ("where", "fault", "kind", "status"),
    [
        (("GET", "/api/v1/api_user"), Status(401), "rejected-file", 6),
        (("GET", "/challenges/"), Status(404), "rejected-file", 6),
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
    with failed("rejected-file", 6, "submission limit"):
        submit()


def test_rules_not_accepted(submit, standin):
    standin.rules_accepted = False
    with failed("rejected-file", 6, "registered"):
        submit()
    assert not standin.submissions


def test_no_answer_in_time_leaves_the_state_open(submit, standin, monkeypatch):
    monkeypatch.setattr(AIcrowdCli, "deadline", 3)
    standin.faults["POST", "/api/v1/submissions"] = Stall(60)
    with failed("unknown-state", 9, "it may count"):
        submit()


def test_no_key(submit, monkeypatch):
    monkeypatch.delenv("AICROWD_API_KEY")
    with failed("no-credentials", 4, "AICROWD_API_KEY"):
        submit()


def test_the_key_is_no_argument_and_its_file_is_gone(submit, monkeypatch):
    calls, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (calls.append((a, k)), run(*a, **k))[1])
    submit()
    [((command,), options)] = calls
    assert AICROWD_KEY not in repr(command)
    assert AICROWD_KEY not in repr(options["env"])
    assert not Path(command[command.index("--config-path") + 1]).exists()
    assert not config().exists()
