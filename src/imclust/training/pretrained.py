"""Networks and weights that others made: importing their packages, reading their files."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from imclust.core.errors import InputError, input_error
from imclust.training.weights_cache import cached_weights


@cache
def vision(name: str) -> Any:
    """Import torchvision, timm or transformers, also where only torch is a CPU build.

    Such a torchvision fails at its import, because its compiled operators cannot be loaded and two
    of them are wanted by name. Declaring their schemas first is enough: nothing here calls them.

    Examples
    --------
    >>> vision("timm").__name__
    'timm'
    """
    try:
        with _without_compiler():
            _import_torchvision()
            return importlib.import_module(name)
    except (AttributeError, ImportError):  # of a version that asks the compiler for more
        _import_torchvision()
        return importlib.import_module(name)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Torch's compiler, which nothing here uses, is not imported on the way: it takes half of the
    time of timm's import.

    Torchvision asks it one question, in operators that nothing here calls; timm marks functions
    that it shall leave alone.
    """
    name = "torch._dynamo.utils"
    if name in sys.modules:
        yield
        return

    def leave_alone(fn: Any = None, *args: Any, **settings: Any) -> Any:
        return (lambda f: f) if fn is None else fn

    def is_compile_supported(device_type: str) -> bool:
        return bool(importlib.import_module(name).is_compile_supported(device_type))

    stand_in = ModuleType(name)
    stand_in.is_compile_supported = is_compile_supported  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    disable = torch.compiler.disable
    torch.compiler.disable = leave_alone
    try:
        yield
    finally:
        torch.compiler.disable = disable
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as e:
        if "torchvision::nms" not in str(e):
            raise
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)  # the schemas live as long as this object
        importlib.invalidate_caches()
        importlib.import_module("torchvision")


_KEPT: list[Any] = []


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name: safetensors, or a torch file of tensors only.

    Raises
    ------
    InputError
        Missing, truncated, something else, or a pickle that would run code.

    Examples
    --------
    >>> torch.save({"state_dict": {"head.weight": torch.eye(2)}}, "weights.pt")
    >>> read_state(Path("weights.pt"))
    {'head.weight': tensor([[1., 0.],
            [0., 1.]])}
    """
    import pickle

    if not path.is_file():
        raise input_error(
            str(path), "a weights file", "nothing there", "check the path of --weights"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        doc = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        if "weights_only" in str(e) or "Unsupported" in str(e):
            raise input_error(
                str(path),
                "tensors only",
                "a pickle with other objects in it, which is never loaded because it can run code",
                "save it again as safetensors",
            ) from None
        raise _damaged(path) from None
    except Exception:
        raise _damaged(path) from None
    for key in ("state_dict", "model"):
        if isinstance(doc, Mapping) and isinstance(doc.get(key), Mapping):
            doc = doc[key]
    if not isinstance(doc, Mapping) or not all(isinstance(v, Tensor) for v in doc.values()):
        raise input_error(
            str(path), "a mapping of names to tensors", type(doc).__name__, "check it"
        )
    return dict(doc)


def _damaged(path: Path) -> InputError:
    size = path.stat().st_size
    got = "a file that is damaged, truncated or something else"
    return input_error(str(path), "safetensors or a torch weights file", f"{got} ({size} bytes)",
                   "download it again")  # fmt: skip


def load_state(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load strictly; a mismatch says which keys differ.

    Parameters
    ----------
    network : nn.Module
        That the numbers are for.
    state : mapping
        Name -> tensor.
    source : str
        Where they come from, for the refusal.

    Raises
    ------
    InputError
        Keys or shapes are not the network's.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(2, 1)
    >>> load_state(network, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, "these numbers")
    >>> network.weight.tolist()
    [[1.0, 1.0]]
    """
    want = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    have = {k: tuple(v.shape) for k, v in state.items()}
    lacking, unknown = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    lacking = [k for k in lacking if not k.endswith("num_batches_tracked")]
    other = [k for k in want.keys() & have.keys() if want[k] != have[k]]
    if lacking or unknown or other:
        parts = []
        if lacking:
            parts.append(f"{len(lacking)} keys missing, first {lacking[0]}")
        if unknown:
            parts.append(f"{len(unknown)} unknown, first {unknown[0]}")
        if other:
            k = sorted(other)[0]
            parts.append(f"{len(other)} of another shape, first {k} {have[k]} instead of {want[k]}")
        raise input_error(
            source, "weights of this architecture", "; ".join(parts), "give the matching file"
        )
    network.load_state_dict(dict(state), strict=False)


