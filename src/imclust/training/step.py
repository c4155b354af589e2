"""One step of a training: a batch, its views, its loss, and what the optimiser does with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from imclust.core.reproducibility import has_fast_bf16, step_generator
from imclust.data.augment import augment
from imclust.data.loader import Preprocessing, scaled, unit_range
from imclust.training.plan import Objective, TrainConfig
from imclust.training.state import State


class TrainingStep:
    """What a step is made of.

    Parameters
    ----------
    plan : TrainConfig
        how.
    images : Tensor
        (n, s, s, 3) uint8, moved to `device` where they take at most half of its free memory.
    preprocessing : Preprocessing
        To input.
    seed : int
        Of the views.
    device : str
        Of the step.
    """

    def __init__(
        self,
        plan: TrainConfig,
        images: Tensor,
        preprocessing: Preprocessing,
        seed: int,
        device: str,
    ) -> None:
        self.plan, self._preprocessing = plan, preprocessing
        self.seed, self.device = seed, device
        self.per_epoch = math.ceil(len(images) / plan.batch)
        self.most = plan.steps or plan.epochs * self.per_epoch
        kind = torch.device(device).type
        roomy = kind == "cuda" and 2 * images.nbytes < torch.cuda.mem_get_info(device)[0]
        self.images = images.to(device) if roomy else images
        wish = plan.precision
        half = wish == "bfloat16" or (wish == "auto" and has_fast_bf16(device))
        self._precision = partial(torch.autocast, kind, torch.bfloat16) if half else nullcontext

    def start(self, network: nn.Module, objective: Objective) -> State:
        """A training that has not begun; the network is on the device."""
        optimizer = _optimizer(network, self.plan)
        return State(network, objective.to(self.device), optimizer, self.most, self.most)

    def step(self, state: State, rows: np.ndarray, number: int) -> Tensor:
        """Learn from some images; the loss, without gradient."""
        plan = self.plan
        picked = torch.from_numpy(rows)
        pixels = self.images[picked.to(self.images.device)].to(self.device, non_blocking=True)
        x = unit_range(pixels)
        views = [
            augment(x, plan.augmentation, step_generator(self.seed, 1, number, *([v] if v else ())))
            for v in range(plan.views)
        ]
        x = scaled(torch.cat(views) if plan.views > 1 else views[0], self._preprocessing)
        with self._precision():
            value = state.objective(state.network, x, picked.to(self.device))
        state.optimizer.zero_grad(set_to_none=True)
        value.backward()
        state.optimizer.step()
        return value.detach()


def batches(n: int, batch: int, seed: int, begin: int) -> Iterator[np.ndarray]:
    """Row numbers of every step from `begin` on, without end; an epoch is a permutation.

    Parameters
    ----------
    n, batch : int
        Images, and images a step; the last batch of an epoch may be smaller.
    seed : int
        Of their order.
    begin : int
        The first step that is wanted.

    Examples
    --------
    >>> few = batches(10, 4, seed=0, begin=0)
    >>> [len(next(few)) for _ in range(4)]
    [4, 4, 2, 4]
    """
    per_epoch = math.ceil(n / batch)
    for step in itertools.count(begin):
        epoch, at = divmod(step, per_epoch)
        if at == 0 or step == begin:
            order = torch.randperm(n, generator=step_generator(seed, epoch)).numpy()
        yield order[at * batch : (at + 1) * batch]


def _optimizer(network: nn.Module, plan: TrainConfig) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            trained, plan.lr, momentum=0.9, weight_decay=plan.weight_decay, fused=True
        )
    kind = torch.optim.AdamW if plan.optimizer == "adamw" else torch.optim.Adam
    return kind(trained, plan.lr, weight_decay=plan.weight_decay, fused=True)
