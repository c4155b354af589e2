"""What runs a trained encoder over many images: torch on a GPU, the fastest engine on a CPU.

Every backend takes pixels as bytes, (b, s, s, 3) uint8, and normalises them where it computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from imclust.core.checks import finite
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.reproducibility import BackendName, Precision, has_fast_bf16
from imclust.data.loader import Preprocessing, normalised

AGREEMENT = 0.9999  # least cosine between the fast features of an image and torch's in float32
WORTH_COMPILING = 20_000_000  # pixels in all; compiling costs as much as torch needs for these
PROBE_PIXELS = 1_000_000  # how many pixels the comparison with torch looks at


class Codes(nn.Module):
    """From bytes to latents, as one module that an engine can take over.

    Parameters
    ----------
    encode : Callable[[nn.Module, Tensor], Tensor]
        (network, input (b, 3, s, s) float32) -> (b, d).
    network : nn.Module
        In evaluation mode.
    preprocessing : Preprocessing
        Pixels to input.
    flip : bool
        Whether an image's latent is the mean of its own and its mirror image's.
    """

    def __init__(
        self,
        encode: Callable[[nn.Module, Tensor], Tensor],
        network: nn.Module,
        preprocessing: Preprocessing,
        flip: bool,
    ) -> None:
        super().__init__()
        self.network, self.preprocessing, self.flip = network.eval(), preprocessing, flip
        self._encode = encode

    def forward(self, block: Tensor) -> Tensor:
        """(b, s, s, 3) uint8 -> (b, d) float32."""
        x = normalised(block, self.preprocessing)
        z = self._encode(self.network, x)
        if self.flip:
            z = (z + self._encode(self.network, x.flip(3))) / 2
        return z.float()


class Backend(Protocol):
    """A way to compute `Codes`."""

    name: str
    precision: str

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Latents (b, d) float32 of every block (b, s, s, 3) uint8, in order."""
        ...


