import csv
import hashlib
import json
import multiprocessing
import os
import signal

import pytest

from imclust.competitions import ledger
from imclust.competitions.ledger import (
    COLUMNS,
    Row,
    begin,
    best,
    change,
    folder_of,
    gains,
    read,
    record,
    sendings,
)
from imclust.competitions.ledger_rows import method_words, place_of, rows_of, which_fits
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError

SHA = "0123456789abcdef" * 4


def row(n=0, **values):
    given = {"challenge": "photos", "run": f"run{n}", "file": "submission.csv"}
    return Row(**given | {"sha256": f"{n:064x}", "written": f"2026-01-0{n + 1}"} | values)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "submissions" / "log.csv"


def test_a_row_is_inserted_once_and_then_brought_up_to_date(log):
    assert read(log) == []
    record(log, row(git="a", validation="0.9"))
    assert record(log, row(git="b")).validation == "0.9"
    record(log, row(1))
    assert [(r.run, r.git, r.validation) for r in read(log)] == [
        ("run0", "b", "0.9"),
        ("run1", "", ""),
    ]
    with log.open(newline="") as f:
        assert tuple(next(csv.reader(f))) == COLUMNS


def test_a_board_takes_the_place_of_none_and_writing_again_takes_nothing_back(log):
    record(log, row())
    sent = record(log, row(board="kaggle:x", state="sent", ref="7"))
    assert [r.key for r in read(log)] == [sent.key]
    record(log, row(git="later"))
    assert [(r.state, r.board, r.ref, r.git) for r in read(log)] == [
        ("sent", "kaggle:x", "7", "later")
    ]
    record(log, row(board="aicrowd:y", state="sent"))
    assert [r.board for r in read(log)] == ["kaggle:x", "aicrowd:y"]


def test_another_run_of_the_same_bytes_does_not_inherit_scores(log):
    record(log, row(config="a", validation="0.9"))
    assert record(log, row(config="b")).validation == ""


def test_change_sets_also_to_nothing_and_knows_its_row(log):
    key = record(log, row(ref="7")).key
    assert change(log, key, ref="", state="scored", public="0.5").public == "0.5"
    assert read(log)[0].ref == ""
    with pytest.raises(InputError, match="record it first"):
        change(log, ("photos", "", "submission.csv", SHA, "", ""), ref="8")


def test_words_of_a_grader_stay_one_line_and_keep_no_key(log):
    words = 'said "no", then\nAuthorization: Token s3cret'
    record(log, row(message=words))
    assert read(log)[0].message == 'said "no", then Authorization: Token ***'
    assert "s3cret" not in log.read_text()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda s: s[:-20], "cut off"),
        (lambda s: "", "empty file"),
        (lambda s: s.replace("challenge,", "contest,"), "other columns"),
        (lambda s: s + "one,two\n", "2 values in row 3"),
        (lambda s: s.replace(f"{0:064x}", "abc"), "sha256 'abc' in row 2"),
        (lambda s: s.replace("written,", "done,"), "other columns"),
        (lambda s: s.replace(",0.5,", ",half,"), "validation 'half' in row 2"),
        (lambda s: s + s.splitlines()[1] + "\n", "twice"),
        (lambda s: s + '"', "cut off"),
        (lambda s: s + '"open\n', "cannot be read"),
    ],
)
def test_a_damaged_log_is_refused_and_left_alone(log, damage, words):
    record(log, row(validation="0.5"))
    text = damage(log.read_text())
    log.write_text(text)
    for act in (read, lambda p: record(p, row(1))):
        with pytest.raises(InputError, match=words):
            act(log)
    assert log.read_text() == text


def test_bytes_that_are_no_text_are_refused(log):
    record(log, row())
    log.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        read(log)


def test_what_a_spreadsheet_saves_is_still_read(log):
    record(log, row())
    before = read(log)
    log.write_bytes(b"\xef\xbb\xbf" + log.read_bytes().replace(b"\n", b"\r\n"))
    assert read(log) == before


def add_many(path, start):
    for n in range(25):
        record(path, row(start + n, written=""))


