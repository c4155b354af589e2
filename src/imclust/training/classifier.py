"""A linear head on an encoder, and the encoder's blocks, to be unfrozen from the last one on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.core.reproducibility import deterministic
from imclust.data.loader import Preprocessing
from imclust.training.backends import Codes, TorchBackend
from imclust.training.plan import Objective

BLOCK = 64  # images at a time where no gradient is taken
Encode = Callable[[nn.Module, Tensor], Tensor]
Block = list[nn.Parameter]


class Head(nn.Module):
    """Linear(d, k) on centred codes of unit mean variance; both are fixed by `standardise`."""

    mean: Tensor
    spread: Tensor

    def __init__(self, dims: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("spread", torch.ones(()))
        self.linear = nn.Linear(dims, n_classes)

    def standardise(self, codes: Tensor) -> None:
        """Take the mean of codes (n, d) float32, and one spread for all of their numbers.

        One for all and not one each: numbers that hardly vary then stay small, which a probe on
        240 photographs rewards by 1 to 2 points, and rounding noise never becomes a signal.
        """
        self.mean.copy_(codes.mean(0))
        self.spread.copy_((codes - self.mean).square().mean().sqrt().clamp_min(1e-12))

    def forward(self, codes: Tensor) -> Tensor:
        """(b, d) -> logits (b, k)."""
        return self.linear((codes.float() - self.mean) / self.spread)


class Classifier(nn.Module):
    """An encoder's network and a head; forward gives logits (b, k).

    The base computes as it will in the end, whatever is trained: batch normalisation keeps the
    statistics it came with, frozen or not, and dropout and stochastic depth are off. Here we
    leave R5, which lets statistics follow the batches: on 240 photographs that took 6 points off
    the probe's accuracy where this added 2. It also keeps a killed training exact, because
    dropout draws from a generator that remembers.
    """

    head: Any

    def __init__(
        self, base: nn.Module, encode: Encode, blocks: Sequence[Block], head: nn.Module
    ) -> None:
        super().__init__()
        self.base, self.head = base, head
        self._encode, self._blocks = encode, tuple(blocks)
        self.unfreeze(0)

    @property
    def n_blocks(self) -> int:
        """How many blocks there are to unfreeze."""
        return len(self._blocks)

    def unfreeze(self, n: int) -> None:
        """Let the last `n` blocks of the base learn, and the head; nothing else."""
        self.base.requires_grad_(False)
        for block in self._blocks[len(self._blocks) - n :]:
            for parameter in block:
                parameter.requires_grad_(True)

    def train(self, mode: bool = True) -> Classifier:
        """As for every module, but the base stays in evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def codes(self, x: Tensor) -> Tensor:
        """(b, 3, s, s) -> (b, d)."""
        return self._encode(self.base, x)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, s, s) -> logits (b, k)."""
        logits: Tensor = self.head(self.codes(x))
        return logits


def find_blocks(network: nn.Module, encode: Encode, size: int) -> tuple[list[Block], int]:
    """The blocks of a network from input to output, as people count them, and the codes' length.

    Only parameters that reach the codes count (no decoder, no classifier of another task): those
    that a backward pass through `encode` gives a gradient. Modules are taken in the order of
    their definition, which is input to output in torchvision, timm and here. A module is split
    into its children when it is a mere container (Sequential, ModuleList) or holds more than half
    of all parameters; what is left whole is a block: a residual block, a transformer layer, a
    convolution. A layer without a matrix (a normalisation) belongs to the block before it,
    parameters of the network's own (a position embedding) to the first one inside it.

    Parameters
    ----------
    network : nn.Module
        Left in evaluation mode, with all of its parameters requiring gradients.
    encode : Encode
        (network, (b, 3, s, s)) -> (b, d).
    size : int
        s.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3))
    >>> blocks, dims = find_blocks(network, lambda net, x: net(x).mean((2, 3)), size=8)
    >>> [len(block) for block in blocks], dims  # the normalisation is of the first block
    ([4, 2], 8)
    """
    used, dims = _used(network, encode, size)
    total = sum(p.numel() for p in network.parameters() if id(p) in used)
    found: list[Block] = []

    def take(parameters: Iterable[nn.Parameter]) -> Block:
        mine = [p for p in parameters if id(p) in used]
        used.difference_update(map(id, mine))  # shared ones count where they come first
        return mine

    def visit(module: nn.Module) -> None:
        weight = sum(p.numel() for p in module.parameters() if id(p) in used)
        container = isinstance(module, nn.Sequential | nn.ModuleList) or 2 * weight > total
        if weight and not (container and list(module.children())):
            mine = take(module.parameters())
            if found and all(p.ndim < 2 for p in mine):
                found[-1].extend(mine)
            else:
                found.append(mine)
        elif weight:
            at, mine = len(found), take(module.parameters(recurse=False))
            for child in module.children():
                visit(child)
            if mine:
                found[at:] = [mine + found[at], *found[at + 1 :]] if at < len(found) else [mine]

    visit(network)
    return found, dims


def _used(network: nn.Module, encode: Encode, size: int) -> tuple[set[int], int]:
    """Python ids of the parameters that decide codes, and the codes' length."""
    network.eval().requires_grad_(True)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    codes = encode(network, torch.zeros(2, 3, size, size, device=device))
    if codes.requires_grad:
        codes.sum().backward()  # type: ignore[no-untyped-call]
    used = {id(p) for p in network.parameters() if p.grad is not None}
    network.zero_grad(set_to_none=True)
    return used, codes.shape[1]


