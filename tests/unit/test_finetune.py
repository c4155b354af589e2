"""The stage as a whole, in this process: what it writes, what it refuses, what a kill leaves."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers import make_arrays, two_kinds
from imclust.__main__ import parse
from imclust.clustering.metrics import effective_clusters, hungarian_accuracy
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment, read_csv, write_csv
from imclust.training import classifier as heads
from imclust.training import fit as fitting

N = 40


class Killed(BaseException):
    pass


def stage(*argv):
    run, cfg = parse([str(a) for a in argv])
    run(cfg)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """An imagefolder challenge with half of its labels published, and an encoder's weights."""
    top = tmp_path_factory.mktemp("finetune")
    for i, (x, y) in enumerate(zip(*two_kinds(N), strict=True)):
        at = top / "tree" / "ba"[y]
        at.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(at / f"{i}.png")
    data = ("imagefolder", "--data-dir", top / "tree")
    stage("download", "--out", top / "raw", *data, "--published", 0.5)
    stage("download", "--out", top / "unpublished", *data)
    stage("train", "--index", top / "raw/index", "--out", top / "w", "conv-ae", "--epochs", 1)
    return top


@pytest.fixture
def here(shared, tmp_path):
    for name in ("raw", "unpublished", "w"):
        (tmp_path / name).symlink_to(shared / name)
    return tmp_path


def finetune(here, *flags, out="ft", index="raw/index"):
    where = ("--index", here / index, "--weights", here / "w", "--out", here / out)
    stage("finetune", *where, "--batch", 8, "--device", "cpu", *flags)
    return here / out


def published(here, *flags, **more):
    return finetune(here, "--published", here / "raw/published", "--epochs", 2, *flags, **more)


def noisy(here, wrong=0.2, name="start", k=2, ids=None):
    """An assignment of which a share is wrong, and unsure where it is; and the truth."""
    rows = read_csv(here / "raw/index/index.csv")
    y = np.array([int(r["id"].startswith("a")) for r in rows])
    rng = np.random.default_rng(0)
    flip = np.isin(np.arange(N), rng.permutation(N)[: round(wrong * N)])
    sure = np.where(flip, rng.uniform(0.5, 0.7, N), rng.uniform(0.6, 1, N))
    p = np.full((N, k), 0.0, np.float32)
    p[np.arange(N), y ^ flip] = sure
    p[np.arange(N), 1 - (y ^ flip)] = 1 - sure
    ids = np.array([r["id"] for r in rows]) if ids is None else ids
    assignment = Assignment(ids, np.array(["train"] * N), p)
    make_artifact(here / name, ArtifactSpec("assignment", {}, {}, ()), assignment.save)
    return here / name, y


def results(out):
    names = ("*.safetensors", "*.jsonl", "*.csv", "*.npy")
    return {p.relative_to(out): p.read_bytes() for n in names for p in out.rglob(n)}


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_published_labels_give_weights_clusters_scores_and_a_submission(here, capsys):
    out = published(here)
    doc = read_manifest(out / "weights", "weights")
    assert doc["config"]["method"] == "conv-ae"
    assert doc["learned_from"] == "published labels"
    assert doc["classes"] == ["a", "b"]
    assert doc["steps_taken"] == ["round 1, probe", "round 1, last 3 blocks"]
    assert doc["images_learned"] == [20, 20]
    assert files(out / "weights") == [
        "head.safetensors", "manifest.json", "steps.jsonl", "weights.safetensors",
    ]  # fmt: skip
    assert not list(out.glob(".*.partial"))
    answer = Assignment.load(out / "clusters")
    assert answer.probabilities.shape == (N, 2)
    np.testing.assert_allclose(answer.probabilities.sum(1), 1, rtol=1e-5)
    truth = np.array([int(i.startswith("b")) for i in answer.ids])
    assert (answer.clusters == truth).mean() > 0.9  # cluster c is class c, not its twin
    capsys.readouterr()
    labels = ("--index", here / "raw/index", "--labels", here / "raw/labels")
    stage("score", "--assignment", out / "clusters", *labels, "--out", here / "scores",
          "--weights", here / "w")  # fmt: skip
    printed = capsys.readouterr().out
    assert "learned from published labels" in printed
    scores = json.loads((here / "scores/scores.json").read_text())
    assert scores["train"]["n"] == 20
    assert scores["train"]["named"] > 0.9
    assert f"accuracy by name {scores['train']['named']:.4f}" in printed
    assert read_manifest(here / "scores")["learned_from"] == "published labels"
    stage("submit", "--assignment", out / "clusters", "--index", here / "raw/index",
          "--out", here / "submission")  # fmt: skip
    assert len(read_csv(here / "submission/submission.csv")) == N


def test_its_weights_encode_and_what_follows_says_what_was_learned_from(here):
    out = published(here, "--stages", "0", "1")
    stage("encode", "--index", here / "raw/index", "--weights", out / "weights",
          "--out", here / "z", "--device", "cpu")  # fmt: skip
    assert read_manifest(here / "z")["learned_from"] == "published labels"
    assert read_manifest(here / "z")["dims"] == 4096
    assert "learned_from" not in read_manifest(here / "w")


