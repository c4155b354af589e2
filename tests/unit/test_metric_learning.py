"""Learning from identities: the loss, what judges it, and an encoder that gains by it."""

import random

import numpy as np
import pytest
import torch

from imclust.clustering.learned_metric import unseen_mean
from imclust.data.loader import Preprocessing
from imclust.training import fit, metric_learning, state, weights_file
from imclust.training.arcface import (
    MARGIN,
    SCALE,
    ArcFaceLoss,
    SubcentreHead,
    margin_loss,
    retrieval,
)
from imclust.training.classifier import Classifier
from imclust.training.metric_learning import Identified, MetricLearning
from imclust.training.plan import TrainConfig


def test_the_margin_loss_as_one_row_at_a_time():
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.9, 0.9, (6, 5))
    y = rng.integers(0, 2, 6)
    allowed = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 1]] * 3, bool)
    want = []
    for row, right, may in zip(cosines, y, allowed, strict=True):
        logits = SCALE * row
        logits[right] = SCALE * np.cos(np.arccos(row[right]) + MARGIN)
        want.append(np.log(np.exp(logits[may]).sum()) - logits[right])
    got = margin_loss(torch.tensor(cosines), torch.tensor(y), torch.tensor(allowed))
    assert float(got) == pytest.approx(np.mean(want), rel=1e-5)


def test_an_identity_is_as_near_as_the_nearest_of_its_centres():
    rng = np.random.default_rng(0)
    head = SubcentreHead([3, 4], 2, 5, 2)
    codes = torch.tensor(rng.normal(size=(12, 7)), dtype=torch.float32)
    groups = torch.tensor([0, 1] * 6)
    head.begin(codes, groups, torch.arange(12) % 5)
    got = head(codes, groups).detach().numpy()
    z = codes.numpy().astype(float)
    for i in range(12):
        row = z[i] - z[groups.numpy() == int(groups[i])].mean(0)
        row = np.r_[row[:3] / np.linalg.norm(row[:3]), row[3:] / np.linalg.norm(row[3:])] / 2**0.5
        for c in range(5):
            near = [row @ v / np.linalg.norm(v) for v in head.centres[c].detach().numpy()]
            assert got[i, c] == pytest.approx(max(near), abs=1e-5)


def test_classes_of_other_groups_are_no_question():
    loss = ArcFaceLoss(np.array([0, 2]), np.array([0, 1]), np.array([0, 0, 1]), torch.zeros(2, 2))
    assert loss.allowed.tolist() == [[True, True, False], [False, False, True]]


def test_retrieval_as_one_image_at_a_time():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y, groups = rng.integers(0, 4, 20), np.repeat([0, 1], 10)
    asked = rng.random(20) < 0.7
    want = [[], []]
    for i in np.flatnonzero(asked):
        others = [j for j in range(20) if j != i and groups[j] == groups[i]]
        others.sort(key=lambda j: -(x[i] @ x[j]))
        hits = [y[j] == y[i] for j in others]
        if any(hits):
            precision = [sum(hits[: r + 1]) / (r + 1) for r in range(len(hits)) if hits[r]]
            want[groups[i]].append(np.mean(precision))
    assert retrieval(x, y, groups, asked) == pytest.approx(np.mean([np.mean(w) for w in want]))
    assert np.isnan(retrieval(x[:2], np.array([0, 1]), groups[:2], asked[:2]))


def test_a_pair_is_scored_by_the_models_that_have_seen_least_of_it():
    learned = [np.array([0, 1, 1, 0]), np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])]
    pairs = np.array([[3, 3], [0, 3], [0, 1], [2, 2]])
    scores = [np.full(4, v) for v in (1.0, 10.0, 100.0)]
    got = unseen_mean(scores, [m.astype(bool) for m in learned], pairs)
    # None has seen 3; the first has not seen 0; of 0 and 1 the first two have seen one each.
    assert got.tolist() == [37.0, 1.0, 5.5, 100.0]


def stripes(n, copies, seed):
    """Images of n identities: each a pattern of one column, in noise that is louder."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(0, 40, (n, 16))
    y = np.repeat(np.arange(n), copies)
    noise = np.repeat(rng.normal(0, 60, (len(y), 1, 16)), 16, 1)  # the same in every row
    x = 128 + patterns[y][:, :, None] + noise
    return np.repeat(x[..., None], 3, 3).clip(0, 255).astype(np.uint8), y


class Rows(torch.nn.Module):
    """Means of rows and of columns, each weighed: the identity is in the rows."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.ones(32))

    def forward(self, x):
        return torch.cat([x.mean((1, 3)), x.mean((1, 2))], 1) * self.weights


def learning(folder, seed=0, turned=False):
    network = Rows()
    head = SubcentreHead([32], 1, 12)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.nn.init.normal_(head.centres)
    classifier = Classifier(network, lambda net, x: net(x), [[network.weights]], head)
    x, y = stripes(18, 6, 1)
    if turned:
        x[y < 12] = x[y < 12].transpose(0, 2, 1, 3)
    known = Identified(x, y, np.zeros(len(y), np.int64))
    start = Preprocessing(16, (0.5,) * 3, (0.5,) * 3)
    return MetricLearning(classifier, known, y < 12, y >= 12, start, 3, seed, "cpu", folder)


def plan(depth):
    return TrainConfig(8, 16, 0.05, 0.0, "adamw", "cosine", "float32")


def test_identities_that_were_not_seen_gain_by_what_others_taught(tmp_path):
    work = learning(tmp_path)
    before = work.score()
    at = work.run([0, 1], plan)
    assert work.score() == pytest.approx(max(r["map"] for r in at.looks), abs=1e-5)
    assert at.looks[0]["map"] == pytest.approx(before, abs=1e-5)
    assert work.score() > before + 0.1


def test_what_harms_unseen_identities_is_undone(tmp_path):
    """What is learned from is turned: the identity is in what is noise to the others."""
    work = learning(tmp_path, turned=True)
    whole = work.classifier.base.weights.detach().clone()
    at = work.run([0, 1], plan)
    assert [r["epoch"] for r in at.looks] == [0, 1, 2, 3]
    assert at.looks[0]["map"] == max(r["map"] for r in at.looks)
    np.testing.assert_array_equal(work.classifier.base.weights.detach(), whole)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.mark.parametrize("seed", [0, 1])
def test_a_learning_that_is_cut_off_again_and_again_ends_in_the_same_bytes(
    tmp_path, monkeypatch, seed
):
    """It ends at a line that it prints, in the middle of a step, or between writing two files."""
    monkeypatch.setattr(fit, "KEEP_FIRST", 0.0)
    monkeypatch.setattr(fit, "KEEP_EVERY", 0.0)
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    whole = learning(tmp_path / "whole")
    want = whole.run([0, 1], plan)
    rng = random.Random(seed)
    left = 1

    def cutting(function):
        def called(*args, **settings):
            nonlocal left
            left -= 1
            if not left:
                left = rng.randint(6, 14)
                raise Killed
            return function(*args, **settings)

        return called

    for module, name in ((metric_learning, "say"), (metric_learning, "write_jsonl"),
                         (weights_file, "save_weights"), (state.State, "save")):  # fmt: skip
        monkeypatch.setattr(module, name, cutting(getattr(module, name)))
    kills = 0
    while True:
        work = learning(tmp_path / "cut")
        try:
            got = work.run([0, 1], plan)
            break
        except Killed:
            kills += 1
    assert kills > 4
    assert got == want
    for key, value in whole.classifier.state_dict().items():
        np.testing.assert_array_equal(work.classifier.state_dict()[key], value)
