"""Names of clusters, by what a classifier sees in them."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from imclust.__main__ import main
from imclust.cli.result import FolderResult
from imclust.clustering.cluster_names import (
    DISTINCT,
    HELD,
    LEAST,
    NAMING,
    TWICE,
    SeenWords,
    class_shares,
    cluster_weights,
    name_clusters,
    seen_words,
)
from imclust.clustering.typical_rows import typical_rows
from imclust.clustering.vocabulary import Vocabulary
from imclust.clustering.word_pairs import word_pairs
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.name_records import NAMES_KIND, found_names, name_shares, named
from imclust.core.records import Assignment, Features, read_csv, write_csv
from imclust.encoders.class_head import class_logits, imagenet_words
from imclust.encoders.second_look import SecondLook
from imclust.report.results import FolderAssignment
from sample_run import make_sample_run

WORDS = imagenet_words()


FIVE = np.eye(5, dtype=bool)  # a class each


def logits_of(classes, high=8.0):
    """Images (n, 1000) that a classifier takes for these classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 0.3, (len(classes), 1000))
    logits[np.arange(len(classes)), classes] += high
    return logits


def classes_of(word):
    return np.flatnonzero(WORDS.members[:, WORDS.words.index(word)])


def names(logits, labels, k=None):
    k = k or int(labels.max()) + 1
    share = class_shares(logits, labels, k) @ WORDS.members
    seen = seen_words(logits, labels, k, WORDS.members)
    pairs = word_pairs(logits, labels, share, seen, WORDS)
    found = name_clusters(share, seen, WORDS, cluster_weights(labels, k), pairs=pairs)
    return [n.name for n in found]


def test_the_table_knows_the_classes_and_what_they_are_kinds_of():
    assert WORDS.members.shape == (1000, len(WORDS.words))
    assert len(classes_of("dog")) == 116 + 2  # breeds, and the two that are called so
    assert {"tench", "monarch", "school bus"} <= set(WORDS.words)
    assert "danaid" not in WORDS.words  # the monarch is the only one: its own name says it
    patterns = {column.tobytes() for column in WORDS.members.T}
    assert len(patterns) == len(WORDS.words)
    assert set(classes_of("school bus")) < set(classes_of("bus"))


def test_one_class_is_called_by_its_name_and_several_by_a_common_word():
    cats, buses = classes_of("big cat"), np.repeat(classes_of("school bus"), 40)
    snakes = classes_of("snake")
    classes = np.concatenate([np.repeat(cats, 6), buses, np.repeat(snakes, 4)])
    labels = np.repeat([0, 1, 2], [6 * len(cats), len(buses), 4 * len(snakes)])
    assert names(logits_of(classes, 40), labels) == ["big cat", "school bus", "snake"]


def test_two_kinds_in_one_cluster_are_called_by_two_words():
    pots, lemons, buses = (classes_of(word) for word in ("teapot", "lemon", "school bus"))
    labels = np.repeat([0, 1], [30, 40])
    classes = np.concatenate([np.repeat(lemons, 15), np.repeat(pots, 15), np.repeat(buses, 40)])
    assert names(logits_of(classes, 12), labels) == ["lemon and teapot", "school bus"]
    # A few among many are not told.
    classes[:26] = pots
    assert names(logits_of(classes, 12), labels) == ["teapot", "school bus"]


def test_a_handful_of_images_hardly_changes_what_others_are_compared_with():
    dogs, buses = (np.repeat(classes_of(word)[:1], 30) for word in ("dog", "school bus"))
    found = []
    for more in (0, 2, 30):
        logits, labels = np.r_[dogs, buses, dogs[:more]], np.repeat([0, 1, 2], [30, 30, more])
        found.append(class_shares(logits_of(logits, 12), labels, 3)[0, dogs[0]])
    none, few, many = found
    assert none - 0.1 < few < none
    assert many < 0.5 < few


