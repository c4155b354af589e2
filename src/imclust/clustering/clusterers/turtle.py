"""`turtle`: the labelling that linear classifiers learn best, in one space or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.clustering.preprocessing import Preparation
from imclust.core.checks import in_range

if TYPE_CHECKING:
    import torch
    from torch import Tensor


ADAM_BETAS = (0.9, 0.999)
SIZE = 8.0  # length that unit rows are brought to, so that logits of unit weights can be decided


@dataclass(frozen=True)
class TurtleConfig:
    """TURTLE: no labels, no neighbours; takes several --features."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: raw features, 6000 steps of 10 fresh inner steps, both rates 1e-3, one head.
    `fast`: principal directions, an inner classifier that is kept, larger steps, until it stands
    still; the best of several heads by the paper's own score."""
    prepare: Preparation = "pca"
    """As for kmeans; `literal` takes raw."""
    heads: int = 8
    """Starts, trained side by side; `literal` takes one."""
    steps: int = 600
    """Outer steps at most; `literal` takes 6000."""
    balance: float = 10.0
    """Weight of the entropy of the clusters' sizes; the paper's gamma."""

    def __post_init__(self) -> None:
        in_range("turtle", "heads", self.heads, 1, 1024)
        in_range("turtle", "steps", self.steps, 1, 100_000)
        in_range("turtle", "balance", self.balance, 0, 1000)


