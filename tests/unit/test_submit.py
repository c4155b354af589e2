"""`submit`: from clusters to the file that is handed in."""

import json

import numpy as np
import pytest

from helpers import make_arrays, make_pairs, two_kinds
from imclust.__main__ import main
from imclust.competitions.orientation import orient
from imclust.competitions.submission import plain_sample, read_sample
from imclust.competitions.submission_check import names_of
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.manifest import read_manifest, write_manifest
from imclust.core.records import Assignment, read_csv


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The ledger goes to the folder where a command is given."""
    monkeypatch.chdir(tmp_path)


def stage(*args):
    """A stage in this process; returns its status."""
    return main([str(a) for a in args])


def index_of(data, challenge, out, *flags):
    assert stage("download", "--out", out, challenge, "--data-dir", data, *flags) == 0
    return out / "index"


def answered(index, clusters, out, ids=None, k=2, track="scratch", **facts):
    """An assignment artefact with these clusters."""
    if ids is None:
        ids = [r["id"] for r in read_csv(index / "index.csv") if r["split"] == "train"]
    p = np.eye(k, dtype=np.float32)[np.asarray(clusters)]
    answer = Assignment(np.array(ids), np.full(len(ids), "train"), p)
    order = ArtifactSpec("assignment", {"clusters": np.asarray(clusters).tolist()}, {}, ())
    make_artifact(out, order, lambda folder: answer.save(folder) | {"track": track} | facts)
    return out


@pytest.fixture
def job(tmp_path, arrays_dir):
    """An index of 60 images and a good assignment to it."""
    index = index_of(arrays_dir, "arrays", tmp_path / "raw")
    return index, answered(index, two_kinds(60)[1], tmp_path / "clusters")


def submit(job, out, *flags):
    return stage("submit", "--index", job[0], "--assignment", job[1], "--out", out, *flags)


def labels(path):
    return [line.split(",")[-1].strip() for line in path.read_text().splitlines()[1:]]


def sentence(capsys):
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("imclust ")]
    return line


def test_rows_are_joined_by_id_and_the_twin_is_inverted(job, tmp_path):
    shuffled = np.random.default_rng(0).permutation(60)
    y = two_kinds(60)[1]
    ids = [str(i) for i in shuffled]
    mixed = answered(job[0], y[shuffled], tmp_path / "mixed", ids=ids)
    assert submit((job[0], mixed), tmp_path / "s") == 0
    assert (tmp_path / "s/submission.csv").read_text() == "id,label\n" + "".join(
        f"{i},{c}\n" for i, c in enumerate(y)
    )
    assert labels(tmp_path / "s/submission_inverted.csv") == [str(1 - c) for c in y]
    doc = read_manifest(tmp_path / "s")
    assert doc["labels"] == ["0", "1"]
    assert (doc["rules"], doc["rules_broken"], doc["orientation"]) == ("open", False, None)


def test_the_samples_bytes_are_kept_and_its_labels_used(tmp_path, arrays_dir):
    head, tail = b'\xef\xbb\xbf"id";"label";Usage\r\n', b";Public\r\n"
    rows = [b'"%d";%d' % (i, 1 + i % 2) + tail for i in range(60)]
    sample = (head + b"".join(rows)).removesuffix(b"\r\n")
    (arrays_dir / "sample_submission.csv").write_bytes(sample)
    index = index_of(arrays_dir, "arrays", tmp_path / "raw")
    assert (index / "sample.csv").read_bytes() == sample
    y = two_kinds(60)[1]  # 0 and 1 in turn, and 1 and 2 in the sample
    assert submit((index, answered(index, y, tmp_path / "c")), tmp_path / "s") == 0
    assert (tmp_path / "s/submission.csv").read_bytes() == sample
    assert submit((index, answered(index, y, tmp_path / "c")), tmp_path / "t", "--header",
                  "id; label;Usage") == 0  # fmt: skip
    other = (tmp_path / "t/submission.csv").read_bytes()
    assert other == sample.replace(b'"id";"label"', b"id; label")


def test_a_header_of_ones_own(job, tmp_path, capsys):
    assert submit(job, tmp_path / "s", "--header", "id, label") == 0
    text = (tmp_path / "s/submission.csv").read_text()
    assert text.startswith("id, label\n0,0\n1,1\n")
    capsys.readouterr()
    assert submit(job, tmp_path / "s", "--header", "id") == 2
    assert "one line of 2 names with commas; got 'id'" in sentence(capsys)


KNOWN = {
    "as it is": ("0,1,0,1,0", "5 of 5 known labels agree (0 would the other way round)", "0"),
    "inverted": ("1,0,1,0,1", "5 of 5 known labels agree (0 would the other way round)", "1"),
    "most": ("1,0,1,0,0", "4 of 5 known labels agree (1 would the other way round)", "1"),
    "a tie": ("0,0", "1 of 2 known labels agree either way round: the clusters stay", "0"),
}


@pytest.mark.parametrize(("known", "said", "first"), KNOWN.values(), ids=KNOWN)
def test_a_few_known_labels_say_which_is_which(job, tmp_path, capsys, known, said, first):
    assert submit(job, tmp_path / "s", "--known", known) == 0
    assert f"orientation: {said}" in capsys.readouterr().out
    assert labels(tmp_path / "s/submission.csv")[0] == first
    assert labels(tmp_path / "s/submission_inverted.csv")[0] != first
    found = read_manifest(tmp_path / "s")["orientation"]
    assert found["source"] == "known"
    assert found["known"] == len(known.split(","))
    assert found["mapping"] == ([0, 1] if first == "0" else [1, 0])
    assert submit(job, tmp_path / "s", "--known", known) == 0
    assert "is up to date" in capsys.readouterr().out
    assert submit(job, tmp_path / "s") == 0  # without them it is another submission
    assert "is up to date" not in capsys.readouterr().out


def test_known_labels_in_a_table(job, tmp_path):
    (tmp_path / "known.csv").write_text("id,label\n59,0\n0,1\n59,0\n")
    assert submit(job, tmp_path / "s", "--known", tmp_path / "known.csv") == 0
    assert labels(tmp_path / "s/submission.csv")[0] == "1"


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ("0,2", "labels of the submission (0, 1); got 2"),
        ("0,,1", "labels with commas, or a CSV file"),
        (",".join("01" * 40), "at most 60 labels; got 80"),
        ("none.csv", "no such file"),
        ("id,label\nx,0\n", "ids of the submission; got 1 others, first 'x'"),
        ("id,label\n1,0\n1,1\n", "of one label an id"),
        ("id,class\n1,0\n", "columns id,label"),
        ("id,label\n1,\n", "of two values a line"),
    ],
)
def test_unknown_known_labels_are_refused(job, tmp_path, capsys, known, why):
    if "\n" in known:
        (tmp_path / "k.csv").write_text(known)
        known = tmp_path / "k.csv"
    assert submit(job, tmp_path / "s", "--known", known) == 2
    assert why in sentence(capsys)
    assert not (tmp_path / "s").exists()


def test_orientation_is_the_best_permutation_like_the_naive_one():
    from itertools import permutations

    rng = np.random.default_rng(0)
    for _ in range(100):
        k = int(rng.integers(2, 5))
        clusters, truth = rng.integers(0, k, (2, int(rng.integers(1, 12))))
        found = orient(clusters, truth, k)
        agree = {p: int((np.array(p)[clusters] == truth).sum()) for p in permutations(range(k))}
        assert found.agree == max(agree.values()) == agree[found.mapping]
        if agree[tuple(range(k))] == found.agree:
            assert found.mapping == tuple(range(k))
        assert str(found.agree) in found.says()


def test_published_labels_orient_without_being_asked(tmp_path, capsys):
    data = make_tree(tmp_path / "tree")
    index = index_of(data, "imagefolder", tmp_path / "raw", "--published", "0.5")
    ids = [r["id"] for r in read_csv(index / "index.csv")]
    truth = [i.split("/")[0] for i in ids]
    wrong_way = [int(name == "cold") for name in truth]  # names sort as cold, warm
    job = index, answered(index, wrong_way, tmp_path / "c")
    assert submit(job, tmp_path / "s") == 0
    assert "orientation: 4 of 4 known labels agree (0 would" in capsys.readouterr().out
    assert labels(tmp_path / "s/submission.csv") == truth
    doc = read_manifest(tmp_path / "s")
    assert doc["orientation"]["source"] == "published"
    assert "published" in doc["inputs"]


def make_tree(folder):
    from PIL import Image

    for i, (x, y) in enumerate(zip(*two_kinds(8), strict=True)):
        at = folder / ("warm", "cold")[y]
        at.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(at / f"{i}.png")
    return folder


def test_published_classes_that_are_not_k_are_left_alone(tmp_path, capsys):
    index = index_of(make_tree(tmp_path / "t"), "imagefolder", tmp_path / "raw",
                     "--published", "0.5")  # fmt: skip
    job = index, answered(index, np.arange(8) % 3, tmp_path / "c", k=3)
    assert submit(job, tmp_path / "s") == 0
    assert "are none of the submission" in capsys.readouterr().out
    assert set(labels(tmp_path / "s/submission.csv")) == {"0", "1", "2"}


def test_clusters_that_anchors_named_give_names(job, tmp_path):
    y = two_kinds(60)[1]
    named = answered(job[0], y, tmp_path / "named", classes=["sea", "sun, or sand"])
    assert submit((job[0], named), tmp_path / "s") == 0
    text = (tmp_path / "s/submission.csv").read_text()
    assert text.startswith('id,label\n0,sea\n1,"sun, or sand"\n')
    assert stage("submit", "--check", tmp_path / "s/submission.csv", "--index", job[0]) == 0


def test_labels_by_what_is_known():
    plain = plain_sample(["a", "b"], ("id", "label"))
    assert names_of(plain, 2, None, {}) == ("0", "1")
    assert names_of(plain, 2, ["x", "y"], {"a": "p", "b": "q"}) == ("x", "y")
    assert names_of(plain, 2, None, {"a": "q", "b": "p"}) == ("p", "q")
    assert names_of(plain, 3, None, {"a": "q", "b": "p"}) == ("0", "1", "2")
    assert names_of(plain, 2, None, {"a": "1"}) == ("0", "1")


def test_names_that_the_sample_does_not_know_stay_out(tmp_path, capsys):
    (tmp_path / "s.csv").write_text("id,label\n1,no\n2,yes\n")
    sample = read_sample(tmp_path / "s.csv")
    assert names_of(sample, 2, ["x", "y"], {}) == ("no", "yes")
    assert "clusters are named x, y, but the sample wants no, yes" in capsys.readouterr().out
    assert names_of(sample, 2, ["yes", "no"], {}) == ("yes", "no")


def test_images_set_aside_get_the_largest_cluster(tmp_path, capsys):
    data = make_tree(tmp_path / "t")
    (data / "warm" / "0.png").write_bytes(b"none")
    assert stage("download", "--set-aside-corrupt", "--out", tmp_path / "raw", "folder",
                 "--data-dir", data) == 0  # fmt: skip
    index = tmp_path / "raw" / "index"
    ids = [r["id"] for r in read_csv(index / "index.csv") if not r["problem"]]
    job = index, answered(index, [1, 1, 1, 1, 1, 0, 0], tmp_path / "c", ids=ids)
    assert submit(job, tmp_path / "s") == 0
    assert "1 image set aside gets the largest cluster, 1" in capsys.readouterr().out
    assert labels(tmp_path / "s/submission.csv").count("1") == 6


def test_rules_are_obeyed_unless_told_otherwise(tmp_path, arrays_dir, capsys):
    index = index_of(arrays_dir, "arrays", tmp_path / "raw", "--track", "scratch")
    assert read_manifest(index)["rules"] == "scratch"
    y = two_kinds(60)[1]
    open_run = index, answered(index, y, tmp_path / "o", track="open")
    capsys.readouterr()
    assert submit(open_run, tmp_path / "s") == 2
    assert "no pretrained weights; got a run of the open track" in sentence(capsys)
    assert submit(open_run, tmp_path / "s", "--allow-rule-violation") == 0
    assert "do not hand it in" in capsys.readouterr().out
    assert read_manifest(tmp_path / "s")["rules_broken"] is True
    assert submit((index, answered(index, y, tmp_path / "c")), tmp_path / "t") == 0


def pairs_job(tmp_path, clusters=None, n=40, sample=None):
    data, right = make_pairs(tmp_path / "data", n)
    if sample:
        (data / "sample_submission.csv").write_text(sample)
    index = index_of(data, "pairs", tmp_path / "raw")
    y = two_kinds(n)[1] if clusters is None else clusters
    return (index, answered(index, y, tmp_path / "c")), right


def test_pairs_of_one_cluster_get_1(tmp_path, capsys):
    job, right = pairs_job(tmp_path)
    assert submit(job, tmp_path / "s") == 0
    assert "there is no inverted twin" in capsys.readouterr().out
    text = (tmp_path / "s/submission.csv").read_text()
    assert text == "id,label\n" + "".join(f"{i},{v}\n" for i, v in enumerate(right))
    assert not (tmp_path / "s/submission_inverted.csv").exists()
    flipped = job[0], answered(job[0], 1 - two_kinds(40)[1], tmp_path / "f")
    assert submit(flipped, tmp_path / "t") == 0
    assert (tmp_path / "t/submission.csv").read_text() == text
    assert stage("submit", "--check", tmp_path / "s/submission.csv", "--index", job[0]) == 0
    assert submit(job, tmp_path / "u", "--known", "0,1") == 2
    assert "a challenge of pairs" in sentence(capsys)


@pytest.mark.parametrize("k", [2, 3])
def test_pairs_agree_with_the_naive_way(tmp_path, k):
    rng = np.random.default_rng(k)
    clusters = rng.integers(0, k, 40)
    sample = "id,same\n" + "".join(f"{i},0.0\n" for i in rng.permutation(60))
    job, _ = pairs_job(tmp_path, sample=sample)
    job = job[0], answered(job[0], clusters, tmp_path / "k", k=k)
    assert submit(job, tmp_path / "s") == 0
    by_name = {f"{i:06}": c for i, c in enumerate(clusters)}
    cases = {r["id"]: r for r in read_csv(tmp_path / "data/test_case.csv")}
    want = [
        "1.0" if by_name[cases[i]["image1_name"]] == by_name[cases[i]["image2_name"]] else "0.0"
        for i in (line.split(",")[0] for line in sample.splitlines()[1:])
    ]
    assert labels(tmp_path / "s/submission.csv") == want


@pytest.mark.slow
def test_groups_are_found_by_pairs_and_noise_is_not(tmp_path):
    """The whole way: groups give right pairs; noise gives pairs no better than chance."""
    scores = {}
    for kind in ("groups", "noise"):
        data, right = make_pairs(tmp_path / kind / "data", 60, 400)
        if kind == "noise":
            right = np.random.default_rng(1).permutation(right)
        raw, at = tmp_path / kind / "raw", tmp_path / kind
        index = index_of(data, "pairs", raw)
        for line in (
            f"train --index {index} --out {at}/w pixels",
            f"encode --index {index} --weights {at}/w --out {at}/z --device cpu",
            f"cluster --features {at}/z --index {index} --out {at}/c kmeans",
        ):
            assert stage(*line.split()) == 0
        assert submit((index, at / "c"), at / "s") == 0
        given = np.array(labels(at / "s/submission.csv"), int)
        scores[kind] = (given == right).mean()
    assert scores["groups"] > 0.95
    assert 0.35 < scores["noise"] < 0.65


def test_a_file_made_elsewhere_is_checked(job, tmp_path, capsys, monkeypatch):
    assert submit(job, tmp_path / "s") == 0
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "made.csv"
    made.write_bytes((tmp_path / "s/submission.csv").read_bytes())
    check = ("submit", "--check", made)
    capsys.readouterr()
    assert stage(*check, "--index", job[0]) == 0
    assert f"{made} fits arrays: 60 rows, labels: 30 of 0, 30 of 1" in capsys.readouterr().out
    (tmp_path / "data/raw").mkdir(parents=True)
    job[0].parent.rename(tmp_path / "data/raw/mine")
    assert stage(*check, "--challenge", "mine") == 0
    assert "fits mine: 60 rows" in capsys.readouterr().out
    made.write_text(made.read_text().replace("id,label", "id, label").replace("\n9,1", "\n9,2"))
    assert stage(*check, "--challenge", "mine") == 6
    said = sentence(capsys)
    assert "made.csv must fit mine; got (1) its header is 'id, label'" in said
    assert "(2) labels that are none of 0, 1: 1, first '2'; correct it" in said
    assert stage(*check, "--challenge", "mine", "--header", "id, label", "--n-clusters", 3) == 0


def test_what_a_check_needs_is_said(job, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "made.csv"
    made.write_text("<html>")
    for flags, status, why in (
        ((), 2, "with --challenge NAME (or --index); got neither"),
        (("--challenge", "x"), 2, "a data set in data/raw; got x; run download first"),
        (("--index", job[0], "--out", "o"), 2, "alone; got --out too"),
        (("--index", job[0]), 6, "got (1) it is a web page; correct it"),
    ):
        assert stage("submit", "--check", made, *flags) == status
        assert why in sentence(capsys)
    assert stage("submit", "--check", "none.csv", "--index", job[0]) == 2
    assert "nothing there" in sentence(capsys)
    assert stage("submit", "--index", job[0], "--assignment", job[1]) == 2
    assert "--assignment, --index and --out must be given" in sentence(capsys)
    assert submit(job, tmp_path / "s", "--challenge", "x") == 2
    assert "add --check FILE" in sentence(capsys)


def test_an_index_of_an_older_version_is_refused(job, tmp_path, capsys):
    doc = read_manifest(job[0])
    del doc["rules"]
    write_manifest(job[0], doc)
    assert submit(job, tmp_path / "s") == 2
    assert "one of an older version; run download again" in sentence(capsys)


def test_at_most_five_problems_are_listed(job, tmp_path, capsys):
    made = tmp_path / "made.csv"
    made.write_text("ID,label\n1,5\n1,0\n0,1\nx,\n2,0,0\n")
    assert stage("submit", "--check", made, "--index", job[0]) == 6
    said = sentence(capsys)
    assert "(5)" in said
    assert "(6)" not in said
    assert "; and 4 more; correct it" in said


def test_a_submission_that_does_not_fit_is_never_finished(job, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("imclust.stages.submit.write", lambda path, *a: path.write_text("id,x\n"))
    assert submit(job, tmp_path / "s") == 6
    assert "submission.csv must fit arrays; got (1) its header is 'id,x'" in sentence(capsys)
    assert not (tmp_path / "s").exists()


def test_one_label_everywhere_is_written_and_said(job, tmp_path, capsys):
    collapsed = job[0], answered(job[0], np.zeros(60, int), tmp_path / "one")
    assert submit(collapsed, tmp_path / "s") == 0
    assert "every row of submission.csv has the label '0'" in capsys.readouterr().out


def test_a_changed_sample_is_a_new_index_and_submission(tmp_path, capsys):
    data = make_arrays(tmp_path / "d")
    sample = data / "sample_submission.csv"
    for header in ("id,label", "ID,Stage"):
        sample.write_text(f"{header}\n" + "".join(f"{i},0\n" for i in range(60)))
        index = index_of(data, "arrays", tmp_path / "raw")
        job = index, answered(index, two_kinds(60)[1], tmp_path / "c")
        assert submit(job, tmp_path / "s") == 0
        assert (tmp_path / "s/submission.csv").read_text().startswith(header)
    assert json.loads((index / "manifest.json").read_text())["columns"] == ["ID", "Stage"]