def test_of_many_clusters_few_rows_stand_for_each_and_of_very_many_none(rng):
    for k, few in ((1, 32), (12, 32), (20, 20), (50, 8), (51, 0)):
        clusters = rng.permutation(np.repeat(np.arange(k), 40))
        rows = typical_rows(clusters, rng.random(len(clusters)))
        assert np.bincount(clusters[rows], minlength=k).tolist() == [few] * k
    assert typical_rows(np.array([1, 0, 1]), np.zeros(3)).tolist() == [0, 1, 2]
    assert typical_rows(np.zeros(0, int), np.zeros(0)).tolist() == []


def test_among_dogs_the_breed_tells():
    breeds = classes_of("dog")[[3, 40]]
    found = names(logits_of(np.repeat(breeds, 30)), np.repeat([0, 1], 30))
    assert found == [WORDS.words[v] for v in (np.flatnonzero(WORDS.members[c] & (
        WORDS.members.sum(0) == 1))[0] for c in breeds)]  # fmt: skip


def test_no_word_names_two_clusters_and_none_what_it_does_not_fit():
    same = np.repeat(classes_of("school bus"), 60)
    found = names(np.tile(logits_of(same)[:1], (60, 1)), np.repeat([0, 1], 30), 3)
    assert found == ["", "", ""]  # nothing tells them apart, and one is empty
    noise = np.random.default_rng(0).normal(0, 1, (60, 1000))
    assert names(noise, np.repeat([0, 1], 30)) == ["", ""]
    both = logits_of(np.repeat(classes_of("big cat")[:2], 30))
    assert len(set(names(both, np.repeat([0, 1], 30)))) == 2


def test_the_evidence_is_the_shares(rng):
    share = rng.random((3, 5))
    seen = SeenWords(rng.random((3, 5)), rng.random((3, 5)) / 3)
    weights = np.array([0.5, 0.25, 0.75])
    found = name_clusters(share, seen, Vocabulary(tuple("abcde"), FIVE), weights)
    for c, each in enumerate(found):
        for word, here, there, held in each.evidence:
            v = "abcde".index(word)
            rest = np.average(np.delete(share[:, v], c), weights=np.delete(weights, c))
            assert (here, there) == pytest.approx((share[c, v], rest))
            assert here >= LEAST
            assert held == seen.here[c, v]
        if each.name:
            _, here, there, held = next(e for e in each.evidence if e[0] == each.name)
            assert here >= max(NAMING, TWICE * there)
            assert held >= max(HELD, DISTINCT * seen.elsewhere[c, "abcde".index(each.name)])


def test_a_name_that_is_kept_is_no_other_clusters_and_heads_the_evidence(rng):
    share, there = np.array([[0.9, 0.3, 0.0], [0.1, 0.2, 0.8]]), np.ones(2)
    seen = SeenWords(share, share[::-1] / 9)
    words = Vocabulary(("dog", "hound", "cat"), FIVE[:, :3])
    free = name_clusters(share, seen, words, there)
    assert [each.name for each in free] == ["dog", "cat"]
    kept = name_clusters(share, seen, words, there, {0: "cat"})
    assert [each.name for each in kept] == ["cat", ""]
    assert kept[0].evidence[0] == ("cat", 0.0, 0.8, 0.0)
    assert kept[0].evidence[1:] == free[0].evidence
    two = name_clusters(share, seen, words, there, {0: "cat and dog"})
    assert [word for word, *_ in two[0].evidence] == ["cat", "dog", "hound"]
    assert [each.name for each in two] == ["cat and dog", ""]
    strange = name_clusters(share, seen, words, there, {0: "rex", 1: ""})
    assert [(each.name, each.evidence) for each in strange] == [
        ("rex", free[0].evidence), ("", free[1].evidence)
    ]  # fmt: skip


