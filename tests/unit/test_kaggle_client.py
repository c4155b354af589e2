"""Kaggle's client against the stand-in, through Kaggle's own package: every fault by its kind."""

import json

import pytest

from helpers import failed, zipped
from imclust.competitions.clients.kaggle import Kaggle
from imclust.competitions.downloads import Expected
from standin import (
    EXPIRED,
    KAGGLE_KEY,
    KAGGLE_TOKEN,
    KAGGLE_USER,
    Cut,
    Html,
    NoAnswer,
    Stall,
    Status,
)  # fmt: skip

pytest.importorskip("kaggle")
RULES = "https://www.kaggle.com/competitions/demo-challenge/rules"


@pytest.fixture
def kaggle(standin, tmp_path, monkeypatch):
    standin.use(monkeypatch, tmp_path, KAGGLE_API_TOKEN=KAGGLE_TOKEN)
    monkeypatch.setattr(Kaggle, "waits", ())
    monkeypatch.setattr(Kaggle, "timeout", (2, 2))
    return Kaggle("demo-challenge")


@pytest.fixture
def submission(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("id,label\n0,1\n")
    return path


def test_files_come_from_every_page(kaggle, standin):
    standin.files |= {f"f{i}.csv": b"1" for i in range(250)} | {"deep/f1.csv": b"22"}
    files = kaggle.list_files()
    assert len(files) == 253
    assert len(standin.asked(path="*/ListDataFiles")) == 2
    assert [(f.name, f.size, f.url) for f in files][-1] == ("deep__f1.csv", 2, "deep/f1.csv")


def test_account_by_either_key(kaggle, monkeypatch):
    assert kaggle.account() == KAGGLE_USER
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", KAGGLE_USER)
    monkeypatch.setenv("KAGGLE_KEY", KAGGLE_KEY)
    assert kaggle.account() == KAGGLE_USER
    assert kaggle.list_files()


def test_a_link_that_runs_out_is_renewed(kaggle, standin, tmp_path):
    standin.link_uses = 1
    standin.faults["GET", "/gcs/images.npy"] = [Cut(9000), EXPIRED]
    kaggle.download(kaggle.list_files()[0], tmp_path / "images.npy", Expected())
    assert (tmp_path / "images.npy").read_bytes() == standin.files["images.npy"]
    assert len(standin.asked(path="*/DownloadDataFile")) == 3
    assert all("Authorization" not in r.headers for r in standin.asked(path="/gcs/*"))


def test_many_files_come_as_one_archive(kaggle, standin, tmp_path):
    assert [f.name for f in kaggle.everything()] == ["images.npy", "sample_submission.csv"]
    standin.files |= {f"train/{i}.png": b"1" for i in range(30)}
    standin.files["demo-challenge.zip"] = zipped({"a": b"1"})
    [whole] = kaggle.everything()
    kaggle.download(whole, tmp_path / whole.name, Expected())
    assert (tmp_path / "demo-challenge.zip").read_bytes() == standin.files["demo-challenge.zip"]


def test_a_table_that_comes_zipped_is_unpacked(kaggle, standin, tmp_path):
    standin.files = {"train.csv": b"id\n1\n", "train.csv.zip": zipped({"train.csv": b"id\n1\n"})}
    link = {"Location": standin.link(Plain, "storage.googleapis.com", "/gcs/train.csv.zip?X=1")}
    standin.faults["POST", "*/DownloadDataFile"] = Status(302, headers=link)
    file = kaggle.list_files()[0]
    for _ in range(2):
        kaggle.download(file, tmp_path / "in/train.csv", Expected(size=file.size))
    assert (tmp_path / "in/train.csv").read_bytes() == b"id\n1\n"
    assert not list((tmp_path / "in").glob("*.zip"))
    assert len(standin.asked(path="*/DownloadDataFile")) == 1


class Plain:
    """A request that came through the proxy, as far as links go."""

    via = "connect"


def test_submitted_and_followed(kaggle, standin, submission):
    seen = []
    ref = kaggle.submit(submission, "mine", lambda: seen.extend(r.path for r in standin.journal))
    assert standin.submissions[0]["file"] == submission.read_bytes()
    assert not [path for path in seen if path.endswith("CreateSubmission")]
    assert [path for path in seen if path.startswith("/gcs/upload")]
    assert kaggle.status(ref).state == "pending"
    scored = kaggle.status(ref)
    assert (scored.state, scored.public, scored.private, scored.rank) == ("scored", 0.91, None, 2)
    [standing] = kaggle.recent()
    assert (standing.ref, standing.description) == (ref, "mine")


def test_an_unlisted_submission_is_pending(kaggle):
    assert kaggle.status("1").state == "pending"


def test_score_error(kaggle, standin, submission):
    standin.score_error, standin.polls = "Submission must have 10 rows", 0
    standing = kaggle.status(kaggle.submit(submission, "", lambda: None))
    assert (standing.state, standing.message) == ("failed", "Submission must have 10 rows")


def test_allowance(kaggle, standin):
    standin.allowed = 2
    assert kaggle.allowance().left == 2
    standin.faults["POST", "*/GetSubmissionLimits"] = Status(200, {})
    assert kaggle.allowance().left is None


def test_no_key(kaggle, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert kaggle.credentials() == ""
    with failed("no-credentials", 4, "KAGGLE_API_TOKEN", "kaggle.com/settings"):
        kaggle.list_files()


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({"KAGGLE_API_TOKEN": "KGAT_another"}, "KAGGLE_API_TOKEN"),
        ({"KAGGLE_USERNAME": "alice", "KAGGLE_KEY": "another"}, "KAGGLE_USERNAME and KAGGLE_KEY"),
    ],
)
def test_a_key_that_is_not_known(kaggle, monkeypatch, variables, source):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert kaggle.credentials() == source
    with failed("bad-credentials", 4, source):
        kaggle.list_files()


