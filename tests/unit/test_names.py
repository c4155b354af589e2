"""Names of clusters, by what a classifier sees in them."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from imclust.__main__ import main
from imclust.clustering.cluster_names import LEAST, NAMING, TWICE, name_clusters
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.records import Assignment, Features, found_names, named
from imclust.encoders.class_head import class_probabilities, imagenet_words

WORDS = imagenet_words()


def mass_of(classes, share=0.8):
    """Images (n, c) that a classifier takes for these classes, as masses of the words."""
    p = np.full((len(classes), 1000), (1 - share) / 999)
    p[np.arange(len(classes)), classes] = share
    return p @ WORDS.members


def classes_of(word):
    return np.flatnonzero(WORDS.members[:, WORDS.words.index(word)])


def names(classes, labels):
    found = name_clusters(mass_of(classes), WORDS.rarity, WORDS.words, labels, labels.max() + 1)
    return [each.name for each in found]


def test_the_table_knows_the_classes_and_what_they_are_kinds_of():
    assert WORDS.members.shape == (1000, len(WORDS.words))
    assert len(classes_of("dog")) == 116 + 2  # breeds, and the two that are called so
    assert WORDS.words[0] == "tench"
    assert set(classes_of("school bus")) < set(classes_of("bus"))


def test_one_class_is_called_by_its_name_and_many_by_a_common_word():
    dogs, buses = classes_of("dog"), np.repeat(classes_of("school bus"), 40)
    cats = classes_of("big cat")
    classes = np.concatenate([dogs, buses, cats])
    labels = np.repeat([0, 1, 2], [len(dogs), len(buses), len(cats)])
    assert names(classes, labels) == ["dog", "school bus", "big cat"]


def test_among_dogs_the_breed_tells():
    breeds = classes_of("dog")[[3, 40]]
    found = names(np.repeat(breeds, 30), np.repeat([0, 1], 30))
    assert len(set(found)) == 2
    assert "dog" not in found


def test_no_word_names_two_clusters_and_none_what_it_does_not_fit():
    same = np.repeat(classes_of("school bus"), 60)
    assert names(same, np.repeat([0, 1], 30)) == ["", ""]  # nothing tells them apart
    rng = np.random.default_rng(0)
    noise = rng.dirichlet(np.ones(1000), 60) @ WORDS.members
    found = name_clusters(noise, WORDS.rarity, WORDS.words, np.repeat([0, 1], 30), 3)
    assert [each.name for each in found] == ["", "", ""]
    assert found[2].evidence == ()


def test_the_evidence_is_the_shares(rng):
    mass = rng.random((40, 5))
    labels = rng.integers(0, 3, 40)
    found = name_clusters(mass, np.ones(5), tuple("abcde"), labels, 3)
    for c, each in enumerate(found):
        for word, here, there in each.evidence:
            v = "abcde".index(word)
            mine = mass[labels == c, v].mean()
            rest = np.mean([mass[labels == o, v].mean() for o in range(3) if o != c])
            assert (here, there) == pytest.approx((mine, rest))
            assert here >= LEAST
        if each.name:
            _, here, there = next(e for e in each.evidence if e[0] == each.name)
            assert here >= max(NAMING, TWICE * there)


def test_the_bundled_network_knows_a_flower_and_says_nothing_of_other_widths(tmp_path):
    """Through the stages: two photographs, thirty crops of each."""
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "x").mkdir()
    for n, image in enumerate(load_sample_images().images):
        for i in range(6):
            y, x = rng.integers(0, 60, 2)
            Image.fromarray(image[y : y + 360, x : x + 520]).save(tmp_path / "x" / f"{n}-{i}.png")
    for line in (
        "download --out {0}/raw folder --data-dir {0}/x",
        "train --index {0}/raw/index --out {0}/w timm --pool mean_std --layers 4",
        "encode --index {0}/raw/index --weights {0}/w --out {0}/z",
        "cluster --features {0}/z --index {0}/raw/index --out {0}/c --n-clusters 2 kmeans",
        "name --assignment {0}/c --features {0}/z --out {0}/n",
    ):
        assert main(line.format(tmp_path).split()) == 0
    answer = Assignment.load(tmp_path / "c")
    flower = int(answer.clusters[answer.ids.tolist().index("1-0.png")])
    found = found_names(tmp_path / "n")
    assert found[1 - flower][0] in {
        "monastery",
        "palace",
        "religious residence",
        "residence",
        "building",
    }
    doc = {"n_clusters": 2, "names": ["", ""]}
    doc["names"][1 - flower] = "mine"
    assert named(doc, tmp_path / "n")[1 - flower] == "mine"
    assert class_probabilities("tf_efficientnet_lite0", np.zeros((2, 7), np.float32)) is None
    assert class_probabilities("resnet18", np.zeros((2, 1280), np.float32)) is None


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
