"""What every registered encoder promises."""

import numpy as np
import pytest
import torch

from helpers import two_kinds, two_textures
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import to_input
from imclust.encoders import ENCODERS
from imclust.training.fit import fit
from imclust.training.weights_file import load_weights, save_weights

ALL = [e for e in ENCODERS if getattr(e.method, "reads", "images") == "images"]
VIEWS = ("simclr", "vicreg", "pseudo-labels")
SETTINGS = {
    "vgg-ae": {"size": 32},
    "vgg16": {"size": 32},
    "timm": {"size": 64},
    "local-aggregation": {"augmentation": "none"},
    "patch-dictionary": {"words": 20},
    "scan-net": {"n_clusters": 2, "lr": 2e-3},
} | {name: {"width": 8} for name in VIEWS}
EPOCHS = {"vgg-ae": 2, "conv-ae": 3}  # where eight take long
IMAGES = {"vgg-ae": 16, "conv-ae": 48}  # where 96 take long
COLOUR_BLIND = {"power-spectrum", "hog", "lbp", "scattering"}  # by what they are
BASE = {"local-aggregation": "conv-ae", "scan-net": "simclr"}  # of encoders that refine another


def built(entry):
    config = entry.config(**SETTINGS.get(entry.name, {}))
    base = [built(ENCODERS[BASE[entry.name]])] if entry.name in BASE else []
    return entry.method(config, *base)


def made(entry, seed=0):
    encoder = built(entry)
    with isolated_seed(seed):
        return encoder, encoder.network()


def batch(encoder, n=6):
    images, y = two_kinds(n, size=encoder.preprocessing.size)
    return to_input(images, encoder.preprocessing, "cpu"), y


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_codes_are_rows_of_finite_numbers_and_each_image_stands_alone(entry):
    encoder, network = made(entry)
    x, _ = batch(encoder)
    network.eval()
    with torch.inference_mode():
        z = encoder.encode(network, x)
        alone = torch.cat([encoder.encode(network, x[i : i + 1]) for i in range(len(x))])
    assert z.dtype == torch.float32
    assert z.ndim == 2
    assert torch.isfinite(z).all()
    torch.testing.assert_close(z, alone, rtol=1e-3, atol=1e-4)
    assert encoder.track in {"scratch", "open"}
    assert entry.paper


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_reconstruction_has_the_shape_of_its_input(entry):
    encoder, network = made(entry)
    x, _ = batch(encoder)
    if encoder.decodes:
        assert encoder.reconstruct(network, x).shape == x.shape


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_weights_survive_a_round_trip(entry, tmp_path):
    encoder, network = made(entry)
    save_weights(tmp_path / "w.safetensors", network, {})
    _, other = made(entry, seed=1)
    load_weights(tmp_path / "w.safetensors", other)
    x, _ = batch(encoder)
    with torch.inference_mode():
        a, b = (encoder.encode(n.eval(), x) for n in (network, other))
    assert torch.equal(a, b)


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.name)
def test_a_few_steps_lower_the_loss_and_codes_tell_two_kinds_apart(entry, tmp_path):
    encoder, network = made(entry)
    kinds = two_textures if entry.name in COLOUR_BLIND else two_kinds
    n = IMAGES.get(entry.name, 96)
    images, y = kinds(n, size=encoder.preprocessing.size)
    if (plan := encoder.plan(n)) is not None:
        import dataclasses

        epochs = EPOCHS.get(entry.name, 8)
        short = dataclasses.replace(plan, epochs=epochs, checkpoints=())
        if encoder.needs_spaces:
            encoder.take_spaces([images.reshape(n, -1).astype(np.float32)], 0)
        loss = encoder.objective(n, 0)
        log = fit(
            network, loss, images, encoder.preprocessing, short,
            seed=0, device="cpu", folder=tmp_path, encode=encoder.encode,
        )  # fmt: skip
        x = to_input(images, encoder.preprocessing, "cpu")
        if plan.views == 1:  # what several views lower has tests of its own
            with torch.inference_mode():
                rows = torch.arange(n)
                fresh = float(loss(made(entry)[1], x, rows))
                assert float(loss(network, x, rows)) < 0.7 * fresh
        assert log[-1]["step"] == epochs * -(-n // plan.batch)
    x = to_input(images, encoder.preprocessing, "cpu")
    with torch.inference_mode():
        if encoder.learns_at_once:
            encoder.learn(network, images, 0)
        z = encoder.encode(network.eval(), x).numpy()
    d = np.linalg.norm(z[:, None] - z[None], axis=2)
    np.fill_diagonal(d, np.inf)
    assert (y[d.argmin(1)] == y).mean() > 0.95
