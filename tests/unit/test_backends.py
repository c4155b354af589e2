import numpy as np
import pytest
import torch
from torch import nn

from helpers import two_kinds
from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import Preprocessing
from imclust.training import backends
from imclust.training.backends import Codes, TorchBackend, batch_size, least_cosine, pick_backend

SIZE = Preprocessing(32)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        with isolated_seed(0):
            self.layers = nn.Sequential(
                nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU()
            )

    def forward(self, x):
        return self.layers(x).mean((2, 3))


class Tight(Small):
    """A network for which memory ends after `most` images."""

    def __init__(self, most):
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("no more")
        return super().forward(x)


def codes(network=None, flip=False):
    return Codes(lambda n, x: n(x), network or Small(), SIZE, flip)


def through(backend, images, batch=8):
    return np.concatenate(
        list(backend.stream(images[a : a + batch] for a in range(0, len(images), batch)))
    )


@pytest.fixture
def images():
    return two_kinds(20)[0]


def test_out_of_memory_halves_the_batch_for_good_and_changes_nothing(images, capsys):
    whole = through(TorchBackend(codes(), "cpu"), images)
    tight = Tight(3)
    got = through(TorchBackend(codes(tight), "cpu"), images)
    np.testing.assert_allclose(got, whole, rtol=1e-5, atol=1e-6)
    assert tight.seen[:3] == [8, 4, 2]
    assert max(tight.seen[3:]) == 2
    assert "going on with 2" in capsys.readouterr().out


def test_an_image_too_large_for_memory_is_refused(images):
    with pytest.raises(InputError, match="One image must fit into memory"):
        through(TorchBackend(codes(Tight(0)), "cpu"), images)


def test_another_error_is_not_mistaken_for_memory(images):
    class Wrong(Small):
        def forward(self, x):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        through(TorchBackend(codes(Wrong()), "cpu"), images)


def picked(images, network=None, total=10**6, wish="auto", precision="auto"):
    return pick_backend(codes(network), images, total, 8, "cpu", wish, precision)


def test_the_engine_agrees_with_torch_whatever_the_batch(images):
    engine, facts = picked(images)
    assert engine.name == "openvino"
    assert facts["agreement"] >= backends.AGREEMENT
    want = through(TorchBackend(codes(), "cpu"), images)
    for batch in (20, 8, 3):
        assert least_cosine(want, through(engine, images, batch)) >= backends.AGREEMENT
    exact, _ = picked(images, precision="float32")
    assert exact.precision == "float32"
    np.testing.assert_allclose(through(exact, images), want, rtol=1e-3, atol=1e-4)


def test_few_images_are_not_worth_compiling_for(images):
    assert picked(images, total=20)[0].name == "torch"
    assert picked(images, total=20, wish="openvino")[0].name == "openvino"
    assert picked(images, wish="torch")[0].name == "torch"


def test_features_that_disagree_are_left_to_torch(images, monkeypatch):
    monkeypatch.setattr(backends, "AGREEMENT", 1.5)
    assert picked(images)[0].name == "torch"
    with pytest.raises(InputError, match="got cosine"):
        picked(images, wish="openvino")


def test_an_operator_that_the_engine_lacks_is_left_to_torch(images, capsys):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[:, 0]).abs()

    assert picked(images, Odd())[0].name == "torch"
    assert "torch does" in capsys.readouterr().out


def test_a_gpu_wish_for_openvino_is_refused(images):
    with pytest.raises(InputError, match="got device cuda"):
        pick_backend(codes(), images, 10, 8, "cuda", "openvino", "auto")


def test_flip_averaging_does_not_know_left_from_right(images):
    backend = TorchBackend(codes(flip=True), "cpu")
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    np.testing.assert_allclose(through(backend, images), through(backend, mirrored), atol=1e-5)
    plain = TorchBackend(codes(), "cpu")
    want = (through(plain, images) + through(plain, mirrored)) / 2
    np.testing.assert_allclose(through(backend, images), want, atol=1e-5)


def test_nan_latents_are_refused(images):
    class Broken(Small):
        def forward(self, x):
            return super().forward(x) * float("nan")

    with pytest.raises(InputError, match="latents must be finite"):
        through(TorchBackend(codes(Broken()), "cpu"), images)


def test_least_cosine_is_the_loop_written_out(rng):
    a, b = rng.standard_normal((2, 6, 5))
    a[2] = b[2] = 0
    want = min(
        1.0 if not p.any() else p @ q / (np.linalg.norm(p) * np.linalg.norm(q))
        for p, q in zip(a, b, strict=True)
    )
    assert least_cosine(a, b) == pytest.approx(want)


def test_batches_shrink_as_images_grow():
    assert batch_size(32, "cpu") == 256
    assert batch_size(224, "cpu") == 8
    assert batch_size(4096, "cpu") == 1
    assert batch_size(224, "cuda") == 512
