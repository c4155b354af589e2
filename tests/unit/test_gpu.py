"""What a CUDA GPU computes, against the CPU; skipped where there is none."""

import json

import numpy as np
import pytest
import torch

from helpers import two_kinds
from imclust.__main__ import main
from imclust.core.records import Features

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")

TRAINED = {
    "conv-ae": [],
    "simclr": ["--width", "8"],
    "vicreg": ["--width", "8"],
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """120 images of two kinds, indexed."""
    at = tmp_path_factory.mktemp("gpu")
    np.save(at / "trainX.npy", two_kinds(120)[0])
    assert main(["download", "--out", f"{at}/raw", "arrays", "--data-dir", str(at)]) == 0
    return at


def encoded(raw, weights, name, *flags):
    words = ["--index", f"{raw}/raw/index", "--weights", str(weights), "--out", f"{raw}/{name}"]
    assert main(["encode", *words, *flags]) == 0
    manifest = json.loads((raw / name / "manifest.json").read_text())
    return Features.load(raw / name).x, json.dumps(manifest)


def cosine(a, b):
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (a, b))
    return (a * b).sum(1).min()


def test_a_pretrained_network_has_the_features_that_it_has_on_a_cpu(raw):
    assert main(["train", "--index", f"{raw}/raw/index", "--out", f"{raw}/lite", "timm"]) == 0
    cpu, _ = encoded(raw, raw / "lite", "cpu", "--device", "cpu", "--backend", "torch")
    gpu, said = encoded(raw, raw / "lite", "gpu", "--device", "cuda")
    whole, _ = encoded(raw, raw / "lite", "whole", "--device", "cuda", "--precision", "float32")
    assert cosine(cpu, gpu) > 0.999
    assert cosine(cpu, whole) > 0.9999  # a GPU convolves in TF32
    assert torch.cuda.get_device_name() in said
    assert "float16" in said


@pytest.mark.parametrize("name", TRAINED)
def test_encoders_learn_on_it_and_what_they_learned_is_read_on_a_cpu(raw, name):
    words = ["--index", f"{raw}/raw/index", "--out", f"{raw}/{name}", "--device", "cuda"]
    assert main(["train", *words, name, "--epochs", "2", *TRAINED[name]]) == 0
    gpu, _ = encoded(raw, raw / name, f"{name}-gpu", "--device", "cuda")
    cpu, _ = encoded(raw, raw / name, f"{name}-cpu", "--device", "cpu", "--backend", "torch")
    assert np.isfinite(gpu).all()
    assert cosine(cpu, gpu) > 0.999


def test_memory_that_lacks_cuts_the_batch(raw, monkeypatch):
    from imclust.data.loader import Preprocessing
    from imclust.training.backends import Codes, TorchBackend

    free, _ = torch.cuda.mem_get_info()
    hog = torch.empty(int(free - 2**30), dtype=torch.uint8, device="cuda")
    wide = torch.nn.Conv2d(3, 512, 3, padding=1)
    codes = Codes(
        lambda net, x: net(x).relu().amax((2, 3)), wide, Preprocessing(size=128), flip=False
    )
    engine = TorchBackend(codes, "cuda")
    images = two_kinds(64, size=128)[0]
    z = np.concatenate(list(engine.stream([images])))
    del hog
    torch.cuda.empty_cache()
    assert engine.most is not None
    assert engine.most < 64
    few = np.concatenate(list(TorchBackend(codes, "cuda").stream([images[:4]])))
    assert cosine(z[:4], few) > 0.9999  # other batches, other sums in 16 bit
