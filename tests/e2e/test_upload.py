"""Sending a submission exactly once, whatever the services and the network do."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers import environment, make_arrays, refused
from imclust.__main__ import main
from imclust.competitions import ledger
from standin import (
    AICROWD_KEY,
    KAGGLE_KEY,
    KAGGLE_TOKEN,
    KAGGLE_USER,
    Html,
    NoAnswer,
    Stall,
    Status,
)

AICROWD, KAGGLE = "aicrowd:demo-challenge", "kaggle:demo-challenge"
KEYS = {"AICROWD_API_KEY": AICROWD_KEY, "KAGGLE_API_TOKEN": KAGGLE_TOKEN}
CREATE = {AICROWD: ("POST", "/api/v1/submissions"), KAGGLE: ("POST", "*/CreateSubmission")}
FAST = ("--poll", "0.02")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A submission of 60 images in two classes, made stage by stage."""
    top = tmp_path_factory.mktemp("made")
    make_arrays(top / "arrays")
    here = os.getcwd()
    os.chdir(top)
    try:
        for line in (
            "download --out raw arrays --data-dir arrays",
            "train --index raw/index --out weights pixels",
            "encode --index raw/index --weights weights --out latents",
            "cluster --features latents --index raw/index --out clusters kmeans",
            "submit --assignment clusters --index raw/index --out submissions/demo/run",
        ):
            assert main(line.split()) == 0
    finally:
        os.chdir(here)
    return top


@pytest.fixture
def place(made, tmp_path, standin, monkeypatch):
    """A copy of it, with the services at hand and keys in the environment."""
    top = tmp_path / "place"
    subprocess.run(["cp", "-r", made, top], check=True)
    standin.use(monkeypatch, tmp_path, **KEYS)
    monkeypatch.chdir(top)
    return top


@pytest.fixture(params=[AICROWD, KAGGLE])
def board(request):
    return request.param


def upload(capsys, *more, to=AICROWD, what="submissions/demo/run"):
    code = main(["upload", what, "--to", to, *FAST, *more])
    out, err = capsys.readouterr()
    return code, out, err


def rows(name="submission.csv"):
    return [r for r in ledger.read(ledger.LOG) if r.board and r.file == name]


def row(name="submission.csv"):
    [found] = rows(name)
    return found


def created(standin, board):
    return len(standin.asked(*CREATE[board]))


def test_without_yes_it_shows_and_sends_nothing(place, standin, capsys, board):
    code, out, _ = upload(capsys, to=board)
    assert code == 0
    for words in ("60 rows", "demo", "alice", "nothing was sent", "sha256", "API"):
        assert words in out
    assert created(standin, board) == 0
    assert not [r for r in ledger.read(ledger.LOG) if r.board]


def test_it_is_sent_once_scored_and_in_the_ledger(place, standin, capsys, board):
    code, out, err = upload(capsys, "--yes", to=board)
    assert code == 0, err
    assert "score" in out
    mine = row()
    assert mine.state == "scored"
    assert float(mine.public) > 0.5
    assert mine.ref in out
    assert mine.sent
    assert mine.scored
    code, out, _ = upload(capsys, "--yes", to=board)
    assert code == 0
    assert "already sent" in out
    assert created(standin, board) == 1
    standin.score = "0.95"
    code, out, _ = upload(capsys, to=board)
    assert f"scored as {mine.ref}, score" in out
    assert upload(capsys, "--yes", "--force", to=board)[0] == 0
    assert created(standin, board) == 2
    assert [r.public for r in rows()] == [mine.public, "0.95"]


def test_a_forced_one_is_followed_without_force(place, standin, capsys):
    assert upload(capsys, "--yes")[0] == 0
    standin.polls = 10**6
    _, out, _ = upload(capsys, "--yes", "--force", "--wait", "0")
    assert "(without --force)" in out
    standin.polls, standin.score = 0, "0.95"
    assert upload(capsys, "--yes")[0] == 0
    assert created(standin, AICROWD) == 2
    assert [r.state for r in rows()] == ["scored", "scored"]


