import pytest
import torch
from torch import nn

from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.encoders.vgg_ae import VggAE, VggAEConfig
from imclust.training.networks import Unpool, parameter_count
from imclust.training.pretrained import vision


def test_unpooling_by_comparison_is_torchs():
    x = torch.randn(3, 4, 6, 10, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    small, places = nn.functional.max_pool2d(x, 2, return_indices=True)
    small.requires_grad_()
    ours, theirs = Unpool()(small, places), nn.MaxUnpool2d(2)(small, places)
    assert torch.equal(ours, theirs)
    weights = torch.arange(ours.numel()).view_as(ours).float()
    a, b = (torch.autograd.grad((out * weights).sum(), small)[0] for out in (ours, theirs))
    assert torch.equal(a, b)


@pytest.fixture(scope="module")
def made():
    encoder = VggAE(VggAEConfig(size=32))
    with isolated_seed(0):
        return encoder, encoder.network()


def test_the_decoder_is_the_encoders_mirror_image(made):
    _, network = made
    down = [m for m in network.encoder if isinstance(m, nn.Conv2d)]
    up = [m for m in network.decoder if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in up] == [
        (m.out_channels, m.in_channels) for m in reversed(down)
    ]
    assert len(down) == 13
    kinds = [type(m).__name__ for m in network.decoder]
    third = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
    assert kinds == [
        *(["Unpool", *3 * third] * 3),
        *["Unpool", *2 * third],
        *["Unpool", *third, "ConvTranspose2d"],
    ]
    assert parameter_count(network) == 29_444_739


@pytest.mark.parametrize("size", [32, 64, 96])
def test_any_multiple_of_32_and_nothing_else(size):
    encoder = VggAE(VggAEConfig(size=size))
    network = encoder.network().eval()
    x = torch.zeros(2, 3, size, size)
    with torch.inference_mode():
        assert encoder.reconstruct(network, x).shape == x.shape
        z = encoder.encode(network, x)
        assert torch.equal(z.unflatten(1, encoder.code_shape), network(x)[0])
    for wrong in (size + 1, size - 16, 0, -32):
        with pytest.raises(InputError, match="multiple of 32"):
            VggAEConfig(size=wrong)


def test_the_literal_recipe_is_the_walkthroughs():
    encoder = VggAE(VggAEConfig(recipe="literal"))
    plan = encoder.plan(500)
    assert encoder.preprocessing.size == 224
    assert (plan.optimizer, plan.schedule, plan.lr, plan.precision) == (
        "sgd", "constant", 0.01, "float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """VGG16-BN's features by torchvision with random weights, and a file of a whole VGG."""
    with isolated_seed(3):
        vgg = vision("torchvision").models.vgg
        network = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
        for m in network.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_()
                m.running_var.uniform_(0.5, 2)
    path = tmp_path_factory.mktemp("vgg") / "vgg16_bn.pth"
    state = {f"features.{k}": v for k, v in network.state_dict().items()}
    torch.save(state | {"classifier.6.bias": torch.zeros(1000)}, path)
    return network, path


def test_torchvisions_weights_give_torchvisions_features(vgg):
    theirs, path = vgg
    encoder = VggAE(VggAEConfig(size=64, weights=path))
    network = encoder.network()
    facts = encoder.pretrained(network)
    assert facts["weights_from"] == "vgg16_bn.pth"
    assert encoder.track == "open"
    assert encoder.preprocessing.mean == (0.485, 0.456, 0.406)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want = theirs.eval()(x)
        assert want.std() > 0
        torch.testing.assert_close(encoder.encode(network.eval(), x), want.flatten(1))


def test_weights_of_another_network_are_refused(vgg, tmp_path):
    state = torch.load(vgg[1], weights_only=True)
    state["features.0.weight"] = state["features.0.weight"][:1]
    del state["features.41.bias"]
    torch.save(state, tmp_path / "w.pth")
    encoder = VggAE(VggAEConfig(size=32, weights=tmp_path / "w.pth"))
    with pytest.raises(InputError, match=r"1 keys missing, first 41\.bias; 1 of another"):
        encoder.pretrained(encoder.network())
