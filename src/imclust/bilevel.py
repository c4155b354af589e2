"""TURTLE's two levels: a labelling, and the linear classifiers that it is easy or hard for.

Gadetsky, Jiang and Brbic 2024. All heads in one tensor program: x (n, d) of a space goes against
weights (h, d, k), h heads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from imclust.batched import linear, mean_entropy

BETAS = (0.9, 0.999)


class Labeller:
    """Task encoder: in each space a weight-normalised linear map and a softmax (eq. 5).

    Args:
        dims: of the spaces. heads: h. k: clusters. generator: of the CPU; decides the start.
    """

    def __init__(
        self, dims: list[int], heads: int, k: int, generator: torch.Generator, device: str
    ) -> None:
        def drawn(d: int) -> Tensor:
            return (torch.randn(heads, d, k, generator=generator) / d**0.5).to(device)

        self._direction = [drawn(d).requires_grad_() for d in dims]
        self._length = [
            v.detach().norm(dim=1, keepdim=True).requires_grad_() for v in self._direction
        ]
        self._bias = [torch.zeros(heads, 1, k, device=device, requires_grad=True) for _ in dims]

    @property
    def parameters(self) -> list[Tensor]:
        """All of them, for an optimiser."""
        return self._direction + self._length + self._bias

    def soft(self, x: Tensor, space: int) -> Tensor:
        """Soft labels (h, n, k) of rows (n, d) of one space; their mean over spaces is the task."""
        v = self._direction[space]
        weights = v * (self._length[space] / v.norm(dim=1, keepdim=True).clamp_min(1e-12))
        return torch.softmax(linear(x, weights) + self._bias[space], 2)


class Inner:
    """The linear classifier of every head and space that is fitted to the labels, by Adam.

    Gradients of the cross entropy are written out: softmax minus target, times the rows.

    Args:
        keep: go on from the last outer step (the paper's warm start), not from a fresh start.
        steps: of Adam at `rate` for each outer step; the paper's M.
    """

    def __init__(
        self,
        labeller: Labeller,
        generator: torch.Generator,
        *,
        rate: float,
        keep: bool,
        steps: int,
    ) -> None:
        self._shapes = [v.shape for v in labeller._direction]
        self._device = labeller._direction[0].device
        self._generator, self._rate, self._keep, self._steps = generator, rate, keep, steps
        self._start()

    def _start(self) -> None:
        self._taken = 0
        self._weights: list[Tensor] = []
        for heads, d, k in self._shapes:
            # The range of torch's Linear, which the paper's classifier starts from.
            drawn = torch.rand(heads, d, k, generator=self._generator) * 2 - 1
            self._weights += [(drawn / d**0.5).to(self._device)]
            self._weights += [torch.zeros(heads, 1, k, device=self._device)]
        self._moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self._weights]

    def fit(self, x: list[Tensor], target: Tensor) -> list[Tensor]:
        """Take the inner steps on rows x, (n, d_s) a space; log-probabilities (h, n, k) a space.

        target: (h, n, k) soft labels without gradient.
        """
        if not self._keep:
            self._start()
        for _ in range(self._steps):
            self._taken += 1
            for s, rows in enumerate(x):
                off = (torch.softmax(self._logits(rows, s), 2) - target) / target.shape[1]
                self._descend(2 * s, torch.matmul(rows.T, off))
                self._descend(2 * s + 1, off.sum(1, keepdim=True))
        return [torch.log_softmax(self._logits(rows, s), 2) for s, rows in enumerate(x)]

    def _logits(self, rows: Tensor, space: int) -> Tensor:
        return linear(rows, self._weights[2 * space]) + self._weights[2 * space + 1]

    def _descend(self, which: int, gradient: Tensor) -> None:
        first, second = self._moments[which]
        first.mul_(BETAS[0]).add_(gradient, alpha=1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        scale = (1 - BETAS[1] ** self._taken) ** 0.5 / (1 - BETAS[0] ** self._taken)
        self._weights[which].addcdiv_(first, second.sqrt() + 1e-8, value=-self._rate * scale)


def outer_loss(x: list[Tensor], labeller: Labeller, inner: Inner, balance: float) -> Tensor:
    """Eq. 9 and 12: how hard the labels are for the inner classifiers, less balance x entropy.

    Gradients flow through the labels only; the classifiers are held.

    Returns:
        (h,), summed over the spaces.
    """
    soft = [labeller.soft(rows, s) for s, rows in enumerate(x)]
    task = torch.stack(soft).mean(0)
    with torch.no_grad():
        log_p = inner.fit(x, task.detach())
    hard = -(task * torch.stack(log_p).sum(0)).sum(2).mean(1)
    spread = torch.stack([mean_entropy(p) for p in soft]).sum(0)
    return hard - balance * spread
