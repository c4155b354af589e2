"""Who is who, from a table and images to a submission."""

import csv
import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest

from imclust.__main__ import main
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment
from imclust.report.pictures import doubtful_clusters
from textures import make_individuals, write


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All stages in one process: five identities are known, five more are to be told."""
    folder = tmp_path_factory.mktemp("run")
    make_individuals(folder / "who", zipped=True)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.chdir(folder)
        for line in (
            "download --out raw individuals --data-dir who.zip --truth who-truth.csv",
            "train --index raw/index --out w pixels --size 16",
            "encode --index raw/index --weights w --out z --flip",
            "pairs --features z --index raw/index --out p",
            "link --pairs p --features z --index raw/index --out a",
            "score --assignment a --index raw/index --labels raw/labels --out s",
            "submit --assignment a --index raw/index --out sub --log log.csv",
        ):
            assert main(line.split()) == 0, line
    return folder, said.getvalue()


def test_identities_of_held_out_images_are_found(whole):
    folder, said = whole
    scores = json.loads((folder / "s/scores.json").read_text())["individuals"]
    assert scores["spots"]["ari"] > 0.9
    assert "individuals, spots" in said


def test_the_submission_has_the_sample_s_ids_in_its_order_and_free_names(whole):
    folder, _ = whole
    rows = list(csv.reader((folder / "sub/submission.csv").open()))
    sample = list(csv.reader((folder / "who/sample_submission.csv").open()))
    assert [r[0] for r in rows] == [r[0] for r in sample]
    assert rows[0] == ["image_id", "cluster"]
    assert all(r[1].startswith("cluster_spots_") for r in rows[1:])


def test_a_submission_made_elsewhere_is_checked_whatever_its_clusters_are_called(
    whole, monkeypatch, capsys
):
    folder, _ = whole
    monkeypatch.chdir(folder)
    text = (folder / "sub/submission.csv").read_text()
    (folder / "mine.csv").write_text(text.replace("cluster_spots", "who"))
    assert main(["submit", "--check", "mine.csv", "--index", "raw/index"]) == 0
    assert "fits individuals" in capsys.readouterr().out
    (folder / "mine.csv").write_text(text.replace(text.splitlines()[1] + "\n", ""))
    assert main(["submit", "--check", "mine.csv", "--index", "raw/index"]) == 6


def test_known_images_of_one_identity_share_a_cluster_and_of_two_do_not(whole):
    folder, _ = whole
    table = {r["id"]: r["cluster"] for r in csv.DictReader((folder / "a/assignment.csv").open())}
    known = [r for r in csv.DictReader((folder / "who/metadata.csv").open()) if r["identity"]]
    seen = {}
    for r in known:
        seen.setdefault(r["identity"], set()).add(table[r["image_id"]])
    assert all(len(clusters) == 1 for clusters in seen.values())
    assert len(set.union(*seen.values())) == len(seen)


def test_what_is_up_to_date_is_not_done_again(whole, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    before = read_manifest(folder / "p")["written"]
    assert main(["pairs", "--features", "z", "--index", "raw/index", "--out", "p"]) == 0
    assert "up to date" in capsys.readouterr().out
    assert read_manifest(folder / "p")["written"] == before


def test_a_number_of_clusters_is_refused_before_any_work(whole, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    for line in (
        "run --n-clusters 5 individuals --data-dir who.zip",
        "baseline --challenge individuals --data-dir who.zip --k 5",
    ):
        assert main(line.split()) == 2
        said = capsys.readouterr().err
        assert "left to the pairs" in said
        assert said.count("\n") == 1
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("run --tune photos", "--tune must be left out"),
        ("run --names-from a photos", "--names-from must be left out"),
        ("baseline --challenge individuals --data-dir who.zip --finetune self", "published"),
        ("metric --index raw/index --weights w --out m", "an encoder that learns"),
        ("metric --index raw/index --weights w --out m --fold 3", "fold"),
        ("metric --index raw/index --weights w --out m --stages 1 2", "--stages must be 0"),
        ("pairs --features z --index raw/index --out r --local-features surf", "known: aliked"),
        ("pairs --features z --index raw/index --out r --local-weights w", "--local-weights of"),
        ("pairs --features z --index raw/index --out r --device tpu", "--device"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(whole, monkeypatch, capsys, line, word):
    folder, _ = whole
    monkeypatch.chdir(folder)
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1
    assert not any((folder / name).exists() for name in ("m", "r", "data"))


def test_an_answer_at_another_threshold_keeps_the_names_of_the_one_before(whole, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(folder)
    again = "link --pairs p --features z --index raw/index --out b --threshold 0.99 --names-from a"
    assert main(again.split()) == 0
    one, other = (read_manifest(folder / n)["names"] for n in "ab")
    assert len(other) > len(one)
    assert set(one) <= set(other)
    mine = Assignment.load(folder / "a"), Assignment.load(folder / "b")
    called = [[names[c] for c in a.clusters] for names, a in zip((one, other), mine, strict=True)]
    assert np.mean([a == b for a, b in zip(*called, strict=True)]) > 0.5


def test_of_many_clusters_the_doubtful_are_pictured():
    p = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.4, 0.6, 0], [0.45, 0.55, 0], [0, 0, 1]])
    answer = Assignment(np.array([*"abcde"]), np.array(["train"] * 5), p)
    assert doubtful_clusters(answer) == [0, 1, 2]
    assert doubtful_clusters(answer, 2) == [1, 0]


def test_without_calibration_and_local_features_there_is_an_answer_too(whole, monkeypatch):
    folder, _ = whole
    monkeypatch.chdir(folder)
    plain = "pairs --features z --index raw/index --out q --no-local --no-rerank --no-calibrate"
    assert main(plain.split()) == 0
    doc = read_manifest(folder / "q")
    assert doc["models"]["spots"]["how"] == "mixture"
    assert read_manifest(folder / "p")["models"]["spots"]["how"] in {"logistic", "boosting"}


@pytest.mark.parametrize("form", ["matches", "members", "lines", "outliers"])
def test_the_same_clusters_in_other_forms(whole, form, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    ids = [r["image_id"] for r in csv.DictReader((folder / "who/sample_submission.csv").open())]
    if form == "lines":
        table = csv.DictReader((folder / "who/metadata.csv").open())
        ids = [r["image_id"] for r in table if r["split"] == "test"]
    halves = [*ids, ""][: len(ids) + len(ids) % 2]
    pairs = "".join(f"{i},{j}\n" for i, j in zip(halves[::2], halves[1::2], strict=True))
    texts = {
        "matches": "image_id,matches\n" + "".join(f"{i},{i}\n" for i in ids),
        "members": f"a,b\n{pairs}",
        "lines": "cluster\n" + "x\n" * len(ids),
        "outliers": "image_id,cluster\n" + "".join(f"{i},outliers\n" for i in ids),
    }
    (folder / f"{form}.csv").write_text(texts[form])
    for line in (
        f"download --out raw-{form} individuals --data-dir who.zip --sample {form}.csv",
        f"submit --assignment a --index raw-{form}/index --out sub-{form} --log log.csv",
        f"submit --check sub-{form}/submission.csv --index raw-{form}/index",
        f"read --file sub-{form}/submission.csv --index raw-{form}/index --out back-{form}",
    ):
        assert main(line.split()) == 0, line
    first, back = Assignment.load(folder / "a"), Assignment.load(folder / f"back-{form}")
    mine = dict(zip(first.ids.tolist(), first.clusters.tolist(), strict=True))
    one = np.array([mine[i] for i in back.ids.tolist()])
    assert ((one[:, None] == one) == (back.clusters[:, None] == back.clusters)).all()


def names_of(path):
    return dict(list(csv.reader(path.open()))[1:])


def test_images_that_come_later_join_individuals_or_found_new_ones(tmp_path, monkeypatch, capsys):
    """The same command again, after images were added: who was there is called as before."""
    who = make_individuals(tmp_path / "who", known=4, asked=4, images=4)
    whole = {n: (who / n).read_text() for n in ("metadata.csv", "sample_submission.csv")}
    truth = names_of(tmp_path / "who-truth.csv")
    held = {i for i, name in truth.items() if name == "spots-7"}  # an individual nobody has seen
    held |= {next(i for i, name in truth.items() if name == "spots-6")}
    for name, text in whole.items():
        kept = [line for line in text.splitlines() if line.split(",")[0] not in held]
        (who / name).write_text("\n".join(kept) + "\n")
    monkeypatch.chdir(tmp_path)
    command = ["baseline", "--challenge", "individuals", "--data-dir", "who"]
    command += ["--encoder", "pixels", "--encoder-flags", "--size 16"]
    assert main(command) == 0
    [submission] = tmp_path.glob("submissions/*/*/submission.csv")
    before, text = names_of(submission), submission.read_text()
    assert not held & set(before)
    for name, text in whole.items():
        (who / name).write_text(text)
    assert main(command) == 0
    after = names_of(submission)
    assert set(after) == set(truth)
    assert np.mean([after[i] == before[i] for i in before]) > 0.9
    new = {after[i] for i in held if truth[i] == "spots-7"}
    assert not new & set(before.values())
    others = {after[i] for i in before if truth[i] == "spots-6"}
    assert {after[i] for i in held if truth[i] == "spots-6"} <= others
    # Once more: nothing is done again, and no name changes.
    capsys.readouterr()
    content = submission.read_bytes()
    assert main(command) == 0
    assert submission.read_bytes() == content
    assert "matched" not in capsys.readouterr().out


def test_an_earlier_submission_gives_its_names(whole, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    old = (folder / "sub/submission.csv").read_text()
    (folder / "old.csv").write_text(old.replace("cluster_spots_", "cluster_spots_9"))
    link = "link --pairs p --features z --index raw/index --out c --methods average --names-from"
    assert main([*link.split(), "old.csv"]) == 0
    names = read_manifest(folder / "c")["names"]
    told = set(names_of(folder / "old.csv").values())
    assert told <= set(names)
    # A name that was given up is nobody's any more.
    with (folder / "old.csv").open("a") as f:
        f.write(",cluster_spots_500\n")
    assert main([*link.split(), "old.csv", "--threshold", "0.99"]) == 0
    new = set(read_manifest(folder / "c")["names"]) - told
    assert new
    assert min(int(name.rpartition("_")[2]) for name in new) > 500
    assert main([*link.split(), "old.csv"]) == 0
    names = read_manifest(folder / "c")["names"]
    capsys.readouterr()
    (folder / "odd.csv").write_text("id\n1\n")
    for source, word in (("odd.csv", "columns id"), ("gone.csv", "not there"), ("z", "features")):
        assert main([*link.split(), source]) == 2
        said = capsys.readouterr().err
        assert word in said
        assert said.count("\n") == 1
    assert read_manifest(folder / "c")["names"] == names


def test_groups_of_one_image_and_nobody_known_go_through(tmp_path, monkeypatch, capsys):
    who = make_individuals(tmp_path / "who", known=0, asked=3, images=3)
    table = list(csv.reader((who / "metadata.csv").open()))
    for row in table[1:3]:
        row[4] = f"alone {row[0]}"
    write(who / "metadata.csv", table[0], table[1:])
    monkeypatch.chdir(tmp_path)
    for line in (
        "download --out raw individuals --data-dir who",
        "train --index raw/index --out w pixels --size 16",
        "encode --index raw/index --weights w --out z",
        "pairs --features z --index raw/index --out p --geometry fundamental",
        "link --pairs p --features z --index raw/index --out a",
        "submit --assignment a --index raw/index --out sub --log log.csv",
    ):
        assert main(line.split()) == 0, line
    assert "2 groups have a single image" in capsys.readouterr().out
    found = names_of(tmp_path / "sub/submission.csv")
    assert len(found) == 9
    assert sum(name.startswith("cluster_alone-") for name in found.values()) == 2


def test_the_pipeline_tunes_an_encoder_for_each_fold_if_it_is_asked_to(whole, monkeypatch, capsys):
    folder, _ = whole
    monkeypatch.chdir(folder)
    plain = "baseline --challenge individuals --data-dir who.zip --dry-run"
    assert main(plain.split()) == 0
    assert "metric" not in capsys.readouterr().out
    assert main([*plain.split(), "--finetune", "published"]) == 0
    lines = capsys.readouterr().out.splitlines()
    tuned = [line.split()[3] for line in lines if "/tuned/" in line]
    assert tuned == ["metric", "encode"] * 3 + ["pairs", "link"]
    pairs = next(line for line in lines if " imclust pairs " in line).split()
    at = pairs.index("--tuned")
    made = [line.split()[line.split().index("--out") + 1] for line in lines if " encode " in line]
    assert pairs[at + 1 : at + 4] == made[-3:]


def test_tuned_encoders_are_a_score_of_their_own(whole, monkeypatch, capsys):
    """Two encoders, each of which has seen half of the known identities."""
    folder, _ = whole
    monkeypatch.chdir(folder)
    start = "train --index raw/index --out v conv-ae --epochs 1"
    assert main(start.split()) == 0
    for fold in "01":
        for line in (
            f"metric --index raw/index --weights v --out m{fold} --folds 2 --fold {fold} "
            "--epochs 2 --stages 0 1",
            f"encode --index raw/index --weights m{fold} --out y{fold}",
        ):
            assert main(line.split()) == 0, line
    learned = [{r["id"] for r in csv.DictReader((folder / f"m{f}/learned.csv").open())}
               for f in "01"]  # fmt: skip
    known = {r["image_id"] for r in csv.DictReader((folder / "who/metadata.csv").open())
             if r["identity"]}  # fmt: skip
    assert learned[0] | learned[1] == known
    assert not learned[0] & learned[1]
    pairs = "pairs --features z --tuned y0 y1 --index raw/index --out t"
    assert main(pairs.split()) == 0
    table = list(csv.DictReader((folder / "t/pairs.csv").open()))
    assert any(float(r["tuned"]) for r in table)
    assert [r["matches"] for r in table] == [
        r["matches"] for r in csv.DictReader((folder / "p/pairs.csv").open())
    ]
    capsys.readouterr()
    assert main([*pairs.replace("y1", "z").split(), "--force"]) == 2
    assert "from `metric`" in capsys.readouterr().err
