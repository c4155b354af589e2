import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers import two_kinds
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import Preprocessing, to_input
from imclust.encoders.conv_ae import ConvAE, ConvAEConfig
from imclust.training.classifier import Classifier, ClassLoss, Head, find_blocks, outputs, softmax
from imclust.training.fit import fit
from imclust.training.plan import TrainConfig

SIZE = Preprocessing(16)
PLAN = TrainConfig(3, 8, 1e-2, 0, "adamw", "constant", "float32")


class Net(nn.Module):
    """A stem with its own normalisation, three stages, dropout, and a classifier nobody calls."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.stem = nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.stages = nn.Sequential(*[self.stage() for _ in range(3)])
        self.old_classifier = nn.Linear(4, 1000)

    @staticmethod
    def stage():
        return nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
        )

    def forward(self, x):
        return self.stages(self.norm(self.stem(x + self.shift))).mean((2, 3))


def encode(network, x):
    return network(x)


def net():
    with isolated_seed(0):
        return Net()


def classifier():
    network = net()
    blocks, dims = find_blocks(network, encode, 16)
    with isolated_seed(1):
        return Classifier(network, encode, blocks, Head(dims, 2))


def learn(model, tmp_path, unfrozen, objective=None):
    images, y = two_kinds(24, size=16)
    model.unfreeze(unfrozen)
    objective = objective or ClassLoss(y, np.ones(2, np.float32))
    settings = {"seed": 0, "device": "cpu", "folder": tmp_path}
    return fit(model, objective, images, SIZE, PLAN, **settings)


def names_of(network, blocks):
    name = {id(p): n for n, p in network.named_parameters()}
    return [[name[id(p)] for p in b] for b in blocks]


def test_blocks_run_from_input_to_output_and_hold_what_codes_depend_on():
    network = net()
    blocks, dims = find_blocks(network, encode, 16)
    stages = [
        [f"stages.{i}.{p}" for p in ("0.weight", "0.bias", "1.weight", "1.bias")] for i in range(3)
    ]
    assert names_of(network, blocks) == [
        ["shift", "stem.weight", "norm.weight", "norm.bias"],
        *stages,
    ]
    assert dims == 4


def test_the_autoencoders_blocks_are_its_encoders_convolutions():
    encoder = ConvAE(ConvAEConfig())
    network = encoder.network()
    blocks, dims = find_blocks(network, encoder.encode, 32)
    found = names_of(network, blocks)
    assert found == [[f"encoder.{i}.weight", f"encoder.{i}.bias"] for i in (0, 3, 6)]
    assert dims == 4096


@pytest.mark.parametrize("unfrozen", [0, 1, 3, 4])
def test_only_the_last_blocks_and_the_head_learn(tmp_path, unfrozen):
    model = classifier()
    before = copy.deepcopy(model.state_dict())
    learn(model, tmp_path, unfrozen)
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    blocks = names_of(model.base, model._blocks)[4 - unfrozen :]
    want = {f"base.{n}" for b in blocks for n in b} | {"head.linear.weight", "head.linear.bias"}
    # A convolution's bias before a normalisation by fixed statistics is no loose end: all move.
    assert changed == want


def test_the_base_computes_the_same_in_training_mode():
    model = classifier()
    images, _ = two_kinds(8, size=16)
    x = to_input(images, SIZE, "cpu")
    model.unfreeze(4)
    a, b, c = model.eval()(x), model.train()(x), model.train()(x)
    assert model.training
    assert torch.equal(a, b)
    assert torch.equal(b, c)


def test_codes_computed_once_teach_the_head_what_images_do(tmp_path):
    """The fast probe against its naive twin, which encodes every batch anew."""
    images, y = two_kinds(24, size=16)
    fast, naive = classifier(), classifier()
    blocks = [images[:10], images[10:]]
    codes = torch.from_numpy(outputs(fast, lambda _, x: fast.codes(x), blocks, SIZE, "cpu"))
    for model in (fast, naive):
        model.head.standardise(codes)
    for name in ("fast", "naive"):
        (tmp_path / name).mkdir()
    learn(naive, tmp_path / "naive", 0)
    pixels = np.zeros((24, 1, 1, 3), np.uint8)
    objective = ClassLoss(y, np.ones(2, np.float32), codes)
    settings = {"seed": 0, "device": "cpu", "folder": tmp_path / "fast"}
    fit(fast.head, objective, pixels, Preprocessing(1), PLAN, **settings)
    for a, b in zip(fast.parameters(), naive.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_standardised_codes_are_centred_and_of_unit_mean_variance(rng):
    codes = torch.tensor(rng.normal(5, [1, 1e-9, 3], (500, 3)), dtype=torch.float32)
    head = Head(3, 2)
    head.standardise(codes)
    z = (codes - head.mean) / head.spread
    torch.testing.assert_close(z.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    assert float(z.square().mean()) == pytest.approx(1, rel=1e-3)
    assert float(z[:, 1].std()) < 1e-3
    head.standardise(torch.ones(5, 3))
    assert torch.isfinite(head(torch.ones(5, 3))).all()


def test_the_weighted_loss_is_the_formula_read_aloud(rng):
    logits = torch.tensor(rng.standard_normal((6, 3)), dtype=torch.float32)
    y, w = rng.integers(0, 3, 9), np.array([0.5, 1, 2], np.float32)
    rows = torch.tensor([8, 0, 3, 3, 5, 1])
    got = ClassLoss(y, w)(nn.Identity(), logits, rows)
    each = [
        w[y[r]] * -functional.log_softmax(z, 0)[y[r]] for z, r in zip(logits, rows, strict=True)
    ]
    assert float(got) == pytest.approx(float(sum(each)) / 6, rel=1e-5)


def test_softmax_of_large_logits_sums_to_one():
    p = softmax(np.array([[1e4, 0, -1e4], [3, 3, 3]], np.float32))
    np.testing.assert_allclose(p, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)
    assert p.dtype == np.float32
