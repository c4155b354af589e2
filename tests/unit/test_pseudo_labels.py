"""`pseudo-labels`: a network that learns the clusters of other spaces."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from helpers import make_arrays, two_kinds
from imclust import cluster_latents
from imclust.clustering.metrics import ari
from imclust.competitions.challenges import CHALLENGES
from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.data.augment import PHOTOGRAPHS
from imclust.data.colour_rule import colour_rule
from imclust.encoders import ENCODERS
from imclust.encoders._alike import alike_in_colour
from imclust.encoders.pixels import Pixels, PixelsConfig
from imclust.encoders.pseudo_labels import PseudoLabels, PseudoLabelsConfig
from imclust.encoders.scan_net import ScanNet, ScanNetConfig
from imclust.stages import download, encode, train
from imclust.training.fit import encode_all, fit
from imclust.training.pseudo_labels import PseudoLabelLoss, joint_clusters, joint_rows

CONFIG = PseudoLabelsConfig(width=8, batch=32, clusters=(4, 8))


def test_the_loss_is_the_mean_cross_entropy_of_both_views_and_all_tasks(rng):
    counts, n = (3, 5), 7
    labels = np.stack([rng.integers(0, k, n) for k in counts])
    scores = torch.tensor(rng.standard_normal((4, 8)), dtype=torch.float32)
    rows = torch.tensor([2, 6])

    class Given(nn.Module):
        def forward(self, x):
            return scores

    got = PseudoLabelLoss(labels, counts)(Given(), torch.zeros(4, 3, 2, 2), rows)
    naive, at = [], 0
    for task, k in enumerate(counts):
        for view in range(2):
            for i, row in enumerate(rows.tolist()):
                z = scores[2 * view + i, at : at + k].double().numpy()
                naive.append(np.log(np.exp(z).sum()) - z[labels[task, row]])
        at += k
    assert float(got) == pytest.approx(np.mean(naive), abs=1e-6)


def test_clusters_are_those_of_all_spaces_side_by_side(rng):
    y = np.repeat([0, 1, 2, 3], 30)
    halves = [np.eye(2)[y // 2], np.eye(2)[y % 2]]  # neither tells all four apart
    spaces = [9 * h + rng.standard_normal((120, 2)) for h in halves]
    rows = joint_rows(spaces)
    found = joint_clusters(rows, (4, 50), seed=0)
    assert ari(y, found[0]) > 0.95
    assert found.shape == (2, 120)
    assert found[1].max() + 1 == 12  # a tenth of the images
    np.testing.assert_array_equal(found, joint_clusters(rows, (4, 50), seed=0))


@pytest.mark.parametrize(("held", "least", "most"), [("groups", 0.9, 1.0), ("noise", -0.1, 0.5)])
def test_the_codes_know_what_the_spaces_know(held, least, most, tmp_path):
    """Groups that colours and shapes do not tell are learned from spaces; noise teaches none."""
    rng = np.random.default_rng(0)
    images, y = two_kinds(96, size=32)
    images = np.where(rng.random((96, 1, 1, 1)) < 0.5, images, 255 - images)  # not to be found
    space = 9 * np.eye(2)[y] if held == "groups" else np.zeros((96, 2))
    encoder = PseudoLabels(CONFIG)
    encoder.take_spaces([space + rng.standard_normal((96, 2))], 0)
    with isolated_seed(0):
        network = encoder.network()
    plan = replace(encoder.suited(encoder.plan(96), images), steps=60)
    fit(
        network, encoder.objective(96, 0), images, encoder.preprocessing,
        plan, seed=0, device="cpu", folder=tmp_path,
    )  # fmt: skip
    z = encode_all(network, encoder.encode, images, encoder.preprocessing, "cpu").numpy()
    assert least <= ari(y, cluster_latents(z, 2, "kmeans").labels) <= most


def test_what_is_learned_from_open_spaces_is_open(tmp_path, monkeypatch):
    make_arrays(tmp_path / "data")
    arrays = CHALLENGES["arrays"].config(data_dir=tmp_path / "data")
    download.run(download.Download(challenge=arrays, out=tmp_path / "raw"))
    index = tmp_path / "raw" / "index"
    config = PseudoLabelsConfig(width=8, clusters=(4,), epochs=1)
    for track in ("scratch", "open"):
        monkeypatch.setattr(Pixels, "track", track)
        weights, space, out = (tmp_path / f"{name}-{track}" for name in "pzw")
        train.run(train.Train(encoder=PixelsConfig(), index=index, out=weights))
        encode.run(encode.Encode(index=index, weights=weights, out=space))
        train.run(train.Train(encoder=config, index=index, out=out, features=(space,)))
        assert json.loads((out / "manifest.json").read_text())["track"] == track
    for wrong, features, words in (
        (config, (), "--features of pseudo-labels must be given"),
        (PixelsConfig(), (space,), "--features of pixels must be left out"),
    ):
        with pytest.raises(InputError, match=words):
            train.run(train.Train(encoder=wrong, index=index, out=tmp_path, features=features))


def test_views_of_photographs_differ_in_colour_as_neighbours_do(rng):
    n = 400
    images = rng.integers(0, 256, (n, 16, 16, 3)).astype(np.uint8) // 2
    bright = rng.uniform(0.5, 1.5, n)
    near = np.argsort(np.abs(bright[:, None] - bright), axis=1)[:, 1:6]
    shown = (images * bright[:, None, None, None]).astype(np.uint8)
    alike, strangers = colour_rule(shown, near), colour_rule(shown, rng.integers(0, n, (n, 5)))
    assert alike.jitter <= strangers.jitter
    assert strangers.jitter <= PHOTOGRAPHS.jitter
    same = np.broadcast_to(shown[:1], shown.shape)
    assert not colour_rule(same, near).colours  # nothing differs between neighbours


@pytest.mark.parametrize("name", ["simclr", "pseudo-labels"])
def test_every_encoder_has_the_colours_of_images_that_are_alike(name, rng):
    """Images that differ in brightness alone: neighbours are as bright, so views are, too."""
    base = rng.integers(60, 180, (32, 32, 3))
    images = (base * rng.uniform(0.6, 1.4, (60, 1, 1, 1))).astype(np.uint8)
    entry = ENCODERS[name]
    encoder = entry.method(entry.config())
    found = encoder.suited(encoder.plan(60), images).augmentation
    assert found == alike_in_colour(images)
    assert 0 < found.jitter < 0.2 < PHOTOGRAPHS.jitter
    assert alike_in_colour(images[:1]) == PHOTOGRAPHS  # nothing to be like
    refined = ScanNet(ScanNetConfig(), encoder)  # which knows no spaces
    assert refined.suited(refined.plan(60), images).augmentation == found
    wished = entry.method(entry.config(augmentation="photographs"))
    assert wished.suited(wished.plan(60), images).augmentation == PHOTOGRAPHS


def test_the_colours_of_two_views_differ_as_the_rule_has_measured(rng):
    """Neighbours whose brightness differs by a known jitter give that jitter back."""
    want, n = 0.3, 2000
    one = np.clip(rng.normal(100, 25, (8, 8, 3)), 0, 255)
    factor = 1 + rng.uniform(-want, want, (2 * n, 1, 1, 1))
    images = np.clip(one * factor, 0, 255).astype(np.uint8)
    near = np.concatenate([np.arange(n, 2 * n), np.arange(n)])[:, None]
    assert colour_rule(images, near).jitter == pytest.approx(want, abs=0.05)


def test_numbers_out_of_range_are_one_sentence():
    for clusters, words in (((), "at least one"), ((1,), "clusters")):
        with pytest.raises(InputError, match=words):
            PseudoLabelsConfig(clusters=clusters)