@CLUSTERERS.register("turtle", TurtleConfig, paper="Gadetsky, Jiang and Brbic 2024, eq. 9 to 12")
@several_spaces
@on_sample(50_000)
def turtle(z: Rows, n_clusters: int, cfg: TurtleConfig, seed: int) -> Clustering:
    """z (n, d), or a list of spaces (n, d_s) -> soft labels (n, k), the mean over the spaces.

    Deviations of `fast`: unit principal directions of length 8 instead of raw features; the inner
    classifier is kept from step to step (the paper's warm start) and takes 5 steps of rate 1e-2;
    batches of 1024; several heads of which that of the best learnability is kept.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = turtle(z.astype(np.float32), 3, TurtleConfig(heads=4, steps=200), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    from imclust.clustering.learnability import learnability

    literal = cfg.recipe == "literal"
    views, apply = prepared_views(z, "raw" if literal else cfg.prepare)
    scale = 1.0 if literal or cfg.prepare == "raw" else SIZE
    spaces = [scale * v for v in views]
    task, loss, steps = _fit(spaces, n_clusters, cfg, seed)
    soft = task(spaces).reshape(len(spaces[0]), len(loss), n_clusters)
    scores = learnability(views, list(soft.argmax(2).T))
    best = int(scores.argmax())
    head = slice(best * n_clusters, (best + 1) * n_clusters)
    predict = partial(_predict, task=task, apply=apply, scale=scale, head=head)
    facts = {"loss": float(loss[best]), "steps": steps, "learnability": float(scores[best])}
    rounded = {name: round(value, 4) for name, value in facts.items()}
    return Clustering(soft[:, best], predict, rounded)


def _fit(
    spaces: list[np.ndarray], k: int, cfg: TurtleConfig, seed: int
) -> tuple[Any, np.ndarray, int]:
    """The trained task encoder, spaces -> (n, h * k), the losses (h,), and the steps taken."""
    import torch

    from imclust.clustering.mlp_ensemble import Schedule, on_device, train

    literal = cfg.recipe == "literal"
    rate, heads = (1e-3, 1) if literal else (1e-2, cfg.heads)
    generator = torch.Generator().manual_seed(seed)
    x = [on_device(s) for s in spaces]
    labeller = Labeller([s.shape[1] for s in x], heads, k, generator, str(x[0].device))
    inner_steps = 10 if literal else 5
    inner = InnerClassifier(labeller, generator, rate=rate, keep=not literal, steps=inner_steps)
    optimiser = torch.optim.Adam(labeller.parameters, lr=rate)

    def step(rows: Tensor, t: int) -> Tensor:
        return outer_loss([s[rows] for s in x], labeller, inner, cfg.balance)

    plan = Schedule(6000, 10_000, tolerance=-1.0) if literal else Schedule(cfg.steps, 1024)
    loss, steps = train(len(x[0]), step, optimiser, plan, generator, "turtle")

    return partial(_soft, labeller), loss, steps


def _soft(labeller: Labeller, rows: list[np.ndarray]) -> np.ndarray:
    """Soft labels (n, h * k) of all heads, head after head; the mean over the spaces."""
    from imclust.clustering.mlp_ensemble import in_blocks

    def one(space: int) -> np.ndarray:
        return in_blocks(
            lambda block: labeller.soft(block, space).transpose(0, 1).flatten(1), rows[space]
        )

    total = one(0)
    for space in range(1, len(rows)):
        total += one(space)
    return total / len(rows)


def _predict(
    new: Rows,
    task: Callable[[list[np.ndarray]], np.ndarray],
    apply: Callable[[Any], Any],
    scale: float,
    head: slice,
) -> np.ndarray:
    return task([scale * view for view in apply(new)])[:, head]


class Labeller:
    """Task encoder: in each space a weight-normalised linear map and a softmax (eq. 5).

    Parameters
    ----------
    dims : list[int]
        Of the spaces.
    heads : int
        h.
    k : int
        clusters.
    generator : torch.Generator
        Of the CPU; decides the start.
    """

    def __init__(
        self, dims: list[int], heads: int, k: int, generator: torch.Generator, device: str
    ) -> None:
        import torch

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
        import torch

        from imclust.clustering.mlp_ensemble import linear

        v = self._direction[space]
        weights = v * (self._length[space] / v.norm(dim=1, keepdim=True).clamp_min(1e-12))
        return torch.softmax(linear(x, weights) + self._bias[space], 2)


class InnerClassifier:
    """The linear classifier of every head and space that is fitted to the labels, by Adam.

    Gradients of the cross entropy are written out: softmax minus target, times the rows.

    Parameters
    ----------
    keep : bool
        Go on from the last outer step (the paper's warm start), not from a fresh start.
    steps : int
        Of Adam at `rate` for each outer step; the paper's M.
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
        import torch

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
        import torch

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
        from imclust.clustering.mlp_ensemble import linear

        return linear(rows, self._weights[2 * space]) + self._weights[2 * space + 1]

    def _descend(self, which: int, gradient: Tensor) -> None:
        first, second = self._moments[which]
        first.mul_(ADAM_BETAS[0]).add_(gradient, alpha=1 - ADAM_BETAS[0])
        second.mul_(ADAM_BETAS[1]).addcmul_(gradient, gradient, value=1 - ADAM_BETAS[1])
        scale = (1 - ADAM_BETAS[1] ** self._taken) ** 0.5 / (1 - ADAM_BETAS[0] ** self._taken)
        self._weights[which].addcdiv_(first, second.sqrt() + 1e-8, value=-self._rate * scale)


def outer_loss(
    x: list[Tensor], labeller: Labeller, inner: InnerClassifier, balance: float
) -> Tensor:
    """Eq. 9 and 12: how hard the labels are for the inner classifiers, less balance x entropy.

    Gradients flow through the labels only; the classifiers are held.

    Parameters
    ----------
    x : list of Tensor
        (n, d_s) rows of each space.
    labeller : Labeller
        Gives the labels.
    inner : InnerClassifier
        Is fitted to them.
    balance : float
        Weight of the entropy of the clusters' sizes.

    Returns
    -------
    Tensor
        (h,), summed over the spaces.

    Examples
    --------
    >>> import torch
    >>> rows, drawn = torch.eye(4), torch.Generator().manual_seed(0)
    >>> labeller = Labeller([4], heads=2, k=2, generator=drawn, device="cpu")
    >>> inner = InnerClassifier(labeller, drawn, rate=0.1, keep=True, steps=3)
    >>> outer_loss([rows], labeller, inner, balance=10.0).shape
    torch.Size([2])
    """
    import torch

    from imclust.clustering.mlp_ensemble import mean_entropy

    soft = [labeller.soft(rows, s) for s, rows in enumerate(x)]
    task = torch.stack(soft).mean(0)
    with torch.no_grad():
        log_p = inner.fit(x, task.detach())
    hard = -(task * torch.stack(log_p).sum(0)).sum(2).mean(1)
    spread = torch.stack([mean_entropy(p) for p in soft]).sum(0)
    return hard - balance * spread
