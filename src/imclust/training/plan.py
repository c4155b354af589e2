"""What a training is asked to do: how, and what it lowers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from imclust.core.errors import input_error
from imclust.core.reproducibility import TrainingPrecision
from imclust.data.augment import NOTHING, Augmentation


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Parameters
    ----------
    epochs, batch : int
        Passes over the images, and images a step; the last batch may be smaller.
    lr, weight_decay : float
        Of the optimiser. `adam` adds the decay to the gradient, `adamw` to the weights (Loshchilov
        and Hutter 2019); `sgd` has momentum 0.9.
    schedule : Literal['constant', 'one-cycle', 'cosine', 'step']
        `constant`; `one-cycle`: linear warm-up over the first tenth of the steps, then a half
        cosine down to zero; `cosine`: the half cosine alone; `step`: a tenth of it every
        `step_epochs` epochs.
    precision : TrainingPrecision
        `float32`; `bfloat16`: autocast; `auto`: bfloat16 where the hardware says it computes it.
    checkpoints : tuple[int, ...]
        Epochs after which the weights are kept, beside the last.
    augmentation : Augmentation
        Random changes of every training image.
    step_epochs : int
        Of the `step` schedule.
    views : int
        How many differently changed copies of every image a step holds.
    steps : int | None
        Exactly so many instead of `epochs`, if given.
    cuts : tuple[tuple[int, int], ...]
        Of `steps`, where they are shortened: after which step, and to how many. What a training
        under a budget had makes the same weights again.
    seconds : float | None
        That the training may take; `epochs` is then the most it makes. As many steps are planned as
        the first ones' speed allows, and fewer when the machine turns out slower.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float
    optimizer: Literal["adam", "adamw", "sgd"]
    schedule: Literal["constant", "one-cycle", "cosine", "step"]
    precision: TrainingPrecision
    checkpoints: tuple[int, ...] = ()
    augmentation: Augmentation = NOTHING
    step_epochs: int = 5
    views: int = 1
    steps: int | None = None
    cuts: tuple[tuple[int, int], ...] = ()
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch", 1), ("step_epochs", 1), ("views", 1)):
            if getattr(self, name) < low:
                raise input_error(name, f"at least {low}", getattr(self, name), "raise it")

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step 0 <= `step` < `steps`."""
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "step":
            epoch = step * self.epochs // steps
            return self.lr * 0.1 ** (epoch // self.step_epochs)
        warm = max(1, steps // 10) if self.schedule == "one-cycle" else 0
        if step < warm:
            return self.lr * (step + 1) / warm
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class Objective(nn.Module):
    """What a training lowers.

    Whatever it must remember between steps (a memory bank, say) lives in its buffers, which are
    part of every resume point.
    """

    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """Called before the first step of every epoch, and never in the middle of one.

        Parameters
        ----------
        network : nn.Module
            In training mode.
        epoch : int
            From 0.
        sweep : Callable[[], Tensor]
            Gives the codes (n, d) of all training images, without augmentation, by `encode` in
            evaluation mode; call it only when needed, it is a pass over all.
        """

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """Scalar loss of images x (b, 3, s, s), which are `rows` (b,) int64 of the training set.

        With several views x is (views * b, 3, s, s): the first view of all rows, then the second.
        """
        raise NotImplementedError

    def after_step(self, network: nn.Module, done: float) -> None:
        """Called when the network has learned from a step; `done` in (0, 1] of the training."""
