"""Sample submissions under the names, in the places and with the oddities that real ones have."""

import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from imclust.__main__ import main
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.submission import check, read_sample, vocabulary
from imclust.competitions.submission_check import sample_of
from imclust.core.errors import InputError

IDS = ["2", "0", "3", "1"]


@pytest.fixture
def data(tmp_path):
    for i in range(4):
        path = tmp_path / "data" / "images" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(i)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
    return tmp_path / "data"


def sample(path, ids=IDS, header="ImageId,ClusterId", end=",0"):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ([header] if header else []) + [f"{i}{end}" for i in ids]
    path.write_text("\n".join(lines) + "\n")
    return path


def opened(data, tmp_path, **settings):
    entry = CHALLENGES["folder"]
    return entry.method(entry.config(data_dir=data, **settings), tmp_path / "files")


@pytest.mark.parametrize(
    "name",
    ["sample_submission.csv", "sampleSubmission.csv", "SampleSubmission.CSV",
     "submissionFormat.csv", "submission_format.csv", "submission-example.csv",
     "sample_submission_stage1.csv", "deep/er/sample_submission.csv"],
)  # fmt: skip
def test_it_is_found_under_the_names_that_it_goes_by(data, tmp_path, name, capsys):
    sample(data / name)
    challenge = opened(data, tmp_path)
    assert [r.id for r in challenge.rows] == IDS
    assert challenge.columns == ("ImageId", "ClusterId")
    if name.rpartition("/")[2] != "sample_submission.csv":
        assert name in capsys.readouterr().out


def test_one_that_comes_zipped_is_unpacked(data, tmp_path):
    plain = sample(tmp_path / "sample_submission.csv")
    with zipfile.ZipFile(data / "sample_submission.csv.zip", "w") as archive:
        archive.write(plain, "sample_submission.csv")
    challenge = opened(data, tmp_path)
    assert [r.id for r in challenge.rows] == IDS
    assert challenge.sample.read_bytes() == plain.read_bytes()


def test_of_several_one_is_asked_for(data, tmp_path):
    sample(data / "a" / "sampleSubmission.csv")
    other = sample(data / "b" / "submission_format.csv", IDS[:2])
    with pytest.raises(InputError, match=r"got 2: a/sampleSubmission\.csv, b/submission_format"):
        opened(data, tmp_path)
    assert [r.id for r in opened(data, tmp_path, sample=other).rows] == IDS[:2]
    with pytest.raises(InputError, match="--sample must be a file"):
        CHALLENGES["folder"].config(data_dir=data, sample=data / "none.csv").sources()


@pytest.mark.slow
def test_without_a_header_no_row_is_lost(data, tmp_path, monkeypatch):
    path = sample(data / "sample_submission.csv", header="")
    assert [r.id for r in opened(data, tmp_path).rows] == IDS
    monkeypatch.chdir(tmp_path)
    for line in (
        f"download --out raw --n-clusters 2 folder --data-dir {data}",
        "train --index raw/index --out w pixels",
        "encode --index raw/index --weights w --out z",
        "cluster --features z --index raw/index --out a --n-clusters 2 kmeans",
        "submit --assignment a --index raw/index --out s",
        "submit --check s/submission.csv --index raw/index --n-clusters 2",
    ):
        assert main(line.split()) == 0
    lines = (tmp_path / "s" / "submission.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == IDS
    assert len(path.read_text().splitlines()) == len(lines)
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines[1:]) + "\n")
    assert "it has 3 rows, the sample 4" in check(short, sample_of(tmp_path / "raw/index"), ())


def test_a_column_a_class_is_asked_about_not_guessed(data, tmp_path):
    sample(data / "sample_submission.csv", header="id,ash,oak,elm", end=",0.3,0.3,0.4")
    with pytest.raises(InputError, match="4 columns that may be it: id, ash, oak, elm"):
        opened(data, tmp_path)
    challenge = opened(data, tmp_path, submission_column="oak")
    assert challenge.columns == ("id", "oak")
    with pytest.raises(InputError, match="--submission-column must be id, ash, oak, elm"):
        opened(data, tmp_path, submission_column="fir")


def test_two_ids_of_one_image_are_refused(data, tmp_path):
    sample(data / "sample_submission.csv", ["0", "1", "0.png", "2"])
    with pytest.raises(InputError, match=r"'0' and '0\.png', which both name images/0\.png"):
        opened(data, tmp_path)


@pytest.mark.parametrize(("on_disk", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_letters_are_one_name(data, tmp_path, on_disk, asked):
    for i in range(4):
        image = data / "images" / f"{i}.png"
        image.rename(image.with_name(unicodedata.normalize(on_disk, f"é{i}.png")))
    ids = [unicodedata.normalize(asked, f"é{i}") for i in IDS]
    sample(data / "sample_submission.csv", ids)
    assert [r.id for r in opened(data, tmp_path).rows] == ids


def test_other_ids_of_the_same_number_have_a_way_forward(data, tmp_path):
    sample(data / "sample_submission.csv", ["w", "x", "y", "z"])
    with pytest.raises(InputError, match="or add --ids-in-row-order"):
        opened(data, tmp_path)
    rows = opened(data, tmp_path, ids_in_row_order=True).rows
    assert [(r.id, r.source[-5:]) for r in rows] == [
        ("w", "0.png"), ("x", "1.png"), ("y", "2.png"), ("z", "3.png")
    ]  # fmt: skip
    sample(data / "sample_submission.csv", ["w", "x", "y"])
    with pytest.raises(InputError, match=r"3 without one, first 'w'; check that DATA_DIR holds"):
        opened(data, tmp_path)


@pytest.mark.parametrize(("k", "want"), [(2, ("a", "b")), (3, ("a", "b", "c"))])
def test_words_of_the_sample_are_the_labels(tmp_path, k, want):
    path = tmp_path / "s.csv"
    path.write_text("id,label\n1,a\n2,b\n3,c\n")
    assert vocabulary(read_sample(path), k) == want
    with pytest.raises(InputError, match="set K to at most 3"):
        vocabulary(read_sample(path), 4)