def test_a_probe_leaves_the_weights_as_they_were(here):
    from safetensors.numpy import load_file

    out = published(here, "--stages", "0")
    before, after = (load_file(p / "weights.safetensors") for p in (here / "w", out / "weights"))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[n], after[n]) for n in before)


def test_it_is_up_to_date_until_a_setting_changes(here, capsys):
    published(here, "--stages", "0")
    capsys.readouterr()
    published(here, "--stages", "0")
    printed = capsys.readouterr().out
    assert printed.count("is up to date") == 2
    assert "learning from" not in printed
    published(here, "--stages", "0", "--lr", 0.01)
    assert "learning from" in capsys.readouterr().out


def test_self_labelling_rises_above_the_clustering_it_started_from(here):
    start, y = noisy(here)
    before = hungarian_accuracy(y, Assignment.load(start).clusters)
    out = finetune(here, "--assignment", start, "--epochs", 4, "--rounds", 2)
    doc = read_manifest(out / "weights")
    after = hungarian_accuracy(y, Assignment.load(out / "clusters").clusters)
    assert before == pytest.approx(0.8)
    assert after > 0.95
    assert doc["collapsed"] == ""
    assert len(doc["steps_taken"]) == 3
    assert min(doc["effective_clusters"]) > 1.9
    assert "learned_from" not in doc
    agreed = Assignment.load(start).clusters == Assignment.load(out / "clusters").clusters
    assert agreed.mean() > 0.7  # cluster c is still cluster c


def test_validation_images_are_never_learned_from(tmp_path):
    make_arrays(tmp_path / "data")
    stage("download", "--out", tmp_path / "raw", "arrays", "--data-dir", tmp_path / "data")
    stage("train", "--index", tmp_path / "raw/index", "--out", tmp_path / "w", "pixels")
    rows = read_csv(tmp_path / "raw/index/index.csv")
    given = {r["id"]: str(i % 2) for i, r in enumerate(rows)}

    def write(folder):
        write_csv(folder / "labels.csv", ("id", "label"), given.items())
        return {}

    make_artifact(tmp_path / "given", ArtifactSpec("published", {}, {}, ()), write)
    stage("finetune", "--index", tmp_path / "raw/index", "--weights", tmp_path / "w", "--out",
          tmp_path / "ft", "--published", tmp_path / "given", "--epochs", 2)  # fmt: skip
    assert read_manifest(tmp_path / "ft/weights")["images_learned"] == [60]
    assert len(Assignment.load(tmp_path / "ft/clusters").part("val").ids) == 20


class Collapsing(heads.ClassLoss):
    """A loss under which everything becomes class 0 where the encoder learns."""

    def __init__(self, targets, weights, codes=None, before_epoch=None):
        if codes is None:
            targets = np.zeros_like(targets)
        super().__init__(targets, np.ones_like(weights), codes, before_epoch)


DEEP = ("--epochs", 4, "--rounds", 2, "--augmentation", "none", "--deep-lr", 2e-4)


def test_a_collapse_is_seen_undone_and_said(here, monkeypatch, capsys):
    start, y = noisy(here, wrong=0)
    probed = finetune(here, "--assignment", start, "--epochs", 4, "--stages", "0", out="probed")
    assert hungarian_accuracy(y, Assignment.load(probed / "clusters").clusters) > 0.9
    monkeypatch.setattr(heads, "ClassLoss", Collapsing)
    out = finetune(here, "--assignment", start, *DEEP)
    printed = capsys.readouterr().out
    assert "effective clusters, less than 1.20" in printed
    assert "back to the last good weights" in printed
    doc = read_manifest(out / "weights")
    assert doc["collapsed"]
    assert doc["steps_taken"] == ["round 1, probe", "round 1, last 3 blocks"]
    assert doc["effective_clusters"][-1] >= 1.2
    answer = Assignment.load(out / "clusters").clusters
    assert np.bincount(answer, minlength=2).min() > 0


def dying(monkeypatch, loss, after):
    """Let every training of `loss` be killed once it has taken so many steps in all."""
    taken = []

    class Dying(loss):
        def forward(self, network, x, rows):
            taken.append(1)
            if len(taken) > after:
                raise Killed
            return super().forward(network, x, rows)

    monkeypatch.setattr(heads, "ClassLoss", Dying)


def test_a_kill_at_any_step_ends_in_the_same_bytes(here, monkeypatch):
    """20 images by 8: three steps an epoch; probe 1 to 6, three blocks 7 to 12, six more."""
    flags = ("--stages", "0", "1", "all")
    whole = results(published(here, *flags))
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 2)
    whole_short_log = results(published(here, *flags, out="log"))
    for after in (1, 7, 9, 12, 13, 16):
        killed = f"killed-{after}"
        with monkeypatch.context() as m:
            dying(m, heads.ClassLoss, after)
            with pytest.raises(Killed):
                published(here, *flags, out=killed)
        assert (here / killed / ".weights.partial").is_dir()
        again = results(published(here, *flags, out=killed))
        assert again == whole_short_log, after
        different = {str(p) for p in whole if whole[p] != again[p]}
        assert different <= {"weights/steps.jsonl"}, after  # which has more records now
        assert whole.keys() == again.keys(), after