def nearest_names(name: str, known: list[str], n: int = 3) -> str:
    """`Did you mean ...?` for a name that is not known, or nothing.

    Examples
    --------
    >>> nearest_names("resnet18", ["resnet18d", "vgg16"])
    'did you mean resnet18d?'
    """
    near = difflib.get_close_matches(name, known, n, 0.5)
    return f"did you mean {', '.join(near)}?" if near else "see the documentation"


def fetched(
    url: str, what: str, *, given: str = "with --weights FILE", named_by_hash: bool = True
) -> Path:
    """A published weights file in torch's cache, downloaded if need be and checked by its hash.

    Parameters
    ----------
    url : str
        Where it is published.
    what : str
        Whose weights they are.
    given : str
        How else the user may give them.
    named_by_hash : bool
        Whether the file's name ends in its hash, as torchvision's do; others are not checked.

    Raises
    ------
    InputError
        It is neither there nor to be had.

    Examples
    --------
    >>> fetched("https://download.pytorch.org/models/vgg16-397923af.pth", "vgg16")  # doctest: +SKIP
    """
    path = cached_weights(url)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix = path.stem.rpartition("-")[2] if named_by_hash else None
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
        except Exception as e:
            raise input_error(
                f"weights of {what}",
                f"at {path} or to be had from {url}",
                f"neither ({type(e).__name__})",
                f"fetch {path.name} where there is a network and put it there, or give it {given}",
            ) from None
    return path


def hub_cache() -> Path:
    """The Hugging Face cache of this machine, whether it is there or not.

    Examples
    --------
    >>> hub_cache().name
    'hub'
    """
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def in_hub_cache(repository: str) -> bool:
    """Whether the Hugging Face cache holds something of a repository, `owner/name`.

    Examples
    --------
    >>> in_hub_cache("nobody/nothing")
    False
    """
    return (hub_cache() / f"models--{repository.replace('/', '--')}" / "snapshots").is_dir()


def fetch_from_hub(repository: str, *, cached: bool = False) -> Path | None:
    """The weights file of a repository of the hub, in the cache from then on; a bar shows how it
    comes.

    Parameters
    ----------
    repository : str
        `owner/name`.
    cached : bool
        Look into the cache alone.

    Returns
    -------
    Path | None
        None where it has none of this name, or the cache has not.

    Raises
    ------
    OSError
        The hub does not answer. What has come is kept, and gone on with.

    Examples
    --------
    >>> fetch_from_hub("imclust/no-such-network", cached=True) is None
    True
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    from imclust.core.log import progress

    class Bar:
        """What the hub's client tells of a file, as a bar of this run's."""

        def __new__(cls, *args: Any, **settings: Any) -> Any:
            known = {key: settings[key] for key in ("total", "initial") if key in settings}
            return progress(None, "fetch", unit="B", unit_scale=True, **known)

    name = "model.safetensors"
    try:
        file = hf_hub_download(repository, name, local_files_only=cached, tqdm_class=Bar)
    except LocalEntryNotFoundError:
        if not cached:
            raise
        return None
    except EntryNotFoundError:
        return None
    return Path(file)


def reach_hub() -> None:
    """Fail at once where there is no hub, instead of after the client's minute of retries.

    Raises
    ------
    OSError
        No connection. Behind a proxy nothing is tried here: the proxy knows better.

    Examples
    --------
    >>> reach_hub()  # doctest: +SKIP
    """
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub.constants import ENDPOINT

    if "https" not in getproxies():
        host = urlsplit(ENDPOINT)
        port = host.port or (443 if host.scheme == "https" else 80)
        socket.create_connection((host.hostname or "", port), timeout=5).close()
