"""Many small networks in one tensor program, and the loop that trains them until they stand still.

All tensors have the heads in front: parameters (h, in, out), activations (h, n, out). Sixteen
heads of a few hundred thousand numbers then cost little more than one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from imclust.core.log import progress
from imclust.core.reproducibility import pick_device


class MLPEnsemble:
    """`h` perceptrons with GELU between layers, each with weights of its own.

    Parameters
    ----------
    heads : int
        h.
    widths : tuple[int, ...]
        Of the layers, input first.
    generator : torch.Generator
        Of the CPU; decides the weights.
    device : str
        Where they live.
    """

    def __init__(
        self, heads: int, widths: tuple[int, ...], generator: torch.Generator, device: str
    ) -> None:
        self.weights, self.biases = [], []
        for a, b in itertools.pairwise(widths):
            w = torch.randn(heads, a, b, generator=generator) / a**0.5
            self.weights.append(w.to(device).requires_grad_())
            self.biases.append(torch.zeros(heads, 1, b, device=device, requires_grad=True))

    @property
    def parameters(self) -> list[Tensor]:
        """All of them, for an optimiser."""
        return self.weights + self.biases

    def __call__(self, x: Tensor, parameters: list[Tensor] | None = None) -> Tensor:
        """x (n, in), the same for all heads, or (h, n, in) -> (h, n, out).

        With `parameters` (as from `self.parameters`) those numbers stand in for its own.
        """
        every = parameters or self.parameters
        weights, biases = every[: len(self.weights)], every[len(self.weights) :]
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            x = linear(x, w) + b
            if i + 1 < len(weights):
                x = functional.gelu(x)
        return x


def linear(x: Tensor, weights: Tensor) -> Tensor:
    """x (n, a) or (h, n, a) times weights (h, a, b) -> (h, n, b); shared rows in one product.

    Examples
    --------
    >>> import torch
    >>> linear(torch.ones(5, 3), torch.ones(2, 3, 4)).shape
    torch.Size([2, 5, 4])
    """
    if x.ndim == 3:
        return torch.bmm(x, weights)
    heads, a, b = weights.shape
    flat = x @ weights.transpose(0, 1).reshape(a, heads * b)
    return flat.view(len(x), heads, b).transpose(0, 1)


def mean_entropy(p: Tensor) -> Tensor:
    """Entropy (h,) in nats of each head's mean answer; p (h, n, k).

    Examples
    --------
    >>> import torch
    >>> mean_entropy(torch.eye(2)[None])
    tensor([0.6931])
    """
    q = p.mean(1)
    return -(q * q.clamp_min(1e-8).log()).sum(1)


@dataclass(frozen=True)
class Schedule:
    """How long a training goes on.

    Parameters
    ----------
    steps : int
        At most.
    batch : int
        Rows a step, all rows if there are fewer.
    window : int
        Steps whose mean loss is compared with that of the window before.
    tolerance : float
        Of the loss, relative to its size; less improvement than that of the best head ends the
        training.
    """

    steps: int
    batch: int
    window: int = 50
    tolerance: float = 1e-3


def train(
    n: int,
    step: Callable[[Tensor, int], Tensor],
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    generator: torch.Generator,
    what: str,
) -> tuple[np.ndarray, int]:
    """Run `step` on batches until the loss stands still.

    Parameters
    ----------
    n : int
        rows.
    step : Callable[[Tensor, int], Tensor]
        (rows (b,) int64, number of the step) -> loss (h,) of every head; their sum is what
        descends, heads share no parameter.
    optimiser : torch.optim.Optimizer
        Over the parameters that `step` uses.
    generator : torch.Generator
        Of the CPU; decides the batches.
    what : str
        Name on the progress bar.

    Returns
    -------
    tuple[np.ndarray, int]
        Mean loss (h,) float64 of the last window, and the steps taken.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> w = torch.ones(2, requires_grad=True)
    >>> descend, plan = torch.optim.SGD([w], lr=0.5), Schedule(steps=20, batch=4)
    >>> loss, steps = train(8, lambda rows, t: w**2, descend, plan, generator, "squares")
    >>> steps, w.tolist()
    (20, [0.0, 0.0])
    """
    device = optimiser.param_groups[0]["params"][0].device
    seen: list[Tensor] = []
    before: Tensor | None = None
    bar = progress(None, what, total=schedule.steps, unit="step", leave=False)
    with bar:
        for t, rows in zip(range(schedule.steps), batches(n, schedule.batch, generator)):  # noqa: B905
            loss = step(rows.to(device), t)
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            seen.append(loss.detach())
            bar.update()
            if (t + 1) % schedule.window == 0:
                now = torch.stack(seen[-schedule.window :]).mean(0)
                if before is not None and _stands(before, now, schedule.tolerance):
                    break
                before = now
    last = torch.stack(seen[-schedule.window :]).mean(0).double().cpu().numpy()
    return last, len(seen)


def _stands(before: Tensor, now: Tensor, tolerance: float) -> bool:
    """Whether no head got better by more than the tolerance."""
    return bool(((before - now) < tolerance * before.abs().clamp_min(1e-6)).all())


def batches(n: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches (b,) int64 without replacement within an epoch; b = min(batch, n).

    Examples
    --------
    >>> import torch
    >>> few = batches(10, 4, torch.Generator().manual_seed(0))
    >>> [len(next(few)) for _ in range(3)]
    [4, 4, 4]
    """
    batch = min(batch, n)
    while True:
        order = torch.randperm(n, generator=generator)
        for a in range(0, n - batch + 1, batch):
            yield order[a : a + batch]


def on_device(x: np.ndarray) -> Tensor:
    """(n, d) float32 on the GPU where there is one.

    Examples
    --------
    >>> on_device(np.eye(2)).dtype
    torch.float32
    """
    return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(pick_device())


def softmax_of(x: Tensor, stack: MLPEnsemble, parameters: list[Tensor], scale: float) -> Tensor:
    """Probabilities (n, k) of one head, `parameters` (1, ...), on rows x (n, d) times `scale`.

    Parameters
    ----------
    x : Tensor
        (n, d).
    stack : MLPEnsemble
        The networks.
    parameters : list of Tensor
        Of one head, (1, ...) each.
    scale : float
        That the rows are multiplied by.

    Examples
    --------
    >>> stack = MLPEnsemble(1, (3, 2), torch.Generator().manual_seed(0), "cpu")
    >>> p = softmax_of(torch.ones(4, 3), stack, stack.parameters, scale=1.0)
    >>> p.shape, bool(torch.allclose(p.sum(1), torch.ones(4)))
    (torch.Size([4, 2]), True)
    """
    return torch.softmax(stack(x * scale, parameters), 2)[0]


def in_blocks(forward: Callable[[Tensor], Tensor], x: np.ndarray, block: int = 16384) -> np.ndarray:
    """`forward` of rows x (n, d) without gradients, so many rows at a time: (n, k) float32.

    Parameters
    ----------
    forward : callable
        (b, d) -> (b, k).
    x : np.ndarray
        (n, d) float32.
    block : int
        Rows at a time.

    Examples
    --------
    >>> in_blocks(lambda x: 2 * x, np.ones((3, 2), np.float32), block=2).shape
    (3, 2)
    """
    with torch.no_grad():
        parts = [forward(on_device(x[a : a + block])).cpu() for a in range(0, len(x), block)]
    return torch.cat(parts).numpy().astype(np.float32)