class TorchBackend:
    """Torch: in float32, or on a GPU by autocast to 16 bit, copying while it computes.

    A batch that does not fit into memory is cut in halves, for good, until it does; one that
    does not fit into 16 bit's range is computed again in float32.

    Parameters
    ----------
    codes : Codes
        What is to be computed.
    device : str
        Torch's name.
    precision : str
        `float32`, or on a GPU `float16` or `bfloat16`.
    """

    name = "torch"

    def __init__(self, codes: nn.Module, device: str, precision: str = "float32") -> None:
        self.device, self.gpu = device, device.startswith("cuda")
        self.codes = codes.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.precision = precision
        self.most: int | None = None

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """One batch is always under way on the GPU while the one before it comes back."""
        before: tuple[np.ndarray, Tensor] | None = None
        for block in blocks:
            launched = block, self._launch(block)
            if before is not None:
                yield self._finished(*before)
            before = launched
        if before is not None:
            yield self._finished(*before)

    def _finished(self, block: np.ndarray, z: Tensor) -> np.ndarray:
        latents = z.cpu()
        if self.precision != "float32" and not bool(latents.isfinite().all()):
            return next(TorchBackend(self.codes, self.device).stream([block]))
        return _checked(latents)

    @torch.inference_mode()
    def _launch(self, block: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(block)
        if self.gpu:
            pixels = pixels.pin_memory()
        parts, a = list[Tensor](), 0
        while a < len(block):
            size = min(self.most or len(block), len(block) - a)
            try:
                parts.append(self._forward(pixels[a : a + size]))
            except RuntimeError as e:
                if not _out_of_memory(e):
                    raise
                self._halve(size)
                continue
            a += size
        return torch.cat(parts)

    def _forward(self, pixels: Tensor) -> Tensor:
        on_device = pixels.to(self.device, non_blocking=True)
        half = self.precision != "float32"
        kind = torch.bfloat16 if self.precision == "bfloat16" else torch.float16
        with torch.autocast("cuda", kind, enabled=half):
            return self.codes(on_device)

    def _halve(self, size: int) -> None:
        if size == 1:
            raise InputError(
                "One image must fit into memory; it does not; take a smaller encoder or input size."
            ) from None
        self.most = size // 2
        if self.gpu:
            torch.cuda.empty_cache()
        say(f"out of memory with {size} images at a time: going on with {self.most}")


def _out_of_memory(e: RuntimeError) -> bool:
    """A GPU says it by class, a CPU by text."""
    return isinstance(e, torch.OutOfMemoryError) or "can't allocate memory" in str(e)


def _checked(z: Tensor) -> np.ndarray:
    latents = np.ascontiguousarray(z.numpy())
    finite("latents", latents, "train again with a lower learning rate")
    return latents


class OpenVinoBackend:
    """OpenVINO on a CPU: 1.4 to 6 times torch's rate on two cores.

    The graph is compiled for one batch size; a smaller last batch is filled up with zeros.
    """

    name = "openvino"

    def __init__(self, model: Any, batch: int, precision: str) -> None:
        import openvino as ov

        self.precision, self.batch = precision, batch
        settings = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()

    @staticmethod
    def convert(codes: nn.Module, size: int, batch: int) -> Any:
        """The graph of `codes` for blocks (batch, size, size, 3) uint8."""
        import openvino as ov

        example = torch.zeros((batch, size, size, 3), dtype=torch.uint8)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns that constants are constants
            return ov.convert_model(codes, example_input=example, input=[list(example.shape)])

    def stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Decoding threads work while the engine computes: it lets go of Python's lock."""
        for block in blocks:
            parts = [
                self._infer(block[a : a + self.batch]) for a in range(0, len(block), self.batch)
            ]
            yield _checked(torch.from_numpy(np.concatenate(parts)))

    def _infer(self, block: np.ndarray) -> np.ndarray:
        n = len(block)
        if n < self.batch:
            block = np.concatenate([block, np.zeros((self.batch - n, *block.shape[1:]), np.uint8)])
        self._request.infer({0: block})
        return np.array(self._request.get_output_tensor(0).data[:n], np.float32)


def batch_size(size: int, device: str) -> int:
    """Images at a time: what fills the caches of a CPU, or the multiprocessors of a GPU.

    Examples
    --------
    >>> batch_size(224, "cpu") > 0
    True
    """
    budget = 512 * 224**2 if device.startswith("cuda") else 8 * 224**2
    return max(1, min(1024 if device.startswith("cuda") else 256, budget // size**2))


def pick_backend(
    codes: Codes,
    probe: np.ndarray,
    total: int,
    batch: int,
    device: str,
    wish: BackendName,
    precision: Precision,
) -> tuple[Backend, dict[str, Any]]:
    """The fastest backend whose features agree with torch's in float32, and how well they do.

    Parameters
    ----------
    codes : Codes
        What is to be computed.
    probe : np.ndarray
        (m, s, s, 3) uint8, the first images of the run.
    total : int
        Images of the run.
    batch : int
        Images at a time.
    device : str
        Torch's name.
    wish, precision : BackendName
        The user's; `auto` for either leaves it to this function.

    Raises
    ------
    InputError
        The wish cannot be met.

    Examples
    --------
    >>> codes = Codes(lambda network, x: x.mean((2, 3)), nn.Identity(), Preprocessing(8), False)
    >>> probe = np.zeros((2, 8, 8, 3), np.uint8)
    >>> backend, agreement = pick_backend(codes, probe, 2, 2, "cpu", "torch", "float32")
    >>> backend.name, next(backend.stream([probe])).shape, agreement
    ('torch', (2, 3), {})
    """
    size = probe.shape[1]
    here = device == "cpu" and find_spec("openvino") is not None
    if wish == "openvino" and not here:
        got = f"device {device}" if device != "cpu" else "no openvino package"
        raise input_error("--backend openvino", "on a CPU, with openvino installed", got, "drop it")
    worth = wish == "openvino" or total * size**2 >= WORTH_COMPILING
    few = probe[: max(2, min(len(probe), PROBE_PIXELS // size**2))]
    if device.startswith("cuda"):
        return _torch_on_gpu(codes, few, device, precision)
    if wish == "torch" or not here or not worth:
        return TorchBackend(codes, device), {}
    want = np.concatenate(list(TorchBackend(codes, device).stream([few])))
    half = precision == "auto" and has_fast_bf16("cpu")
    agreement, model = 0.0, None
    for kind in (["bfloat16"] if half else []) + ["float32"]:
        try:
            model = model or OpenVinoBackend.convert(codes, size, batch)
            engine = OpenVinoBackend(model, batch, kind)
            agreement = least_cosine(want, np.concatenate(list(engine.stream([few]))))
        except Exception as e:  # an operator that the engine does not know; torch knows all
            say(f"openvino cannot take this network ({str(e).splitlines()[0][:100]}): torch does")
            break
        if agreement >= AGREEMENT:
            return engine, {"agreement": round(agreement, 6)}
    if wish == "openvino":
        got = f"cosine {agreement:.6f}"
        allowed = f"torch's to cosine {AGREEMENT}"
        raise input_error("OpenVINO's features", allowed, got, "drop --backend")
    return TorchBackend(codes, device), {}


def _torch_on_gpu(
    codes: Codes, few: np.ndarray, device: str, precision: Precision
) -> tuple[Backend, dict[str, Any]]:
    """16 bit where the features agree: float16 first, whose rounding is an eighth of bfloat16's."""
    exact = TorchBackend(codes, device)
    learned = any(True for _ in codes.network.parameters())  # what only counts gains nothing
    if precision == "float32" or not learned:
        return exact, {}
    want = next(exact.stream([few]))
    for kind in ("float16", "bfloat16") if has_fast_bf16(device) else ("float16",):
        engine = TorchBackend(codes, device, kind)
        agreement = least_cosine(want, next(engine.stream([few])))
        if agreement >= AGREEMENT:
            return engine, {"agreement": round(agreement, 6)}
    return exact, {}


def named_backend(
    codes: Codes, name: str, precision: str, batch: int, device: str, size: int
) -> Backend:
    """The backend that `pick_backend` found elsewhere, without looking for it again.

    Parameters
    ----------
    codes : Codes
        What is to be computed.
    name, precision : str
        Of the backend found.
    batch : int
        Images at a time.
    device : str
        Torch's name.
    size : int
        Side of the input in pixels.

    Examples
    --------
    >>> codes = Codes(lambda network, x: x.mean((2, 3)), nn.Identity(), Preprocessing(8), False)
    >>> named_backend(codes, "torch", "float32", 4, "cpu", 8).name
    'torch'
    """
    if name == "openvino":
        return OpenVinoBackend(OpenVinoBackend.convert(codes, size, batch), batch, precision)
    return TorchBackend(codes, device, precision)


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The smallest cosine between rows of a and b (n, d); rows of zeros count as equal to zeros.

    Examples
    --------
    >>> least_cosine(np.eye(2), 3 * np.eye(2))
    1.0
    """
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = (np.linalg.norm(a, axis=1) == 0) & (np.linalg.norm(b, axis=1) == 0)
    cosine = (a.astype(np.float64) * b).sum(1) / np.where(norms == 0, 1, norms)
    return float(np.where(both_zero, 1.0, cosine).min())
