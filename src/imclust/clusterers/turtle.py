"""`turtle`: the labelling that linear classifiers learn best, in one space or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import (
    Clustering,
    Rows,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.spaces import Preparation

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from imclust.bilevel import Labeller

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
    """
    from imclust.learnability import learnability

    literal = cfg.recipe == "literal"
    views, apply = prepared_views(z, "raw" if literal else cfg.prepare)
    scale = 1.0 if literal or cfg.prepare == "raw" else SIZE
    spaces = [scale * v for v in views]
    task, loss, steps = _fit(spaces, n_clusters, cfg, seed)
    soft = task(spaces).reshape(len(spaces[0]), len(loss), n_clusters)
    scores = learnability(views, list(soft.argmax(2).T))
    best = int(scores.argmax())
    head = slice(best * n_clusters, (best + 1) * n_clusters)
    place = partial(_placed, task=task, apply=apply, scale=scale, head=head)
    facts = {"loss": float(loss[best]), "steps": steps, "learnability": float(scores[best])}
    rounded = {name: round(value, 4) for name, value in facts.items()}
    return Clustering(soft[:, best], place, rounded)


def _fit(
    spaces: list[np.ndarray], k: int, cfg: TurtleConfig, seed: int
) -> tuple[Any, np.ndarray, int]:
    """The trained task encoder, spaces -> (n, h * k), the losses (h,), and the steps taken."""
    import torch

    from imclust.batched import Schedule, on_device, train
    from imclust.bilevel import Inner, Labeller, outer_loss

    literal = cfg.recipe == "literal"
    rate, heads = (1e-3, 1) if literal else (1e-2, cfg.heads)
    generator = torch.Generator().manual_seed(seed)
    x = [on_device(s) for s in spaces]
    labeller = Labeller([s.shape[1] for s in x], heads, k, generator, str(x[0].device))
    inner_steps = 10 if literal else 5
    inner = Inner(labeller, generator, rate=rate, keep=not literal, steps=inner_steps)
    optimiser = torch.optim.Adam(labeller.parameters, lr=rate)

    def step(rows: Tensor, t: int) -> Tensor:
        return outer_loss([s[rows] for s in x], labeller, inner, cfg.balance)

    plan = Schedule(6000, 10_000, tolerance=-1.0) if literal else Schedule(cfg.steps, 1024)
    loss, steps = train(len(x[0]), step, optimiser, plan, generator, "turtle")

    return partial(_soft, labeller), loss, steps


def _soft(labeller: Labeller, rows: list[np.ndarray]) -> np.ndarray:
    """Soft labels (n, h * k) of all heads, head after head; the mean over the spaces."""
    from imclust.batched import in_blocks

    def one(space: int) -> np.ndarray:
        return in_blocks(
            lambda block: labeller.soft(block, space).transpose(0, 1).flatten(1), rows[space]
        )

    total = one(0)
    for space in range(1, len(rows)):
        total += one(space)
    return total / len(rows)


def _placed(
    new: Rows,
    task: Callable[[list[np.ndarray]], np.ndarray],
    apply: Callable[[Any], Any],
    scale: float,
    head: slice,
) -> np.ndarray:
    return task([scale * view for view in apply(new)])[:, head]
