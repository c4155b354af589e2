"""Weights on disk: safetensors with facts about them in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from imclust.core.errors import InputError, input_error
from imclust.core.files import replaced_file
from imclust.training.pretrained import load_state


def save_weights(path: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """A network's state as safetensors, with JSON facts in its header; written in one step.

    Parameters
    ----------
    path : Path
        Of the file.
    network : nn.Module
        On any device.
    facts : dict
        JSON values.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> with TemporaryDirectory() as place:
    ...     save_weights(Path(place) / "w.safetensors", torch.nn.Linear(2, 1), {"epochs": 3})
    ...     load_weights(Path(place) / "w.safetensors", torch.nn.Linear(2, 1))
    {'epochs': 3}
    """
    from safetensors.torch import save

    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    with replaced_file(path) as fresh:
        fresh.write_bytes(save(tensors, {"imclust": json.dumps(facts, sort_keys=True)}))


def load_weights(path: Path, network: nn.Module) -> dict[str, Any]:
    """Load strictly what `save_weights` wrote; returns its facts.

    Raises
    ------
    InputError
        Missing, not safetensors, or of another network.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> with TemporaryDirectory() as place:
    ...     path, network = Path(place) / "w.safetensors", torch.nn.Linear(2, 1)
    ...     save_weights(path, torch.nn.Linear(2, 1), {})
    ...     facts = load_weights(path, network)
    >>> facts
    {}
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise input_error(str(path), "a safetensors file", "nothing there", "run train first")
    try:
        with safe_open(path, "pt") as f:
            facts: dict[str, Any] = json.loads((f.metadata() or {}).get("imclust", "{}"))
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    except SafetensorError as e:
        first = str(e).splitlines()[0]
        raise InputError(
            f"{path} must be weights of this network in safetensors; got: {first}"
        ) from e
    load_state(network, tensors, str(path))
    return facts