def test_what_failed_before_it_was_sent_leaves_no_row(place, standin, capsys, board):
    refused(upload(capsys, "--yes", to=board + "x"), "demo-challengex", status=2)
    assert rows() == []


def test_no_key_is_said_before_anything_is_sent(place, standin, capsys, board, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    code, out, _ = upload(capsys, to=board)
    assert code == 0
    assert "no key" in out
    refused(upload(capsys, "--yes", to=board), "key", "set ", status=4)
    assert created(standin, board) == 0


def test_a_low_score_names_the_inverted_file(place, standin, capsys, board):
    standin.score = "0.13"
    code, out, _ = upload(capsys, "--yes", to=board)
    assert code == 0
    assert f"upload submissions/demo/run --to {board} --invert --yes" in out
    assert created(standin, board) == 1


def test_auto_invert_sends_the_other_one(place, standin, capsys, board):
    standin.score = ["0.13", "0.87"]
    code, out, err = upload(capsys, "--yes", "--auto-invert", to=board)
    assert code == 0, err
    assert created(standin, board) == 2
    assert float(row().public) == 0.13
    assert float(row("submission_inverted.csv").public) == 0.87
    assert "+0.74 against the best before" in out


def test_no_answer_to_the_request_that_counts_is_looked_up(place, standin, capsys, board):
    standin.faults[CREATE[board]] = [NoAnswer()]
    code, out, err = upload(capsys, "--yes", to=board)
    assert created(standin, board) == 1
    if board == KAGGLE:  # it can be asked what it has
        assert code == 0, err
        assert "it did arrive" in out
        assert row().state == "scored"
        return
    refused((code, out, err), "no connection", "may count", "--force", status=9)
    assert row().state == "unknown"
    assert "unknown" in upload(capsys, to=board)[1]
    refused(upload(capsys, "--yes", to=board), "--force", status=9)
    assert created(standin, board) == 1
    assert upload(capsys, "--yes", "--force", to=board)[0] == 0


def test_a_submission_that_did_not_arrive_is_not_sent_again_by_itself(place, standin, capsys):
    standin.faults[CREATE[KAGGLE]] = [NoAnswer(recorded=False)]
    refused(upload(capsys, "--yes", to=KAGGLE), "it may count", status=9)
    refused(upload(capsys, "--yes", to=KAGGLE), "lists no such submission", "--force", status=9)
    assert created(standin, KAGGLE) == 1


REFUSALS = {
    "bad key": ([("GET", "/api/v1/api_user", Status(401))], 4, "copy it again"),
    "terms": (
        [("GET", "/api/v1/submissions", Status(401, {"message": "Please accept the terms"}))],
        4, "Please accept the terms",
    ),
    "unknown challenge": ([("GET", "/api/v1/submissions", Status(404))], 2, "last part of its"),
    "denied": (
        [("GET", "*/eligibility", Status(200, {
            "submissions_allowed": False, "denied_reason": "Register first"}))],
        4, "Register first",
    ),
    "daily limit": (
        [("GET", "*/eligibility", Status(200, {
            "submissions_allowed": False, "denied_reason": "Daily limit reached"}))],
        5, "Daily limit reached",
    ),
    "too many requests": (
        [("GET", "/api/v1/submissions", Status(429, headers={"Retry-After": "300"}))],
        5, "in 300 s",
    ),
    "a page": ([("GET", "/api/v1/submissions", Html())], 8, "as JSON"),
    "storage refuses": (
        [("POST", "/s3*", Status(400, "<Error><Code>EntityTooLarge</Code></Error>"))],
        6, "EntityTooLarge",
    ),
    "conflict": (
        [("POST", "/api/v1/submissions", Status(409, {"message": "Challenge is over"}))],
        6, "Challenge is over",
    ),
    "limit at the end": (
        [("POST", "/api/v1/submissions", Status(400, {"message": "submission limit reached"}))],
        5, "submission limit reached",
    ),
    "success false": (
        [("POST", "/api/v1/submissions", Status(200, {"success": False, "message": "No"}))],
        4, "No",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_aicrowd_refuses_is_one_sentence(place, standin, capsys, name):
    faults, status, words = REFUSALS[name]
    for method, path, fault in faults:
        standin.faults[method, path] = fault
    refused(upload(capsys, "--yes"), words, status=status)
    assert created(standin, AICROWD) == (1 if faults[0][0] == "POST" and "s3" not in faults[0][1]
                                         else 0)  # fmt: skip


def test_what_passes_before_the_request_that_counts_is_repeated(place, standin, capsys):
    standin.faults["GET", "/api/v1/submissions"] = [Status(503), Status(500)]
    standin.faults["POST", "/s3*"] = [Status(503)]
    code, _, err = upload(capsys, "--yes")
    assert code == 0, err
    assert created(standin, AICROWD) == 1


def test_a_server_error_to_the_request_that_counts_is_not_repeated(place, standin, capsys, board):
    standin.faults[CREATE[board]] = Status(503)
    code, _, err = upload(capsys, "--yes", to=board)
    assert code == 9, err
    assert created(standin, board) == 1


def test_what_the_grader_rejects_is_said_and_kept(place, standin, capsys, board):
    standin.score_error = "Submission must have 10 rows"
    refused(upload(capsys, "--yes", to=board), "Submission must have 10 rows", status=6)
    assert row().state == "failed"


def test_a_score_that_does_not_come_is_followed_later(place, standin, capsys, board):
    standin.polls = 10**6
    code, out, _ = upload(capsys, "--yes", "--wait", "0.001", to=board)
    assert code == 0
    assert "not scored yet" in out
    assert row().state == "sent"
    standin.polls = 0
    code, out, _ = upload(capsys, "--yes", to=board)
    assert code == 0
    assert row().state == "scored"
    assert created(standin, board) == 1


def in_the_environment(home, monkeypatch):
    """As the fixture has it."""


def in_files(home, monkeypatch):
    """Where the services' own tools write them."""
    for name in KEYS:
        monkeypatch.delenv(name)
    (home / ".config/aicrowd-cli").mkdir(parents=True)
    (home / ".config/aicrowd-cli/config.toml").write_text(f'aicrowd_api_key = "{AICROWD_KEY}"\n')
    (home / ".kaggle").mkdir()
    (home / ".kaggle/access_token").write_text(KAGGLE_TOKEN)


def in_kaggle_json(home, monkeypatch):
    """The older kind of key, a pair; and AIcrowd's still in the environment."""
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (home / ".kaggle").mkdir()
    pair = {"username": KAGGLE_USER, "key": KAGGLE_KEY}
    (home / ".kaggle/kaggle.json").write_text(json.dumps(pair))


@pytest.mark.parametrize("plant", [in_the_environment, in_files, in_kaggle_json])
def test_a_key_never_gets_out(place, standin, capsys, board, monkeypatch, plant):
    """Planted in every place, looked for in everything that was written."""
    secrets = (AICROWD_KEY, KAGGLE_TOKEN, KAGGLE_KEY)
    home = Path(os.environ["HOME"])
    plant(home, monkeypatch)
    standin.faults[CREATE[board]] = [Status(500, " ".join(("echo", *secrets)))]
    monkeypatch.setenv("VERBOSE", "1")
    told = [upload(capsys, to=board), upload(capsys, "--yes", to=board)]
    told += [upload(capsys, "--yes", "--force", to=board)]
    assert [t[0] for t in told] == [0, 9, 0]
    mine = [home / ".config/aicrowd-cli/config.toml", home / ".kaggle/access_token"]
    mine += [home / ".kaggle/kaggle.json"]
    for secret in secrets:
        assert not [t for t in told if secret in t[1] + t[2]]
        for path in (*place.rglob("*"), *home.rglob("*")):
            if path.is_file() and path not in mine:
                assert secret.encode() not in path.read_bytes(), path


@contextmanager
def at_work(place, board):
    """An upload in a process of its own, killed in the end."""
    command = [sys.executable, "-m", "imclust", "upload", "submissions/demo/run", "--to", board]
    child = subprocess.Popen(
        [*command, "--yes", *FAST],
        env=environment(),
        cwd=place,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where the suite itself runs in the background, Ctrl-C would be inherited as ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def wait_until(happened, child):
    while not happened():
        assert child.poll() is None
        time.sleep(0.02)


def test_the_argument_list_never_has_a_key(place, standin, board):
    """Every process of an upload, while it waits for an assignment."""
    standin.faults[CREATE[board]] = [Stall(1.5)]
    seen = 0
    with at_work(place, board) as child:
        while child.poll() is None:
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    line = Path("/proc", entry, "cmdline").read_bytes()
                except OSError:
                    continue
                seen += b"imclust" in line
                assert AICROWD_KEY.encode() not in line
                assert KAGGLE_TOKEN.encode() not in line
            time.sleep(0.05)
        assert child.returncode == 0
    assert seen


def test_ctrl_c_while_it_waits_and_the_same_command_goes_on(place, standin, capsys):
    standin.polls = 10**6
    with at_work(place, AICROWD) as child:
        wait_until(lambda: len(standin.asked("GET", "/api/v1/submissions/*")) >= 3, child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        assert child.returncode == 130
    assert "goes on" in out + err
    assert row().state == "sent"
    standin.polls = 0
    assert upload(capsys, "--yes")[0] == 0
    assert created(standin, AICROWD) == 1


def test_kill_between_the_request_and_its_answer(place, standin, capsys):
    standin.faults[CREATE[KAGGLE]] = [Stall(30)]
    with at_work(place, KAGGLE) as child:
        wait_until(lambda: created(standin, KAGGLE), child)
    assert row().state == "sending"
    refused(upload(capsys, "--yes", to=KAGGLE), "lists no such", status=9)
    assert created(standin, KAGGLE) == 1


def test_two_uploads_to_one_challenge_take_turns(place, standin, capsys):
    standin.polls = 10**6
    with at_work(place, AICROWD) as child:
        wait_until(lambda: created(standin, AICROWD), child)
        refused(upload(capsys, "--yes", "--invert"), "one run at a time")


def test_a_file_made_elsewhere_is_checked_and_sent(place, standin, capsys):
    good = (place / "submissions/demo/run/submission.csv").read_bytes()
    (place / "mine.csv").write_bytes(good.replace(b"\n", b"\r\n"))
    refused(upload(capsys, what="mine.csv"), "--index")
    more = ("--index", "raw/index")
    (place / "short.csv").write_bytes(good[:100])
    refused(upload(capsys, *more, "--yes", what="short.csv"), "must fit", "missing", status=6)
    code, out, err = upload(capsys, *more, "--yes", what="mine.csv")
    assert code == 0, err
    assert "score" in out
    assert row("mine.csv").state == "scored"


def test_a_file_changed_since_it_was_written_is_refused(place, capsys):
    path = place / "submissions/demo/run/submission.csv"
    path.write_bytes(path.read_bytes().replace(b"0,1", b"0,0", 1) + b"\n")
    refused(upload(capsys), "as `submit` wrote it", "submit --force")


def test_a_challenge_without_a_board_wants_one(place, capsys):
    code = main(["upload", "submissions/demo/run"])
    refused((code, "", capsys.readouterr().err), "SERVICE:CHALLENGE", "--to")


def test_the_leaderboard_shows_what_was_sent(place, standin, capsys):
    standin.score = ["0.13", "0.87"]
    upload(capsys, "--yes", "--auto-invert")
    assert main(["leaderboard"]) == 0
    out = capsys.readouterr().out
    assert out.index("0.8700") < out.index("0.1300")
    assert "python -m imclust reproduce submissions/demo/run" in out
    with open("submissions/leaderboard.csv", newline="") as f:
        assert float(next(csv.DictReader(f))["public"]) == 0.87
