import pytest

from imclust.competitions.clients._base import SubmissionStatus
from imclust.competitions.ledger import Row, read, record
from imclust.core.errors import InputError, ServiceError
from imclust.core.records import read_csv
from imclust.stages import leaderboard
from imclust.stages.leaderboard import Leaderboard, run


def row(n, **values):
    given = {"challenge": "photos", "run": f"run{n}", "submission": f"photos/run{n}"}
    given |= {"file": "submission.csv", "sha256": f"{n:064x}", "written": f"2026-01-0{n}T00:00:00Z"}
    return Row(**given | values)


class Service:
    """Answers by number, and fails for what it does not know."""

    asked: list[str]

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def status(self, ref):
        self.asked.append(ref)
        if ref not in self.answers:
            raise ServiceError("server", "Kaggle must answer; got status 503; try again later.")
        return SubmissionStatus(ref, **self.answers[ref])


@pytest.fixture
def log(tmp_path):
    return tmp_path / "submissions" / "log.csv"


@pytest.fixture
def services(monkeypatch):
    def install(**by_name):
        made = {name: Service(answers) for name, answers in by_name.items()}
        connect = lambda board: made[board.partition(":")[0]]  # noqa: E731
        monkeypatch.setattr(leaderboard, "connect", connect)
        return made

    return install


def test_best_first_with_gain_and_the_command(log, capsys):
    record(log, row(1, board="kaggle:x", state="scored", public="0.5", sent="1", rank="9"))
    record(log, row(2, board="kaggle:x", state="scored", public="0.75", sent="2"))
    record(log, row(3, validation="0.99"))
    run(Leaderboard(log=log))
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["1", "run2"], ["2", "run1"]]
    assert "+0.2500" in lines[2]
    assert "by its public score 0.7500" in shown
    assert shown.count("python -m imclust reproduce") == 2
    assert "photos/run2" in shown
    table = read_csv(log.with_name("leaderboard.csv"))
    assert [(r["place"], r["run"], r["gain"]) for r in table] == [
        ("1", "run2", "0.25"), ("2", "run1", ""), ("1", "run3", "")
    ]  # fmt: skip


def test_a_file_made_elsewhere_has_no_command(log, capsys):
    record(log, row(1, submission="", run=""))
    run(Leaderboard(log=log))
    assert "made elsewhere" in capsys.readouterr().out


def test_an_empty_log_is_one_sentence_and_an_unknown_challenge_a_refusal(log, capsys):
    run(Leaderboard(log=log, challenge="photos"))
    assert capsys.readouterr().out.count("\n") == 1
    record(log, row(1))
    with pytest.raises(InputError, match="one of photos; got digits"):
        run(Leaderboard(log=log, challenge="digits"))


def test_refresh_asks_for_what_is_missing_and_goes_on_after_a_failure(log, services, capsys):
    record(log, row(1, board="kaggle:x", state="sent", ref="1"))
    record(log, row(2, board="kaggle:x", state="sent", ref="2"))
    record(log, row(3, board="aicrowd:y", state="sent", ref="3"))
    record(
        log, row(4, board="aicrowd:y", state="scored", ref="4", public="1", private="1", rank="1")
    )
    record(log, row(5, board="aicrowd:y", state="scored", ref="5", public="0.5", scored="then"))
    record(log, row(6))
    scored = {"state": "scored", "public": 0.9, "private": 0.8, "rank": 7, "message": "fine"}
    made = services(kaggle={}, aicrowd={"3": scored, "5": {"state": "pending"}})
    run(Leaderboard(log=log, refresh=True))
    said = capsys.readouterr().out
    assert made["kaggle"].asked == ["1"]
    assert made["aicrowd"].asked == ["3", "5"]
    assert "kaggle:x was not asked further: Kaggle must answer" in said
    rows = {r.run: r for r in read(log)}
    assert (rows["run3"].public, rows["run3"].private, rows["run3"].rank) == ("0.9", "0.8", "7")
    assert rows["run3"].scored
    assert rows["run1"].state == "sent"
    assert (rows["run5"].state, rows["run5"].public, rows["run5"].scored) == (
        "scored",
        "0.5",
        "then",
    )
