import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers import two_kinds
from imclust.clustering.torch_kmeans import kmeans
from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed, step_generator
from imclust.data.augment import PRESETS
from imclust.data.loader import Preprocessing
from imclust.encoders.conv_ae import ConvAE, ConvAEConfig
from imclust.encoders.local_aggregation import LocalAggregation, LocalAggregationConfig
from imclust.encoders.pixels import Pixels, PixelsConfig
from imclust.training import fit as fitting
from imclust.training.fit import fit
from imclust.training.memory_bank import LocalAggregationLoss, local_aggregation
from imclust.training.plan import TrainConfig


def unit(rng, n, d):
    x = rng.standard_normal((n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def read_aloud(v, bank, labels, rows, k, t):
    """The paper's formula, image by image, with sets."""
    losses = []
    for code, i in zip(v.astype(float), rows, strict=True):
        density = [math.exp(float(code @ m) / t) for m in bank]
        whole = sum(density)
        others = sorted(set(range(len(bank))) - {i}, key=lambda j: -density[j])
        background = {i, *others[: k - 1]}
        close = {j for run in labels for j in range(len(bank)) if run[j] == run[i]}
        p_both = sum(density[j] for j in close & background) / whole
        losses.append(-math.log(p_both / (sum(density[j] for j in background) / whole)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("k", [1, 2, 9, 40, 4096])
@pytest.mark.parametrize("runs", [1, 3])
def test_the_loss_is_the_formula_read_aloud(rng, k, runs):
    bank, rows = unit(rng, 40, 6), rng.permutation(40)[:8]
    v = bank[rows] + 0.4 * rng.standard_normal((8, 6)).astype(np.float32)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    labels = rng.integers(0, 5, (runs, 40)).astype(np.int32)
    got = local_aggregation(*map(torch.from_numpy, (v, bank, labels, rows)), k, 0.07)
    want = read_aloud(v, bank, labels, rows, k, 0.07)
    assert float(got) == pytest.approx(want, rel=1e-4, abs=1e-5)


def test_images_alone_in_their_clusters_make_it_instance_discrimination(rng):
    bank, rows = torch.from_numpy(unit(rng, 30, 5)), torch.arange(7)
    alone = torch.arange(30)[None]
    got = local_aggregation(bank[rows], bank, alone, rows, 30, 0.07)
    assert torch.allclose(got, functional.cross_entropy(bank[rows] @ bank.T / 0.07, rows))


def lloyd_aloud(x, k, start, iterations):
    centres = x[start].astype(float)
    for step in range(iterations + 1):
        d = [[float(((row - c) ** 2).sum()) for c in centres] for row in x]
        labels = [int(np.argmin(row)) for row in d]
        if step == iterations:
            return labels
        far = sorted(range(len(x)), key=lambda i: -d[i][labels[i]])
        for c in range(k):
            mine = [i for i, label in enumerate(labels) if label == c]
            centres[c] = x[mine].mean(0) if mine else x[far.pop(0)]
    return labels


@pytest.mark.parametrize(("k", "copies"), [(2, 1), (7, 1), (12, 3), (40, 1)])
def test_kmeans_is_lloyds_loop_written_out(rng, k, copies, monkeypatch):
    monkeypatch.setattr("imclust.clustering.torch_kmeans.BLOCK", 3 * k)
    x = rng.standard_normal((60 // copies, 4)).astype(np.float32).repeat(copies, 0)
    start = torch.randperm(60, generator=step_generator(5))[:k].numpy()
    got = kmeans(torch.from_numpy(x), k, step_generator(5), iterations=6)
    assert got.tolist() == lloyd_aloud(x, k, start, 6)


def test_kmeans_gives_every_kind_a_centre_although_some_start_twice_in_one(rng):
    spots = 20 * torch.eye(8)
    x = spots.repeat_interleave(10, 0) + 0.1 * torch.from_numpy(
        rng.standard_normal((80, 8)).astype(np.float32)
    )
    same = torch.cat([x[:1].expand(60, 8), x])  # most starts fall on one and the same row
    labels = kmeans(same, 20, step_generator(0), iterations=20)
    seen = {frozenset(labels[60 + 10 * i : 70 + 10 * i].tolist()) for i in range(8)}
    assert all(a.isdisjoint(b) for a in seen for b in seen if a is not b)


def small_network():
    with isolated_seed(0):
        layers = nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3)
        return nn.Sequential(*layers)


def small_codes(network, x):
    return functional.normalize(network(x).float().mean((2, 3)), dim=1)


def objective(kind=LocalAggregationLoss, start="codes", warmup=0, **more):
    return kind(
        small_codes, 50, 6, start=start, centroids=5, runs=2, refresh=2, warmup=warmup,
        neighbours=20, temperature=0.07, mixing=0.5, seed=0, **more,
    )  # fmt: skip


PLAN = TrainConfig(3, 16, 0.02, 1e-4, "sgd", "one-cycle", "float32", augmentation=PRESETS["crop"])


def train(folder, loss):
    network = small_network()
    fit(network, loss, two_kinds(50)[0], Preprocessing(32), PLAN, seed=0, device="cpu",
        folder=folder, encode=small_codes)  # fmt: skip
    return network


class Killed(Exception):
    pass


class Mortal(LocalAggregationLoss):
    steps_left = 0

    def forward(self, network, x, rows):
        self.steps_left -= 1
        if self.steps_left < 0:
            raise Killed
        return super().forward(network, x, rows)


@pytest.mark.parametrize("at", [2, 5, 8, 11])
def test_a_training_killed_at_any_step_ends_in_the_same_weights_and_memory(
    tmp_path, monkeypatch, at
):
    whole = objective()
    want = train(tmp_path, whole)
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    folder = tmp_path / "broken"
    folder.mkdir()
    broken = objective(Mortal)
    broken.steps_left = at
    with pytest.raises(Killed):
        train(folder, broken)
    assert (folder / "resume.pt").exists()
    resumed = objective()
    got = train(folder, resumed)
    for name, a in want.state_dict().items():
        assert torch.equal(a, got.state_dict()[name]), name
    assert torch.equal(whole.bank, resumed.bank)
    assert torch.equal(whole.labels, resumed.labels)


def test_the_memory_mixes_without_gradient_and_only_in_training(rng):
    loss, network = objective(start="sphere"), small_network().train()
    x = torch.from_numpy(rng.standard_normal((4, 3, 32, 32)).astype(np.float32))
    rows = torch.arange(4)
    before = loss.bank.clone()
    statistics = network[1].running_mean.clone()
    loss.eval()(network, x, rows)
    assert torch.equal(loss.bank, before)
    loss.train()(network, x, rows).backward()
    codes = small_codes(network.eval(), x)
    want = functional.normalize(0.5 * before[:4] + 0.5 * codes, dim=1)
    torch.testing.assert_close(loss.bank[:4], want)
    assert torch.equal(loss.bank[4:], before[4:])
    assert not loss.bank.requires_grad
    assert all(p.grad is not None for p in network.parameters())
    assert torch.equal(network[1].running_mean, statistics)


def test_clusters_come_after_the_warm_up_and_then_by_schedule(rng):
    loss = objective(warmup=1)
    codes = torch.from_numpy(unit(rng, 50, 6))
    seen = []
    for epoch in range(5):
        loss.begin_epoch(None, epoch, lambda: codes)
        seen.append(loss.labels.clone())
    assert torch.equal(loss.bank, codes)
    assert torch.equal(seen[0][0], torch.arange(50, dtype=torch.int32))
    changed = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert changed == [True, False, True, False]
    assert all(len(run.unique()) <= 5 for run in seen[1])
    assert not torch.equal(seen[1][0], seen[1][1])


def test_codes_that_are_all_one_are_refused(rng):
    loss = objective()
    one = torch.from_numpy(unit(rng, 1, 6)).expand(50, 6)
    with pytest.raises(InputError, match="different from each other; got one code for all"):
        loss.begin_epoch(None, 0, lambda: one)


def test_the_vector_is_the_mean_over_positions_of_the_bases_code():
    base = ConvAE(ConvAEConfig())
    encoder = LocalAggregation(LocalAggregationConfig(), base)
    with isolated_seed(0):
        network = encoder.network().eval()
    x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
    with torch.inference_mode():
        code = network.encoder(x).mean((2, 3))
        got = encoder.encode(network, x)
    assert got.shape == (2, 256) == (2, encoder.objective(20, 0).bank.shape[1])
    torch.testing.assert_close(got, code / code.norm(dim=1, keepdim=True))


def test_what_cannot_be_refined_is_refused():
    with pytest.raises(InputError, match="can be trained"):
        LocalAggregation(LocalAggregationConfig(), Pixels(PixelsConfig())).network()
    many = LocalAggregation(LocalAggregationConfig(centroids=21), ConvAE(ConvAEConfig()))
    with pytest.raises(InputError, match=r"centroids must be in \[2, 20\]"):
        many.objective(20, 0)
    with pytest.raises(InputError, match="temperature"):
        LocalAggregationConfig(temperature=0)
