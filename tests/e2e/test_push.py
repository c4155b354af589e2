"""A package's notebook sent to a code competition, each step once, whatever happens on the way."""

import io
import json
import subprocess
import zipfile

import pytest

from helpers import imclust_in, make_arrays
from imclust.__main__ import main
from imclust.competitions import ledger
from imclust.competitions.handover.kernel import content_digest
from imclust.core.manifest import file_sums
from standin import KAGGLE_TOKEN, Html, NoAnswer, Status

pytest.importorskip("kaggle")
STAGES = (
    "download --out data/raw arrays --data-dir tiny",
    "train --index data/raw/index --out data/w pixels",
    "encode --index data/raw/index --weights data/w --out data/z",
    "cluster --features data/z --index data/raw/index --out data/a kmeans",
    "submit --assignment data/a --index data/raw/index --out submissions/s/one",
    "package submissions/s/one --kernel --to kaggle:demo-challenge --owner alice --no-wheels "
    "--out made",
)
SAVE, SUBMIT, DATASET = (
    ("POST", f"*/{call}") for call in ("SaveKernel", "CreateCodeSubmission", "CreateDataset")
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    top = tmp_path_factory.mktemp("made")
    make_arrays(top / "tiny")
    for line in STAGES:
        status, _, err = imclust_in(top, *line.split())
        assert status == 0, err
    return top


@pytest.fixture
def place(made, tmp_path, standin, monkeypatch):
    """A copy of it, with Kaggle at hand and a key in the environment."""
    top = tmp_path / "place"
    subprocess.run(["cp", "-r", made, top], check=True)
    standin.use(monkeypatch, tmp_path, KAGGLE_API_TOKEN=KAGGLE_TOKEN)
    standin.polls, standin.run_states = 0, ["COMPLETE"]
    monkeypatch.chdir(top)
    return top


def push(capsys, *more):
    code = main(["push", "made", "--poll", "0.01", *more])
    out, err = capsys.readouterr()
    return code, out, err


def sent():
    return [r for r in ledger.read(ledger.LOG) if r.board]


def counts(standin):
    calls = (DATASET, ("POST", "*/CreateDatasetVersion"), SAVE, SUBMIT)
    return tuple(len(standin.asked(*call)) for call in calls)


def test_nothing_is_sent_without_yes(place, standin, capsys):
    code, out, err = push(capsys)
    assert code == 0, err
    assert "private, without internet; it writes submission.csv" in out
    assert "add --yes" in out
    assert counts(standin) == (0, 0, 0, 0)
    assert sent() == []


def test_from_a_package_to_its_score_and_again_nothing(place, standin, capsys):
    standin.polls, standin.run_states = 1, ["QUEUED", "RUNNING", "COMPLETE"]
    code, out, err = push(capsys, "--yes")
    assert code == 0, err
    assert "complete" in out
    assert "score   0.91" in out
    (row,) = sent()
    assert (row.state, row.public, row.file) == ("scored", "0.91", "run.ipynb")
    assert row.submission == "s/one"
    assert row.sha256 == file_sums(place / "made" / "kernel")["run.ipynb"][1]
    (notebook,) = standin.notebooks.values()
    assert notebook["internet"] is False
    ((ref, dataset),) = standin.remote_datasets.items()
    assert notebook["sources"] == [ref]
    archive = zipfile.ZipFile(io.BytesIO(dataset["files"]["src.zip"]))
    assert "imclust/competitions/handover/hidden.py" in archive.namelist()
    assert len(dataset["files"]) == len(list((place / "made" / "model").iterdir())) - 1
    (made,) = standin.submissions
    assert "[imclust " in made["description"]
    assert made["file"].decode() == notebook["texts"][0]

    assert push(capsys, "--yes")[0] == 0
    assert counts(standin) == (1, 0, 1, 1)
    assert len(sent()) == 1


def test_another_machine_goes_on_where_kaggle_stands(place, standin, capsys):
    assert push(capsys, "--yes")[0] == 0
    ledger.LOG.unlink()
    code, _, err = push(capsys, "--yes")
    assert code == 0, err
    assert counts(standin)[:3] == (1, 0, 1)


def test_new_content_is_a_new_version_of_both(place, standin, capsys):
    assert push(capsys, "--yes")[0] == 0
    (place / "made").rename(place / "old")
    line = STAGES[-1].replace("--out made", "--mode predict --out made")
    assert main(line.split()) == 0
    code, out, err = push(capsys, "--yes")
    assert code == 0, err
    assert "saved as version 2" in out
    assert counts(standin) == (1, 1, 2, 2)
    assert len(sent()) == 2
    assert next(iter(standin.remote_datasets.values()))["version"] == 2


@pytest.mark.parametrize("call", [DATASET, SAVE, SUBMIT], ids=lambda c: c[1][2:])
@pytest.mark.parametrize("recorded", [True, False])
def test_an_answer_that_is_lost_repeats_nothing(place, standin, capsys, call, recorded):
    standin.faults[call] = [NoAnswer(recorded)]
    code, out, err = push(capsys, "--yes")
    if call is SUBMIT and recorded:  # found among the account's submissions at once
        assert code == 0, err
        assert "it did arrive" in out
    else:
        assert code == 9
        assert len(err.strip().splitlines()) == 1
        code, _, err = push(capsys, "--yes")
    if call is SUBMIT and not recorded:  # only the user can know that it did not arrive
        assert code == 9
        assert "--force" in err
        return
    assert code == 0, err
    assert len(standin.submissions) == 1
    assert [len(n["texts"]) for n in standin.notebooks.values()] == [1]
    assert [d["version"] for d in standin.remote_datasets.values()] == [1]


def test_a_notebook_that_fails_shows_the_end_of_its_log_and_is_not_submitted(
    place, standin, capsys
):
    standin.run_states, standin.run_message = ["RUNNING", "ERROR"], "exit code 1"
    code, out, err = push(capsys, "--yes")
    assert code == 6
    assert "exit code 1" in err
    assert "FileNotFoundError: model" in out
    assert "line 2\n" not in out
    assert standin.submissions == []
    standin.run_states = ["COMPLETE"]
    code, _, err = push(capsys, "--yes", "--force")
    assert code == 0, err
    assert [len(n["texts"]) for n in standin.notebooks.values()] == [2]


@pytest.mark.parametrize("what", ["data set", "notebook"])
def test_a_name_that_is_taken_is_refused_before_anything_is_sent(place, standin, capsys, what):
    doc = json.loads((place / "made/kernel/kernel-metadata.json").read_text())
    if what == "data set":
        about = {"description": "my holidays", "version": 1, "files": {}, "polls": 0}
        standin.remote_datasets[doc["dataset_sources"][0]] = about
    else:
        standin.notebooks[doc["id"]] = {"texts": ['{"cells": []}'], "polls": 0}
    code, _, err = push(capsys, "--yes")
    assert code == 2
    assert "which imclust did not make" in err
    assert counts(standin) == (0, 0, 0, 0)
    assert standin.asked("POST", "*/StartBlobUpload") == []


def test_what_cannot_be_is_one_sentence_before_anything_is_sent(
    place, standin, capsys, monkeypatch
):
    def said(*words):
        code, _, err = push(capsys, "--yes")
        assert code in (2, 4, 7, 8)
        assert len(err.strip().splitlines()) == 1
        assert all(word in err for word in words), err
        assert counts(standin) == (0, 0, 0, 0)

    kernel = place / "made" / "kernel" / "kernel-metadata.json"
    text = kernel.read_text()
    kernel.write_text(text.replace('"id": "alice/', '"id": "bob/'))
    said("as `package --kernel` wrote it")
    row = place / "made" / "row.json"
    known = row.read_text()
    doc = json.loads(known)
    row.write_text(json.dumps(doc | {"kernel": content_digest(kernel.parent)}))  # bob's own
    said("the owner of the notebook", "alice", "bob")
    kernel.write_text(text)
    row.write_text(known)
    (place / "made" / "model" / "extra.txt").write_text("x")
    said("as `package --kernel` wrote it")
    (place / "made" / "model" / "extra.txt").unlink()
    standin.files["sample_submission.parquet"] = standin.files.pop("sample_submission.csv")
    said("of the kind of sample_submission.parquet", "submission.csv")
    del standin.files["sample_submission.parquet"]
    standin.faults["POST", "*/GetDataset"] = Html()
    said("answer in its own format")
    standin.faults["POST", "*/GetDataset"] = Status(503)
    monkeypatch.setattr("imclust.competitions.clients.kaggle.Kaggle.waits", ())
    said("be up")
    del standin.faults["POST", "*/GetDataset"]
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    said("given a key")
    kernel.unlink()
    said("what `package --kernel` wrote")


def test_no_key_reaches_the_package_or_the_ledger(place, standin, capsys):
    assert push(capsys, "--yes")[0] == 0
    files = [p for p in place.rglob("*") if p.is_file()]
    assert [p for p in files if KAGGLE_TOKEN.encode() in p.read_bytes()] == []
    model = place / "made" / "model"
    doc = json.loads((model / "dataset-metadata.json").read_text())
    assert doc["description"].endswith(f"[imclust {content_digest(model)}]")