def test_seen_is_more_than_by_chance_among_the_five_likeliest(rng):
    """Against a count image by image."""
    logits, labels = rng.normal(0, 1, (40, 1000)), rng.integers(0, 3, 40)
    columns = [WORDS.words.index(w) for w in ("animal", "dog", "school bus", "person or clothing")]
    members = WORDS.members[:, columns]
    found = seen_words(logits, labels, 4, members)
    assert found.here.shape == found.elsewhere.shape == (4, 4)
    for v in range(4):
        of = set(np.flatnonzero(members[:, v]).tolist())
        needed = 1 + round(5 * len(of) / 1000)
        image = [len(of & set(np.argsort(-row)[:5].tolist())) >= needed for row in logits]
        for c in range(3):
            mine = labels == c
            assert found.here[c, v] == pytest.approx(np.mean(np.array(image)[mine]))
            assert found.elsewhere[c, v] == pytest.approx(np.mean(np.array(image)[~mine]))
    assert needed == 1
    assert (found.here[3] == 0).all()


def test_a_word_of_few_images_names_nothing():
    """A quarter of them are sure terriers, and no other cluster has any."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 0.3, (240, 1000))
    terriers = classes_of("terrier")
    logits[:15, terriers] += 12
    labels = np.repeat([0, 1, 2, 3], 60)
    share = class_shares(logits, labels, 4) @ WORDS.members
    assert share[0, WORDS.words.index("terrier")] > NAMING
    assert names(logits, labels) == ["", "", "", ""]
    logits[15:40, terriers] += 12
    assert names(logits, labels) == ["terrier", "", "", ""]


def test_the_bundled_network_knows_a_flower_and_says_nothing_of_other_widths(
    tmp_path, monkeypatch, capsys
):
    """Through the stages: two photographs, thirty crops of each."""
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "x").mkdir()
    for n, image in enumerate(load_sample_images().images):
        for i in range(6):
            y, x = rng.integers(0, 60, 2)
            crop = Image.fromarray(image[y : y + 360, x : x + 520]).resize((260, 180))
            crop.save(tmp_path / "x" / f"{n}-{i}.png")
    for line in (
        "download --out {0}/raw folder --data-dir {0}/x",
        "train --index {0}/raw/index --out {0}/w timm --pool mean_std --layers 4",
        "encode --index {0}/raw/index --weights {0}/w --out {0}/z",
        "cluster --features {0}/z --index {0}/raw/index --out {0}/c --n-clusters 2 kmeans",
        "name --assignment {0}/c --features {0}/z --index {0}/raw/index --out {0}/n",
    ):
        assert main(line.format(tmp_path).split()) == 0
    # No picture is looked at twice; where one is gone, the features have to do.
    first = (tmp_path / "n" / "names.csv").read_bytes()
    assert (tmp_path / "n" / "looked.npz").is_file()
    monkeypatch.setattr(SecondLook, "_looked", None)
    assert main([*line.format(tmp_path).split(), "--force"]) == 0
    assert (tmp_path / "n" / "names.csv").read_bytes() == first
    monkeypatch.undo()
    gone = next((tmp_path / "x").iterdir())
    kept = gone.rename(tmp_path / gone.name)
    capsys.readouterr()
    assert main([*line.format(tmp_path).replace("/n", "/n3").split(), "--force"]) == 0
    assert "named by their features alone" in capsys.readouterr().out
    assert all(name for name, _ in found_names(tmp_path / "n3"))
    kept.rename(gone)
    answer = Assignment.load(tmp_path / "c")
    flower = int(answer.clusters[answer.ids.tolist().index("1-0.png")])
    found = found_names(tmp_path / "n")
    assert found[1 - flower][0] in {
        "house",
        "monastery",
        "palace",
        "religious residence",
        "residence",
        "building",
        "dwelling",
    }
    # What was found before stays, with the evidence of now.
    before = ["animal", "animal 0.99 (elsewhere 0.00), in 1.00 of the images"]
    kept = [None, None, ["umbrella", "umbrella 0.90 (elsewhere 0.00), in 0.90 of the images"]]
    kept[1 - flower] = before
    emptied = np.pad(answer.probabilities, ((0, 0), (0, 1)))

    def grown(folder):
        rows = Assignment(answer.ids, answer.splits, emptied)
        return rows.save(folder, (np.zeros(12, int), np.zeros(12))) | {"found_names": kept}

    make_artifact(tmp_path / "c2", ArtifactSpec("assignment", {}, {}, ()), grown)
    line = f"name --assignment {tmp_path}/c2 --features {tmp_path}/z --out {tmp_path}/n2"
    assert main(line.split()) == 0
    name, why = found_names(tmp_path / "n2")[1 - flower]
    assert name == "animal"
    assert why.startswith("animal 0.")
    assert "animal 0.99" not in why
    assert found[1 - flower][0] in why  # what fits better now is there as well
    assert found_names(tmp_path / "n2")[2] == ("umbrella", "")  # seen in none of no images
    assert name_shares({"n_clusters": 3}, tmp_path / "n2")[2] is None
    doc = {"n_clusters": 2, "names": ["", ""]}
    doc["names"][1 - flower] = "mine"
    assert named(doc, tmp_path / "n")[1 - flower] == "mine"
    assert class_logits("tf_efficientnet_lite0", np.zeros((2, 7), np.float32)) is None
    assert class_logits("resnet18", np.zeros((2, 1280), np.float32)) is None


def test_other_features_give_no_names(tmp_path):
    ids = np.array(["a", "b", "c"])

    def features(folder):
        x = np.eye(3, dtype=np.float32)
        return Features(ids, np.full(3, "train"), x).save(folder)

    def answer(folder):
        return Assignment(ids, np.full(3, "train"), np.eye(3, 2, dtype=np.float32) + 0.1).save(
            folder
        )

    make_artifact(tmp_path / "z", ArtifactSpec("features", {}, {}, ()), features)
    make_artifact(tmp_path / "c", ArtifactSpec("assignment", {}, {}, ()), answer)
    line = f"name --assignment {tmp_path}/c --features {tmp_path}/z --out {tmp_path}/n"
    assert main(line.split()) == 0
    assert found_names(tmp_path / "n") == [("", ""), ("", "")]


def test_a_name_that_is_seen_in_few_images_says_so_wherever_it_stands(tmp_path, monkeypatch):
    make_sample_run(tmp_path)
    monkeypatch.chdir(tmp_path)

    def write(folder):
        rows = [(0, "animal", "animal 0.9 (elsewhere 0.1), in 0.69 of the images", "0.6900")]
        rows += [(1, "lake", "", "0.9100")]
        write_csv(folder / "names.csv", ("cluster", "name", "evidence", "share"), rows)
        return {"names": ["animal", "lake"]}

    run = tmp_path / "run"
    of = {"assignment": run / "clusters"}
    make_artifact(run / "names", ArtifactSpec(NAMES_KIND, {}, of, ()), write)
    answer = FolderAssignment.load(run / "clusters", tmp_path / "raw" / "index", run / "names")
    assert (answer.doubtful(0), answer.doubtful(1)) == (0.69, None)
    answer.write(tmp_path)
    rows = read_csv(tmp_path / "assignments.csv")
    assert {(row["name"], row["name_share"]) for row in rows} == {
        ("animal", "0.69"),
        ("lake", "0.91"),
    }
    summary = FolderResult(answer, run, run / "clusters", None, None, {}, 0.0).summary()
    assert sum("[animal, seen in 69% of them]" in line for line in summary) == 1
    assert sum(line.endswith("[lake]") for line in summary) == 1
    line = "report --assignment run/clusters --names run/names --out run/report"
    assert main(line.split()) == 0
    page = (run / "report" / "report.html").read_text()
    assert page.count("name seen in 69% of them") == 2
    assert "seen in 91%" not in page
    # By hand, a name is what it is.
    assert name_shares({"n_clusters": 2, "names": ["mine", ""]}, run / "names") == [None, 0.91]