class ClassLoss(Objective):
    """Cross entropy of an image's (or cached code's) class.

    Parameters
    ----------
    targets : np.ndarray
        (n,) int64, class of every training row.
    weights : np.ndarray
        (k,) float32, of the classes; ones for the plain loss.
    codes : Tensor | None
        (n, d) float32; when given, the network is a head and gets them instead of images.
    before_epoch : Callable[[nn.Module, int], None] | None
        Called with the network and the epoch's number before its first step.
    """

    targets: Tensor
    weights: Tensor
    cached: Tensor | None

    def __init__(
        self,
        targets: np.ndarray,
        weights: np.ndarray,
        codes: Tensor | None = None,
        before_epoch: Callable[[nn.Module, int], None] | None = None,
    ) -> None:
        super().__init__()
        # Known anew in every run, so no part of a resume point.
        self.register_buffer("targets", torch.from_numpy(targets), persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)
        self.register_buffer("cached", codes, persistent=False)
        self._before_epoch = before_epoch

    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """A look at the network before it learns on."""
        if self._before_epoch is not None:
            self._before_epoch(network, epoch)

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (b, 3, s, s) float32, rows (b,) int64 -> scalar, the weighted mean."""
        logits = network(x if self.cached is None else self.cached[rows]).float()
        y = self.targets[rows]
        # Not divided by the batch's own weights: a row weighs the same in every batch.
        return (self.weights[y] * functional.cross_entropy(logits, y, reduction="none")).mean()


def outputs(
    network: nn.Module,
    forward: Encode,
    blocks: Iterable[np.ndarray],
    preprocessing: Preprocessing,
    device: str,
) -> np.ndarray:
    """`forward`'s numbers (n, d) float32 of images in blocks of (b, s, s, 3) uint8.

    Computed in float32 and evaluation mode; the network's mode is kept.

    Parameters
    ----------
    network : nn.Module
        On any device.
    forward : callable
        (network, input (b, 3, s, s)) -> (b, d).
    blocks : iterable of np.ndarray
        The images, n in all.
    preprocessing : Preprocessing
        Pixels to input.
    device : str
        Torch's name.

    Examples
    --------
    >>> blocks = [np.zeros((2, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)]
    >>> outputs(nn.Identity(), lambda _, x: x.mean((2, 3)), blocks, Preprocessing(4), "cpu")[:, 0]
    array([-1., -1.,  1.], dtype=float32)
    """
    was = network.training
    backend = TorchBackend(Codes(forward, network, preprocessing, False), device)
    with deterministic():
        out = np.concatenate(list(backend.stream(blocks)))
    network.train(was)
    return out


def image_outputs(
    network: nn.Module,
    forward: Callable[[Tensor], Tensor],
    images: np.ndarray,
    preprocessing: Preprocessing,
    device: str,
) -> np.ndarray:
    """`outputs` (n, d) float32 of images (n, s, s, 3) uint8 in memory, BLOCK at a time.

    Parameters
    ----------
    network : nn.Module
        On any device; its mode is kept.
    forward : callable
        Input (b, 3, s, s) -> (b, d).
    images : np.ndarray
        (n, s, s, 3) uint8.
    preprocessing : Preprocessing
        Pixels to input.
    device : str
        Torch's name.

    Examples
    --------
    >>> images, prepared = np.zeros((3, 4, 4, 3), np.uint8), Preprocessing(4)
    >>> image_outputs(nn.Identity(), lambda x: x.mean((2, 3)), images, prepared, "cpu").shape
    (3, 3)
    """
    blocks = (images[a : a + BLOCK] for a in range(0, len(images), BLOCK))
    return outputs(network, lambda _, x: forward(x), blocks, preprocessing, device)


def softmax(logits: np.ndarray) -> np.ndarray:
    """(n, k) float32 -> probabilities (n, k) float32, computed in float64.

    Examples
    --------
    >>> softmax(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    p = np.exp(logits - logits.max(1, keepdims=True, initial=-np.inf).astype(np.float64))
    return (p / p.sum(1, keepdims=True)).astype(np.float32)
