"""Losses of views beside loops written from the papers, and what their trainings promise."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from imclust.clustering.metrics import hungarian_accuracy
from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import to_input
from imclust.encoders import ENCODERS, revive_encoder
from imclust.training import fit as fitting
from imclust.training import losses
from imclust.training.fit import fit
from imclust.training.losses import NTXentLoss, nt_xent, spread, vicreg
from imclust.training.scan import neighbour_loss, taught_loss
from imclust.training.state import RESUME

FROM_VIEWS = ("simclr", "vicreg")


@pytest.fixture
def pair(rng):
    a, b = rng.standard_normal((2, 7, 5))
    return torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32)


def cosine(u, v):
    return float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))


def test_nt_xent_is_equation_1_read_aloud(pair):
    a, b = pair
    z = [*a.numpy(), *b.numpy()]
    total = 0.0
    for i in range(14):
        j = (i + 7) % 14
        others = sum(math.exp(cosine(z[i], z[k]) / 0.3) for k in range(14) if k != i)
        total -= math.log(math.exp(cosine(z[i], z[j]) / 0.3) / others)
    assert float(nt_xent(a, b, 0.3)) == pytest.approx(total / 14, rel=1e-4)


def test_vicreg_is_equations_1_to_6_read_aloud(pair):
    a, b = (t.double().numpy() for t in pair)
    n, d = a.shape
    invariance = sum((a[i, j] - b[i, j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    variance = covariance = 0.0
    for z in (a, b):
        mean = [sum(z[:, j]) / n for j in range(d)]
        for j in range(d):
            var = sum((z[i, j] - mean[j]) ** 2 for i in range(n)) / (n - 1)
            variance += max(0.0, 1 - math.sqrt(var + 1e-4)) / d
            for k in range(d):
                if k != j:
                    c = sum((z[i, j] - mean[j]) * (z[i, k] - mean[k]) for i in range(n)) / (n - 1)
                    covariance += c**2 / d
    want = 25 * invariance + 20 * variance + 2 * covariance
    assert float(vicreg(*pair, 25, 20, 2)) == pytest.approx(want, rel=1e-4)


class Linear(nn.Module):
    """A network of one matrix, flat images in."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Flatten()
        self.projector = nn.Linear(12, 4)

    def forward(self, x):
        return self.projector(self.backbone(x))


def test_scans_two_losses_read_aloud(rng):
    logits = torch.tensor(rng.standard_normal((6, 3)), dtype=torch.float32)
    q = torch.tensor(rng.dirichlet(np.ones(3), (6, 4)), dtype=torch.float32)
    log_p = logits.log_softmax(1)
    p = log_p.exp().double().numpy()
    agree = np.mean([math.log(float(p[i] @ q[i, j].double().numpy()))
                     for i in range(6) for j in range(4)])  # fmt: skip
    mean = p.mean(0)
    want = -agree - 5 * -sum(m * math.log(m) for m in mean)
    assert float(neighbour_loss(log_p, q, 5.0)) == pytest.approx(want, rel=1e-4)
    answers = torch.tensor([[0.98, 0.01, 0.01], [0.97, 0.02, 0.01], [0.01, 0.98, 0.01],
                            [0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.2, 0.6, 0.2]])  # fmt: skip
    each = -log_p.numpy()
    want = ((each[0, 0] + each[1, 0]) / 2 + each[2, 1]) / 2  # clusters count the same
    assert float(taught_loss(log_p, answers, 0.95)) == pytest.approx(float(want), rel=1e-4)
    assert float(taught_loss(log_p, answers, 0.999)) == 0


def built(name, **settings):
    """An encoder whose views overlook colours, as the images here want it."""
    views = {"width": 8, "batch": 64, "augmentation": "photographs"}
    more = {"n_clusters": 2, "batch": 64} if name == "scan-net" else views
    doc = {"method": name, **more, **settings}
    if name == "scan-net":
        doc["base"] = {"method": "simclr", **views}
    return revive_encoder(doc)


def trained(encoder, images, folder, *, epochs, seed=0, network=None):
    if network is None:
        with isolated_seed(seed):
            network = encoder.network()
    plan = encoder.suited(encoder.plan(len(images)), images)
    fit(
        network, encoder.objective(len(images), seed), images, encoder.preprocessing,
        replace(plan, epochs=epochs, precision="float32"),
        seed=seed, device="cpu", folder=folder, encode=encoder.encode,
    )  # fmt: skip
    return network


def codes(encoder, network, images):
    with torch.inference_mode():
        return encoder.encode(
            network.eval(), to_input(images, encoder.preprocessing, "cpu")
        ).numpy()


def grouped(z, seed=0):
    from sklearn.cluster import KMeans

    rows = (z - z.mean(0)) / (np.linalg.norm(z - z.mean(0), axis=1, keepdims=True) + 1e-9)
    return KMeans(2, n_init=5, random_state=seed).fit_predict(rows)


