import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imclust.core.errors import InputError
from imclust.data.loader import to_input
from imclust.encoders.vgg16 import VGG16, VGG16Config
from imclust.training.pretrained import vision


@pytest.fixture(scope="module")
def torchvisions():
    return vision("torchvision.models").vgg16(weights=None, init_weights=False).eval()


def test_a_torchvision_file_gives_the_walkthroughs_vector(torchvisions, tmp_path):
    save_file(torchvisions.state_dict(), tmp_path / "vgg16.safetensors")
    encoder = VGG16(VGG16Config(weights=tmp_path / "vgg16.safetensors"))
    network = encoder.network().eval()
    assert encoder.lacks() == ""
    encoder.pretrained(network)
    (tmp_path / "vgg16.safetensors").unlink()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps = torchvisions.avgpool(torchvisions.features(x))
        want = torchvisions.classifier[0](torch.flatten(maps, 1))
        got = encoder.encode(network, x)
    assert got.shape == (2, 4096)
    assert float(got.min()) < 0  # no ReLU after it
    torch.testing.assert_close(got, want)


def test_literal_is_bgr_without_normalisation_fast_is_rgb_with_it():
    block = np.zeros((1, 2, 2, 3), np.uint8)
    block[..., 0] = 255  # red
    literal = to_input(block, VGG16(VGG16Config(recipe="literal")).preprocessing, "cpu")
    assert literal[0, :, 0, 0].tolist() == [0, 0, 1]
    fast = to_input(block, VGG16(VGG16Config()).preprocessing, "cpu")
    want = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    assert fast[0, :, 0, 0].tolist() == pytest.approx(want, rel=1e-5)


def test_the_window_is_512_stored_pixels_scaled_to_448():
    p = VGG16(VGG16Config()).preprocessing
    assert (p.size, p.kept(640, 512), p.kept(1000, 900), p.kept(300, 200)) == (448, 512, 512, 200)


def test_missing_weights_name_the_file_and_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("imclust.encoders.vgg16.URL", "http://127.0.0.1:9/vgg16-397923af.pth")
    encoder = VGG16(VGG16Config())
    place = str(tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth")
    assert encoder.lacks() == place
    with pytest.raises(InputError, match=r"fetch vgg16-397923af\.pth .* put it there") as e:
        encoder.pretrained(torch.nn.Identity())
    assert place in str(e.value)