def test_a_kill_before_a_collapse_ends_in_the_same_bytes(here, monkeypatch):
    start, _ = noisy(here, wrong=0)
    monkeypatch.setattr(heads, "ClassLoss", Collapsing)
    whole = finetune(here, "--assignment", start, *DEEP)
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    for after in (14, 16, 17):
        killed = f"killed-{after}"
        with monkeypatch.context() as m:
            dying(m, Collapsing, after)
            with pytest.raises(Killed):
                finetune(here, "--assignment", start, *DEEP, out=killed)
        again = finetune(here, "--assignment", start, *DEEP, out=killed)
        want, got = results(whole), results(again)
        assert {str(p) for p in want if want[p] != got[p]} <= {"weights/steps.jsonl"}, after
        a, b = (read_manifest(o / "weights")["collapsed"] for o in (whole, again))
        assert a == b != "", after


def test_a_later_stage_skips_finished_ones(here, monkeypatch, capsys):
    with monkeypatch.context() as m:
        dying(m, heads.ClassLoss, 7)
        with pytest.raises(Killed):
            published(here)
    capsys.readouterr()
    published(here)
    printed = capsys.readouterr().out
    assert "last 3 blocks: learning" in printed
    assert "probe: learning" not in printed


WRONG = {
    "neither": ((), "got neither"),
    "both": (("--published", "raw/published", "--assignment", "raw"), "got both"),
    "no probe": (("--published", "raw/published", "--stages", "1", "all"), "--stages"),
    "shrinking": (("--published", "raw/published", "--stages", "0", "3", "2"), "--stages"),
    "share": (("--assignment", "raw", "--confident", "1.5"), "--confident"),
    "rounds": (("--assignment", "raw", "--rounds", "0"), "--rounds"),
    "unread": (("--published", "raw/published", "--rounds", "2"), "left out with --published"),
    "none published": (("--published", "unpublished/published"), "at least one a class; got none"),
    "another artefact": (("--published", "raw/index"), "of kind 'published'"),
}


@pytest.mark.parametrize(("flags", "why"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_refused(here, flags, why):
    flags = [here / f if "/" in f or f == "raw" else f for f in flags]
    with pytest.raises(InputError, match=why):
        finetune(here, *flags)


def test_labels_of_fewer_classes_than_the_challenge_has_are_refused(here):
    def write(folder):
        rows = read_csv(here / "raw/published/labels.csv")
        few = [(r["id"], r["label"]) for r in rows if r["label"] == "a"]
        write_csv(folder / "labels.csv", ("id", "label"), few)
        return {}

    make_artifact(here / "few", ArtifactSpec("published", {}, {}, ()), write)
    with pytest.raises(InputError, match=r"of 2 classes.*got labels of 1"):
        finetune(here, "--published", here / "few")


def test_ids_of_another_challenge_are_refused(here):
    start, _ = noisy(here, ids=np.array([f"other-{i}" for i in range(N)]))
    with pytest.raises(InputError, match="40 of 40 unknown"):
        finetune(here, "--assignment", start)

    def write(folder):
        write_csv(folder / "labels.csv", ("id", "label"), [("other-1", "a"), ("other-2", "b")])
        return {}

    make_artifact(here / "given", ArtifactSpec("published", {}, {}, ()), write)
    with pytest.raises(InputError, match="2 of 2 unknown"):
        finetune(here, "--published", here / "given")


def test_uneven_clusters_are_held_to_their_own_number_and_not_to_k(here):
    rows = read_csv(here / "raw/index/index.csv")
    p = np.zeros((N, 3), np.float32)
    p[:, 0] = 1
    p[0], p[1] = [0, 1, 0], [0, 0, 1]
    ids = np.array([r["id"] for r in rows])
    save = Assignment(ids, np.array(["train"] * N), p).save
    make_artifact(here / "one", ArtifactSpec("assignment", {}, {}, ()), save)
    out = finetune(here, "--assignment", here / "one", "--stages", "0")
    own = effective_clusters(p.argmax(1), 3)
    assert own < 0.6 * 3
    assert min(read_manifest(out / "weights")["effective_clusters"]) >= 0.9 * own


def test_a_probe_that_finds_one_cluster_is_refused(here, monkeypatch):
    class Blind(heads.ClassLoss):
        def __init__(self, targets, weights, codes=None, before_epoch=None):
            super().__init__(np.zeros_like(targets), weights, codes, before_epoch)

    start, _ = noisy(here)
    monkeypatch.setattr(heads, "ClassLoss", Blind)
    with pytest.raises(InputError, match=r"spread over the clusters; got 1\.00 effective"):
        finetune(here, "--assignment", start, "--confident", 1)
    assert not (here / "ft/weights").exists()