def test_keys_in_files(kaggle, monkeypatch, tmp_path):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    folder = tmp_path / "home" / ".kaggle"
    folder.mkdir()
    (folder / "kaggle.json").write_text(json.dumps({"username": "alice", "key": KAGGLE_KEY}))
    assert kaggle.credentials() == str(folder / "kaggle.json")
    (folder / "access_token").write_text(KAGGLE_TOKEN)
    assert kaggle.credentials() == str(folder / "access_token")


@pytest.mark.parametrize(
    ("fault", "kind", "status", "words"),
    [
        (Status(401, {"code": 401, "message": "Unauthenticated"}), "bad-credentials", 4, "token"),
        (Status(403, {"code": 403, "message": "You must accept"}), "not-allowed", 4, RULES),
        (Status(404, {"code": 404, "message": "Not found"}), "not-found", 2, "demo-challenge"),
        (Status(429, {"code": 429, "message": "Slow"}, {"Retry-After": "30"}), "limit", 5, "30 s"),
        (Status(500, "<html>oops</html>"), "server", 7, "theirs"),
        (Status(503, {"code": 503, "message": "Busy"}), "server", 7, "theirs"),
        (Html(), "wrong-content", 8, "format"),
        (NoAnswer(), "network", 7, "network"),
        (Stall(20), "timeout", 7, "no answer in time"),
    ],
)
def test_what_a_listing_may_answer(kaggle, standin, fault, kind, status, words):
    standin.faults["POST", "*/ListDataFiles"] = fault
    with failed(kind, status, words):
        kaggle.list_files()


def test_questions_are_repeated(kaggle, standin, monkeypatch):
    monkeypatch.setattr(Kaggle, "waits", (0, 0))
    standin.faults["POST", "*/ListDataFiles"] = [Status(503), NoAnswer()]
    assert kaggle.list_files()


def test_a_call_that_never_ends(kaggle, standin, monkeypatch):
    monkeypatch.setattr(Kaggle, "timeout", (60, 60))
    monkeypatch.setattr(Kaggle, "deadline", 1.5)
    standin.faults["POST", "*/ListDataFiles"] = Stall(60)
    with failed("timeout", 7, "none within 2 s"):
        kaggle.list_files()


@pytest.mark.parametrize(
    ("fault", "kind", "status", "words"),
    [
        (Status(400, "<Error><Code>EntityTooLarge</Code></Error>"), "rejected-file", 6,
         "status 400 EntityTooLarge"),
        (EXPIRED, "rejected-file", 6, "status 403 ExpiredToken"),
        (Status(503), "server", 7, "status 503"),
        (NoAnswer(), "network", 7, "network"),
    ],
)  # fmt: skip
def test_the_storage_does_not_take_it(kaggle, standin, submission, fault, kind, status, words):
    standin.faults["PUT", "*"] = fault
    with failed(kind, status, words):
        kaggle.submit(submission, "mine", lambda: pytest.fail("not stored"))
    assert not standin.asked(path="*/CreateSubmission")


@pytest.mark.parametrize(
    ("fault", "kind", "status", "words"),
    [
        (NoAnswer(), "unknown-state", 9, "it may count"),
        (NoAnswer(recorded=False), "unknown-state", 9, "it may count"),
        (Stall(20), "unknown-state", 9, "it may count"),
        (Status(500), "unknown-state", 9, "status 500"),
        (Html(), "unknown-state", 9, "it may count"),
        (Status(200, {"message": "Successfully submitted"}), "rejected-file", 6, "Successfully"),
        (Status(200, {"message": "Daily limit reached"}), "limit", 5, "limit reached"),
        (Status(409, {"code": 409, "message": "Conflict"}), "rejected-file", 6, "Conflict"),
        (Status(403, {"code": 403, "message": "Rules"}), "not-allowed", 4, RULES),
    ],
)
def test_create_is_asked_once(kaggle, standin, submission, monkeypatch, fault, kind, status, words):
    monkeypatch.setattr(Kaggle, "waits", (0, 0))
    standin.faults["POST", "*/CreateSubmission"] = fault
    with failed(kind, status, words):
        kaggle.submit(submission, "mine", lambda: None)
    assert len(standin.asked(path="*/CreateSubmission")) == 1


def test_no_more_today(kaggle, standin, submission):
    standin.allowed = 0
    assert kaggle.allowance().left == 0
    with failed("limit", 5, "daily submission allowance"):
        kaggle.submit(submission, "mine", lambda: None)


def test_rules_not_accepted(kaggle, standin, tmp_path):
    standin.rules_accepted = False
    with failed("not-allowed", 4, "accept this competition's rules", RULES):
        kaggle.download(kaggle.list_files()[0], tmp_path / "images.npy", Expected())


def test_the_key_is_in_no_output(kaggle, monkeypatch, capfd):
    monkeypatch.setenv("VERBOSE", "1")
    kaggle.list_files()
    assert KAGGLE_TOKEN not in "".join(capfd.readouterr())
