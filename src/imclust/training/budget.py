"""How many steps fit into so many seconds, and keeping to it."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from imclust.core.log import say
from imclust.core.reproducibility import deterministic
from imclust.data.loader import Preprocessing
from imclust.training.plan import Objective, TrainConfig
from imclust.training.state import State
from imclust.training.step import TrainingStep, batches

TRIED = 5  # steps that are timed to plan for a budget; the first two are not counted
SPARED = 0.95  # share of a budget that is planned for; the rest is for what a plan cannot see
LATE = 1.02  # a plan that is longer than fits by this factor is shortened
# Share of a budget that the speed is taken over, and not judged before it is over: a plan is not
# made longer again after a step that happened to be slow.
RECENT = 0.2


def steps_per_second(
    network: nn.Module,
    objective: Objective,
    images: np.ndarray,
    preprocessing: Preprocessing,
    plan: TrainConfig,
    *,
    device: str,
) -> float:
    """How fast a training would go, by a few steps of it; `network` learns them.

    Parameters
    ----------
    network, objective, images, preprocessing, plan, device
        As for `fit`; the objective needs no sweep over all images.

    Returns
    -------
    float
        Steps a second, of the median step.

    Examples
    --------
    >>> from imclust.training.losses import Reconstruction
    >>> from imclust.training.networks import Autoencoder
    >>> network = Autoencoder(nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1))
    >>> plan = TrainConfig(1, 4, 0.01, 0.0, "adam", "constant", "float32")
    >>> images, prepared = np.zeros((8, 8, 8, 3), np.uint8), Preprocessing(8)
    >>> steps_per_second(network, Reconstruction(), images, prepared, plan, device="cpu") > 0
    True
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    work = TrainingStep(plan, torch.from_numpy(images), preprocessing, 0, device)
    state = work.start(network.train(), objective)
    with deterministic():
        return 1 / statistics.median(_timed_steps(state, work)[2:])


def _timed_steps(state: State, work: TrainingStep) -> list[float]:
    """Seconds of each of the first steps."""
    taken = []
    all_rows = batches(len(work.images), work.plan.batch, work.seed, 0)
    for number, rows in enumerate(itertools.islice(all_rows, TRIED)):
        start = time.monotonic()
        float(work.step(state, rows, number))  # waits for the device
        state.objective.after_step(state.network, 0.0)
        taken.append(time.monotonic() - start)
    return taken


def steps_within_budget(
    network: nn.Module,
    objective: Objective,
    work: TrainingStep,
    sweep: Callable[[nn.Module], Tensor],
    seconds: float,
) -> int:
    """Steps that fit into so many seconds, by the time that copies take for a few.

    Parameters
    ----------
    network : nn.Module
        On the device; a copy learns, itself it does not.
    objective : Objective
        What is lowered; copied too.
    work : TrainingStep
        What a step is.
    sweep : callable
        Network -> codes (n, d) of all images, for objectives that want them.
    seconds : float
        That the training may take.

    Returns
    -------
    int
        From 1 to `work.most`.

    Examples
    --------
    >>> from imclust.core.log import silent
    >>> from imclust.training.losses import Reconstruction
    >>> from imclust.training.networks import Autoencoder
    >>> network = Autoencoder(nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1))
    >>> plan = TrainConfig(4, 4, 0.01, 0.0, "adam", "constant", "float32")
    >>> images = torch.zeros(8, 8, 8, 3, dtype=torch.uint8)
    >>> work = TrainingStep(plan, images, Preprocessing(8), 0, "cpu")
    >>> with silent():
    ...     steps_within_budget(network, Reconstruction(), work, torch.zeros, seconds=60)
    8
    """
    trial = copy.deepcopy(network).train()
    state = work.start(trial, copy.deepcopy(objective))
    begun = []
    for epoch in (0, 1):  # the first has more to prepare than the others
        start = time.monotonic()
        state.objective.begin_epoch(trial, epoch, lambda: sweep(trial))
        begun.append(time.monotonic() - start)
    taken = _timed_steps(state, work)
    each = statistics.median(taken[2:])
    left = SPARED * seconds - 2 * begun[0] - begun[1] - sum(taken)
    steps = max(1, min(work.most, int(left / (each + begun[1] / work.per_epoch))))
    epochs = steps / work.per_epoch
    say(f"{1 / each:.1f} steps a second: {epochs:.1f} epochs planned for {seconds:.0f} s")
    return steps


class BudgetClock:
    """Keeps a training within its seconds, or to cuts that are given.

    Parameters
    ----------
    state : State
        Whose plan is shortened.
    plan : TrainConfig
        With `seconds` for all of it, or `cuts`.
    per_epoch : int
        steps.
    """

    def __init__(self, state: State, plan: TrainConfig, per_epoch: int) -> None:
        self._state, self._seconds, self._per_epoch = state, plan.seconds, per_epoch
        self._given = dict(plan.cuts)
        self._began = time.monotonic() - state.spent
        self._marks = deque([(time.monotonic(), state.step)])

    def epoch_began(self) -> None:
        """From here the first epoch's speed is taken: what it prepares is done once."""
        if self._state.step == 0:
            self._marks = deque([(time.monotonic(), 0)])

    def cuts(self) -> bool:
        """Whether the plan had to be shortened after a step."""
        state, now = self._state, time.monotonic()
        state.spent = now - self._began
        if (to := self._given.get(state.step)) is not None:
            state.cut(to)
            return True
        if self._seconds is None or state.step >= state.steps:
            return False
        if state.spent >= self._seconds:
            state.cut(state.step)
            return True
        if state.step % self._per_epoch:
            return False
        fits = self._fits(now, self._seconds)
        if fits is None or state.steps <= LATE * fits:
            return False
        state.cut(fits)
        return True

    def _fits(self, now: float, seconds: float) -> int | None:
        """Steps in all that fit, at the speed of late; None while that is not known."""
        state, marks = self._state, self._marks
        marks.append((now, state.step))
        while len(marks) > 2 and now - marks[1][0] >= RECENT * seconds:
            marks.popleft()
        since, step = marks[0]
        if now - since < RECENT * seconds:
            return None
        each = (now - since) / (state.step - step)
        return state.step + max(1, int((seconds - state.spent) / each))
