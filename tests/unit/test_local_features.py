"""Local features of every kind: what they find, what they match, which weights they take."""

import pickle

import numpy as np
import pytest
import torch

from imclust.core.errors import InputError
from imclust.data.keypoints import Keypoints
from imclust.encoders.local_features import LOCAL_FEATURES
from imclust.encoders.local_features import aliked as module
from imclust.encoders.local_features._base import LocalConfig
from textures import photograph, texture

kornia = pytest.importorskip("kornia.feature")


def plain_glue():
    """LightGlue whose layers leave descriptors as they are: what is left is its assignment."""
    glue = kornia.LightGlue(None, **module.GLUE)
    with torch.no_grad():
        for layer in glue.transformers:
            for block in (layer.self_attn, layer.cross_attn):
                block.ffn[-1].weight.zero_()
                block.ffn[-1].bias.zero_()
        glue.input_proj.weight.zero_()
        glue.input_proj.weight[:128] = torch.eye(128)
        glue.input_proj.bias.zero_()
        last = glue.log_assignment[-1]
        last.final_proj.weight.copy_(40 * torch.eye(256))
        last.final_proj.bias.zero_()
        last.matchability.weight.zero_()
        last.matchability.bias.fill_(10)
    return glue


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files as their authors name them and their tensors, with numbers of our own."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(kornia.ALIKED("aliked-n16").state_dict(), folder / "aliked-n16.pth")
    state = {}
    for key, value in plain_glue().state_dict().items():
        words = key.split(".")
        if words[0] == "transformers":
            words = [words[2], words[1], *words[3:]]
        if key not in module.DERIVED:
            state[".".join(words)] = value
    torch.save(state, folder / "aliked_lightglue.pth")
    return folder


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(3)
    textures = [texture(rng) for _ in range(2)]
    return [photograph(t, rng) for t in textures for _ in range(2)]


@pytest.fixture(params=[e.name for e in LOCAL_FEATURES])
def kind(request, weights):
    given = weights if request.param == "aliked" else None
    cfg = LocalConfig(side=96, most=50, weights=given, device="cpu")
    return LOCAL_FEATURES[request.param].method(cfg)


def test_keypoints_lie_in_the_picture_and_descriptors_have_length_one(kind, pictures):
    found = kind.find(pictures[0][:, :64])
    assert 10 < len(found.xy) <= 50
    assert found.size == (64, 96)
    assert (found.xy >= 0).all()
    assert (found.xy <= np.array(found.size)).all()
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=0.01)
    again = kind.find(pictures[0][:, :64])
    np.testing.assert_array_equal(found.xy, again.xy)
    np.testing.assert_array_equal(found.descriptors, again.descriptors)


def test_a_keypoint_is_matched_once_and_with_itself_if_at_all(kind, pictures):
    one = kind.find(pictures[0])
    same = kind.match(one, one)
    assert same.dtype == np.int64
    assert (same[:, 0] == same[:, 1]).all()
    pairs = kind.match(one, kind.find(pictures[1]))
    assert pairs.shape[1] == 2
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)


def test_of_nothing_nothing_matches(kind, pictures):
    none = Keypoints(np.empty((0, 2), np.float32), np.empty((0, 128), np.float16), (96, 96))
    one = kind.find(pictures[0])
    for a, b in ((none, one), (one, none), (none, none)):
        assert kind.match(a, b).shape == (0, 2)


def test_lightglue_s_assignment_as_a_dual_softmax(weights):
    """The file's tensors are where they belong: with plain layers the rest can be done by hand."""
    aliked = LOCAL_FEATURES["aliked"].method(LocalConfig(weights=weights, device="cpu"))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 128))
    y = np.r_[x[:20] + rng.normal(0, 0.3, (20, 128)), rng.normal(size=(15, 128))]
    x, y = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))
    order = rng.permutation(len(y))
    a, b = (Keypoints(rng.uniform(0, 90, (len(d), 2)).astype(np.float32),
                      d.astype(np.float16), (96, 96)) for d in (x, y[order]))  # fmt: skip
    s = 1600 / 256**0.5 * (a.descriptors.astype(float) @ b.descriptors.T.astype(float))
    p = np.exp(s - s.max())
    p = p / p.sum(0) * (p / p.sum(1, keepdims=True))
    want = [(i, j) for i, j in enumerate(p.argmax(1)) if p[:, j].argmax() == i and p[i, j] > 0.1]
    assert len(want) >= 20
    assert aliked.match(a, b).tolist() == [list(map(int, pair)) for pair in want]


def test_weights_are_asked_for_checked_and_never_run(weights, tmp_path, monkeypatch):
    make = LOCAL_FEATURES["aliked"].method
    with pytest.raises(InputError, match=r"--local-weights must be .* none in .*fetch it from"):
        make(LocalConfig(weights=tmp_path))
    for name in module.SOURCES:
        (tmp_path / name).write_bytes((weights / name).read_bytes())
    torch.save({"odd": torch.zeros(1)}, tmp_path / "aliked_lightglue.pth")
    image = np.zeros((64, 64, 3), np.uint8)
    aliked = make(LocalConfig(weights=tmp_path, device="cpu"))
    point = Keypoints(np.ones((1, 2), np.float32), np.eye(1, 128, dtype=np.float16), (64, 64))
    with pytest.raises(InputError, match="weights of this architecture"):
        aliked.match(point, point)
    (tmp_path / "aliked-n16.pth").write_bytes(pickle.dumps(print))
    with pytest.raises(InputError, match=r"tensors only|damaged"):
        make(LocalConfig(weights=tmp_path, device="cpu")).find(image)


def test_without_a_network_the_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    nowhere = {name: f"http://127.0.0.1:9/{name}" for name in module.SOURCES}
    monkeypatch.setattr(module, "SOURCES", nowhere)
    with pytest.raises(InputError) as e:
        LOCAL_FEATURES["aliked"].method(LocalConfig())
    for word in ("aliked-n16.pth", "http://127.0.0.1:9", str(tmp_path), "--local-weights"):
        assert word in str(e.value)
    assert "\n" not in str(e.value)


def test_what_needs_no_weights_refuses_them(tmp_path):
    with pytest.raises(InputError, match=r"--local-weights of sift"):
        LOCAL_FEATURES["sift"].method(LocalConfig(weights=tmp_path))