def nearest_other(z):
    distance = np.linalg.norm(z[:, None] - z[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return distance.argmin(1)


def textures(n, seed=0):
    """Stripes across or checks, of any colour and phase: what views leave alone."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    r, c = np.mgrid[:32, :32]
    images = []
    for kind in y:
        phase, period = rng.integers(0, 8, 2), rng.integers(6, 9)
        across = (r + phase[0]) // (period // 2) % 2
        down = (c + phase[1]) // (period // 2) % 2
        pattern = across if kind == 0 else across ^ down
        dark, light = rng.integers(0, 100, 3), rng.integers(150, 256, 3)
        images.append(np.where(pattern[..., None], light, dark))
    noisy = np.array(images) + rng.normal(0, 8, (n, 32, 32, 3))
    return noisy.clip(0, 255).astype(np.uint8), y


@pytest.mark.parametrize("name", FROM_VIEWS)
def test_a_few_steps_separate_two_kinds_and_make_nothing_of_noise(name, tmp_path):
    images, y = textures(256)
    encoder = built(name)
    z = codes(encoder, trained(encoder, images, tmp_path, epochs=16), images)
    assert (y == y[nearest_other(z)]).mean() > 0.9
    assert hungarian_accuracy(y, grouped(z)) > 0.85
    noise = np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3), dtype=np.uint8)
    (tmp_path / "noise").mkdir()
    z = codes(encoder, trained(encoder, noise, tmp_path / "noise", epochs=4), noise)
    assert hungarian_accuracy(y, grouped(z)) < 0.62
    assert (y == y[nearest_other(z)]).mean() < 0.65


def test_scan_net_makes_clusters_of_what_simclr_learned(tmp_path):
    images, y = textures(256)
    base = built("simclr")
    start = trained(base, images, tmp_path, epochs=6)
    encoder = built("scan-net")
    with isolated_seed(0):
        network = encoder.upon(start)
    (tmp_path / "scan").mkdir()
    network = trained(encoder, images, tmp_path / "scan", epochs=6, network=network)
    z = codes(encoder, network, images)
    width, k = encoder.parts(network)
    assert z.shape == (256, width + k)
    np.testing.assert_allclose(z[:, width:].sum(1), 1, atol=1e-4)
    assert hungarian_accuracy(y, z[:, width:].argmax(1)) > 0.85


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", [*FROM_VIEWS, "scan-net"])
def test_killed_and_resumed_it_ends_in_the_same_weights(name, tmp_path, monkeypatch):
    images, _ = textures(96)
    encoder = built(name)
    start = trained(built("simclr"), images, tmp_path, epochs=2) if name == "scan-net" else None

    def network():
        if start is None:
            return None
        with isolated_seed(0):
            return encoder.upon(copy.deepcopy(start))

    (tmp_path / "whole").mkdir()
    whole = trained(encoder, images, tmp_path / "whole", epochs=3, network=network()).state_dict()
    monkeypatch.setattr(fitting, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(fitting, "LOG_EVERY", 1)
    folder = tmp_path / "broken"
    folder.mkdir()
    kind = type(encoder.objective(96, 0))
    calls, forward = [], kind.forward

    def dies(self, *args):
        calls.append(1)
        if len(calls) == 5:
            raise Killed
        return forward(self, *args)

    monkeypatch.setattr(kind, "forward", dies)
    with pytest.raises(Killed):
        trained(encoder, images, folder, epochs=3, network=network())
    assert (folder / RESUME).is_file()
    again = trained(encoder, images, folder, epochs=3, network=network()).state_dict()
    assert len(calls) == 7  # the five, of which four were kept, and the two that were left
    for name_, tensor in whole.items():
        assert torch.equal(tensor, again[name_]), name_


def test_spread_is_one_for_random_directions_and_zero_for_one(rng):
    z = torch.tensor(rng.standard_normal((2000, 64)), dtype=torch.float32)
    assert float(spread(z)) == pytest.approx(1, abs=0.02)
    assert float(spread(torch.ones(20, 64))) == pytest.approx(0, abs=1e-6)


def test_a_collapse_is_detected_and_said(monkeypatch):
    class One(nn.Module):
        def forward(self, x):
            return torch.ones(len(x), 8) + 1e-5 * x.flatten(1)[:, :8]

    monkeypatch.setattr(losses, "CHECK_EVERY", 1)
    x = torch.rand(8, 3, 4, 4)
    with pytest.raises(InputError, match=r"one for all .* the training collapsed; lower"):
        NTXentLoss(0.2)(One(), x, torch.arange(4))


def test_scan_net_says_that_its_clusters_collapsed(tmp_path, monkeypatch):
    from imclust.training import scan as scan_training

    images, _ = textures(64)
    encoder = built("scan-net")
    network = encoder.network()
    objective = encoder.objective(64, 0)

    def all_in_one(self, net, z):
        net.head.weight.data.zero_()
        net.head.bias.data.copy_(torch.tensor([9.0, 0.0]))

    monkeypatch.setattr(scan_training.ScanTraining, "_start", all_in_one)
    sweep = torch.from_numpy(codes(encoder, network, images))
    with pytest.raises(InputError, match="collapsed; raise --balance"):
        objective.begin_epoch(network, 0, lambda: sweep)


def test_sizes_and_rates_out_of_range_are_one_sentence():
    for name, wrong, word in (
        ("simclr", {"size": 40}, "multiple of 16"),
        ("vicreg", {"size": 16}, "size"),
        ("scan-net", {"n_clusters": 1}, "n_clusters"),
    ):
        with pytest.raises(InputError, match=word):
            ENCODERS[name].config(**wrong)
