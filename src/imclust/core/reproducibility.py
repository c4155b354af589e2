"""Seeds, devices and the record of where a result came from."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imclust._version import __version__
from imclust.core.errors import input_error

if TYPE_CHECKING:
    import torch

LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "torch", "torchvision", "timm", "transformers"),
    *("openvino", "openTSNE", "opencv-python-headless", "pillow"),
)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE")  # they move the last digits
BackendName = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "float32"]  # of inference, where 16 bit must agree with 32
TrainingPrecision = Literal["auto", "float32", "bfloat16"]


def environment() -> dict[str, Any]:
    """Versions, commit and machine, for a manifest.

    The device is looked up every time: a process may record its first artefact before torch is
    loaded, and only torch knows of a GPU.

    Examples
    --------
    >>> sorted(environment())[:3]
    ['cpus', 'device', 'git']
    """
    return {
        "versions": dict(_versions()),
        "git": _git(),
        "device": _device(),
        "cpus": os.cpu_count(),
        "variables": {name: os.environ.get(name) for name in VARIABLES},
    }


@cache
def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {"imclust": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _device() -> str:
    """The GPU's name where torch is loaded and has one, else `cpu`."""
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_available()
    return torch.cuda.get_device_name() if torch is not None and gpu else "cpu"


@cache
def _git() -> str | None:
    """The commit of this source tree, `+` appended when it has changes; None outside of git."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True
        )
    except OSError:
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "") or None


def check_device(wish: str) -> None:
    """Refuse a device whose name says that nothing can be computed on it; loads no torch.

    Parameters
    ----------
    wish : str
        `auto`, `cpu`, `cuda`, `cuda:0`, `cuda:1`, ...

    Raises
    ------
    InputError
        It is another name.

    Examples
    --------
    >>> check_device("cpu")
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", wish):
        allowed = "one of auto, cpu, cuda, cuda:0, cuda:1, ..."
        raise input_error("the device (--device)", allowed, repr(wish), "choose one of these")


def pick_device(wish: str = "auto") -> str:
    """The device to compute on.

    Parameters
    ----------
    wish : str
        `auto` is `cuda` where there is one, else `cpu`; other devices must be there.

    Returns
    -------
    str
        As torch calls it.

    Raises
    ------
    InputError
        No such device, or not on this machine.

    Examples
    --------
    >>> pick_device("cpu")
    'cpu'
    """
    import torch

    check_device(wish)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wish == "auto":
        return "cuda" if there else "cpu"
    if wish != "cpu" and int(wish.partition(":")[2] or 0) >= there:
        names = ", ".join(["auto", "cpu", *(f"cuda:{i}" for i in range(there))])
        allowed = f"one that this machine has ({names})"
        raise input_error("the device (--device)", allowed, repr(wish), "choose one of these")
    return wish


def threads() -> int:
    """How many a library may start: OMP_NUM_THREADS, else one a core.

    Examples
    --------
    >>> threads() >= 1
    True
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(first) if first.isdigit() and int(first) else os.cpu_count() or 1


def has_fast_bf16(device: str) -> bool:
    """Whether bfloat16 is native: Ampere and later GPUs, CPUs with AVX512-BF16 or AMX.

    Examples
    --------
    >>> has_fast_bf16("cpu") in (True, False)
    True
    """
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


@contextmanager
def isolated_seed(seed: int, device: str = "cpu") -> Iterator[None]:
    """Torch's generators seeded inside the block and as before outside of it.

    Examples
    --------
    >>> import torch
    >>> with isolated_seed(0):
    ...     a = torch.rand(1)
    >>> with isolated_seed(0):
    ...     b = torch.rand(1)
    >>> bool(a == b)
    True
    """
    import torch

    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def deterministic() -> Iterator[None]:
    """Torch and cuDNN restricted to algorithms that give the same bits every time.

    Examples
    --------
    >>> import torch
    >>> with deterministic():
    ...     torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.are_deterministic_algorithms_enabled()
    False
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
        torch.backends.cudnn.benchmark = benchmark


def step_generator(*parts: int) -> torch.Generator:
    """A generator that depends on its arguments only (say seed and epoch), not on history.

    Stateless streams are what lets a resumed training take the very steps of an unbroken one.

    Examples
    --------
    >>> import torch
    >>> a, b = (torch.rand(1, generator=step_generator(0, step)) for step in (1, 2))
    >>> bool(a == b)
    False
    """
    import hashlib

    import torch

    text = ",".join(map(str, parts)).encode()
    return torch.Generator().manual_seed(
        int.from_bytes(hashlib.sha256(text).digest()[:7], "little")
    )