def test_two_processes_at_once_lose_nothing(log):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=add_many, args=(log, 100 * i)) for i in range(2)]
    for p in both:
        p.start()
    for p in both:
        p.join()
    assert len(read(log)) == 50


def die_before_the_rename(path):
    def kill(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    ledger.os.replace = kill
    record(path, row(1))


def test_a_kill_between_write_and_rename_leaves_the_old_rows_and_no_lock(log):
    record(log, row())
    before = log.read_bytes()
    child = multiprocessing.get_context("spawn").Process(target=die_before_the_rename, args=(log,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert log.read_bytes() == before
    record(log, row(2))
    assert [r.run for r in read(log)] == ["run0", "run2"]


def test_best_first_by_the_hardest_evidence():
    rows = [
        row(0, label_free="0.99"),
        row(1, validation="0.8"),
        row(2, validation="0.9", label_free="0.1"),
        row(3, public="0.4"),
        row(4, public="0.6", private="0.2"),
    ]
    assert [r.run for r in best(rows)] == ["run4", "run3", "run2", "run1", "run0"]


def test_gain_is_over_the_best_before_it_on_its_own_board():
    rows = [
        row(0, board="kaggle:x", public="0.5", sent="2026-01-02"),
        row(1, board="kaggle:x", public="0.7", sent="2026-01-03"),
        row(2, board="kaggle:x", public="0.6", sent="2026-01-04"),
        row(3, board="kaggle:x", public="0.1", sent="2026-01-01"),
        row(4, board="kaggle:y", public="0.9", sent="2026-01-05"),
        row(5, validation="0.9"),
    ]
    assert gains(rows) == {rows[0].key: 0.4, rows[1].key: 0.2, rows[2].key: -0.1}


def test_a_folder_is_named_from_the_log_and_survives_a_move_of_both(tmp_path):
    log = tmp_path / "a" / "submissions" / "log.csv"
    inside, beside = log.parent / "photos" / "run", tmp_path / "a" / "my" / "submission"
    assert place_of(inside, log) == "photos/run"
    assert place_of(beside, log) == "../my/submission"
    assert place_of(tmp_path / "b", log) == str(tmp_path / "b")
    assert folder_of(Row("photos", submission="../my/submission"), log) == beside


CODE = ("checks",)


def artefact(folder, kind, facts=None, **inputs):
    def write(at):
        for name, text in (facts or {}).pop("files", {}).items():
            (at / name).write_text(text)
        return facts or {}

    make_artifact(folder, ArtifactSpec(kind, {}, inputs, CODE), write)
    return folder


def made(tmp_path, scores, mapping=None, **assigned):
    """A submission of two files with scores of it: (submission, scores)."""
    index = artefact(tmp_path / "index", "index", {"challenge": "photos"})
    assigned |= {"n_clusters": 2}
    clusters = artefact(tmp_path / "clusters", "assignment", assigned, index=index)
    files = {"submission.csv": "a\n", "submission_inverted.csv": "b\n"}
    inputs = {"assignment": clusters, "index": index}
    home = tmp_path / "submissions" / "photos" / "one"
    facts = {"files": files, "labels": ["0", "1"]}
    facts["orientation"] = {"mapping": mapping} if mapping else None
    submission = artefact(home, "submission", facts, **inputs)
    files = {"scores.json": json.dumps(scores)}
    return submission, artefact(tmp_path / "scores", "scores", {"files": files}, **inputs)


FREE = {"sizes": [2, 2], "stability": 0.75}
TRAIN = {"n": 4, "hungarian": 0.625, "counts": {"warm": [2, 0], "cold": [1, 1]}}
VAL = {"n": 8, "accuracy": 0.75, "counts": {"0": [1, 3], "1": [3, 1]}}


@pytest.mark.parametrize(
    ("scores", "assigned", "free", "validation"),
    [
        # Each of the twins in its own orientation, which known labels may have turned.
        ({"val_through": VAL, "train": TRAIN}, {}, "0.75", ("0.25", "0.75")),
        ({"val_through": VAL, "train": None}, {"mapping": [1, 0]}, "0.75", ("0.75", "0.25")),
        # Labels by other names than the submission's: the grouping's accuracy for both.
        ({"val_through": None, "train": TRAIN}, {"stability": 0.5}, "0.5", ("0.625", "0.625")),
        (
            {"val_through": None, "train": TRAIN},
            {"estimated_accuracy": 0.875},
            "0.875",
            ("0.625", "0.625"),
        ),
        ({"val_through": None, "train": TRAIN | {"n": 3}}, {}, "0.75", ("", "")),
        ({"val_through": None, "train": None}, {}, "0.75", ("", "")),
    ],
)
def test_rows_of_a_submission(tmp_path, log, scores, assigned, free, validation):
    submission, scored = made(tmp_path, scores | {"label_free": FREE}, **assigned)
    one, two = rows_of(submission, log, scored)
    assert (one.file, two.file) == ("submission.csv", "submission_inverted.csv")
    assert one.sha256 == hashlib.sha256(b"a\n").hexdigest()
    assert (one.challenge, one.run, one.submission, one.track) == (
        "photos", "one", "photos/one", "scratch"
    )  # fmt: skip
    assert {(r.label_free, len(r.config), r.k) for r in (one, two)} == {(free, 16, "2")}
    assert (one.validation, two.validation) == validation


def test_the_best_of_twins_is_the_one_that_fits(tmp_path, log):
    submission, scored = made(tmp_path, {"val_through": VAL, "train": None, "label_free": FREE})
    rows = rows_of(submission, log, scored)
    assert ledger.best(rows)[0].file == "submission_inverted.csv"
    assert which_fits({r.file: float(r.validation) for r in rows}) == (
        "submission_inverted.csv fits valY: accuracy 0.7500 (submission.csv: 0.2500)"
    )
    assert which_fits({"a": 0.5, "b": 0.5}) == which_fits({}) == ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("cluster --features a b --out c --split train auto --budget 60s", "auto --budget 60s"),
        (
            "cluster --features a --proportions uniform --seed 1 kmeans",
            "kmeans --proportions uniform",
        ),
        (
            "train --index i --out w timm --pool mean_std --layers 4",
            "timm --pool mean_std --layers 4",
        ),
    ],
)
def test_a_row_tells_methods_and_flags(argv, words):
    doc = {"argv": argv.split(), "config": {"method": words.split()[0]}}
    assert method_words(doc) == words


def test_rows_without_scores_and_with_those_of_another_assignment(tmp_path, log):
    submission, _ = made(tmp_path, {})
    assert rows_of(submission, log)[0].validation == ""
    other = artefact(tmp_path / "other", "assignment", {"files": {"x": "y"}})
    scores = artefact(tmp_path / "theirs", "scores", assignment=other)
    with pytest.raises(InputError, match="another assignment"):
        rows_of(submission, log, scores)


def test_a_value_that_no_reader_takes_is_never_written(log):
    key = record(log, row()).key
    for values in ({"public": "nan"}, {"state": "done"}):
        with pytest.raises(InputError, match="as the ledger has it"):
            change(log, key, **values)
    assert ledger.as_text(float("nan")) == ledger.as_text(None) == ""
    assert len(read(log)) == 1


def test_every_sending_keeps_its_row(log):
    record(log, row())
    first = begin(log, row(board="kaggle:x"), "1")
    assert [r.key for r in read(log)] == [first.key]  # in the place of the written one
    change(log, first.key, state="scored", ref="7", public="0.4")
    second = begin(log, row(board="kaggle:x"), "2")
    change(log, second.key, state="unknown")
    record(log, row(git="later"))
    assert [(r.sent, r.state, r.public) for r in sendings(log, "kaggle:x", first.sha256)] == [
        ("1", "scored", "0.4"),
        ("2", "unknown", ""),
    ]
    assert sendings(log, "kaggle:y", first.sha256) == []
    assert sendings(log, "kaggle:x", "1" * 64) == []


def test_the_same_bytes_of_two_runs_are_two_rows(log):
    record(log, row(run="a", submission="photos/a"))
    record(log, row(run="b", submission="photos/b"))
    assert [r.run for r in read(log)] == ["a", "b"]
