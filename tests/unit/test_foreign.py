import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from imclust.core.errors import InputError
from imclust.training.pretrained import load_state, nearest_names, read_state, vision

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s}])
def test_torch_files_of_tensors_are_read(tmp_path, wrap):
    torch.save(wrap(STATE), tmp_path / "w.pth")
    network = nn.Linear(3, 2)
    load_state(network, read_state(tmp_path / "w.pth"), "w.pth")
    assert float(network.weight.detach().sum()) == 6


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert read_state(tmp_path / "w.safetensors").keys() == STATE.keys()


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_its_code_never_runs(tmp_path):
    torch.save({"weight": Bomb(tmp_path / "ran")}, tmp_path / "w.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    for name in ("w.pth", "plain.pth"):
        with pytest.raises(InputError, match=r"tensors only; got a pickle .* can run code"):
            read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_truncated_files_web_pages_and_nothing_are_one_sentence(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    with pytest.raises(InputError, match="nothing there"):
        read_state(path)
    (torch.save if suffix == "pth" else save_file)(STATE, path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="damaged, truncated"):
        read_state(path)
    path.write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"must be .*; got"):
        read_state(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save([1, 2, 3], tmp_path / "w.pth")
    with pytest.raises(InputError, match="a mapping of names to tensors; got list"):
        read_state(tmp_path / "w.pth")


def test_weights_of_another_architecture_say_which_keys_differ():
    with pytest.raises(InputError, match=r"1 keys missing, first bias; 1 unknown, first scale"):
        load_state(nn.Linear(3, 2), {"weight": STATE["weight"], "scale": torch.ones(1)}, "w")
    with pytest.raises(InputError, match=r"first weight \(2, 3\) instead of \(2, 5\)"):
        load_state(nn.Linear(5, 2), STATE, "w")


def test_torchvision_and_timm_can_be_imported_here():
    assert vision("torchvision.models").vgg16
    assert vision("timm").is_model("resnet18")


def test_a_typo_gives_the_nearest_names():
    assert "resnet18" in nearest_names("resnt18", ["resnet18", "vgg16"])
    assert nearest_names("qqq", ["resnet18"]) == "see the documentation"
