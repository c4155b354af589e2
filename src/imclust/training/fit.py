"""The training loop: plain torch, seeded, resumable at any step, silent off a terminal.

Every random choice is a function of (seed, epoch), never of history, so a training that was
killed and resumed takes the very steps of one that was not, and ends in the same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imclust.core.errors import input_error
from imclust.core.log import progress, write_jsonl
from imclust.core.reproducibility import deterministic
from imclust.data.loader import Preprocessing, to_input
from imclust.training.budget import BudgetClock, steps_within_budget
from imclust.training.plan import Objective, TrainConfig
from imclust.training.state import RESUME, State
from imclust.training.step import TrainingStep, batches
from imclust.training.weights_file import save_weights

STEPS = "steps.jsonl"
KEEP_EVERY = 5.0  # seconds between resume points, the first one apart
KEEP_FIRST = 1.0  # seconds until the first: a short training can be gone on with, too
LOG_EVERY = 20  # steps between records of the step log
SWEEP = 64  # images at a time when all are encoded


def fit(
    network: nn.Module,
    objective: Objective,
    images: np.ndarray,
    preprocessing: Preprocessing,
    plan: TrainConfig,
    *,
    seed: int,
    device: str,
    folder: Path,
    encode: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """Train `network` in place, leaving a resume point and checkpoints in `folder`.

    Only parameters that require a gradient are trained.

    Parameters
    ----------
    network : nn.Module
        On any device; moved to `device` in channels-last layout.
    objective : Objective
        What to lower.
    images : np.ndarray
        (n, s, s, 3) uint8, held in memory; batches are made on `device`.
    preprocessing : Preprocessing
        Pixels to input.
    plan : TrainConfig
        What to do;
    seed : int
        Order of the images;
    device : str
        Torch's name.
    folder : Path
        Where an interrupted run of the same plan may have left a resume point.
    encode : Callable[[nn.Module, Tensor], Tensor] | None, optional
        (network, input) -> codes (b, d), for objectives that sweep over all images.

    Returns
    -------
    list[dict[str, Any]]
        The step log: step, epoch, learning rate, mean loss since the record before, the steps that
        were planned at first, and where that was shortened: after which step, and to how many.

    Raises
    ------
    InputError
        The loss is no longer finite.

    Examples
    --------
    >>> from imclust.training.losses import Reconstruction
    >>> from imclust.training.networks import Autoencoder
    >>> network = Autoencoder(nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1))
    >>> plan = TrainConfig(2, 4, 0.01, 0.0, "adam", "constant", "float32")
    >>> images, prepared = np.zeros((8, 8, 8, 3), np.uint8), Preprocessing(8)
    >>> log = fit(
    ...     network, Reconstruction(), images, prepared, plan, seed=0, device="cpu", folder=Path()
    ... )
    >>> log[-1]["step"]  # 2 epochs of 2 batches
    4
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    work = TrainingStep(plan, torch.from_numpy(images), preprocessing, seed, device)
    state = work.start(network, objective)

    def sweep(of: nn.Module = network) -> Tensor:
        if encode is None:
            raise ValueError("this objective sweeps over all images, so fit needs `encode`")
        return encode_all(of, encode, images, preprocessing, device)

    resumed = (folder / RESUME).is_file() and state.load(folder / RESUME, device)
    if not resumed and plan.seconds is not None:
        start = time.monotonic()
        with deterministic():
            state.steps = steps_within_budget(network, objective, work, sweep, plan.seconds)
            state.planned = state.steps
        state.spent = time.monotonic() - start

    network.train()
    clock = BudgetClock(state, plan, work.per_epoch)
    keep_at = time.monotonic() + min(KEEP_FIRST, KEEP_EVERY)
    bar = progress(None, "train", total=state.steps, initial=state.step, unit="step")
    with closing(bar), deterministic():
        for rows in batches(len(images), plan.batch, seed, state.step):
            if state.step >= state.steps:
                break
            if state.step % work.per_epoch == 0:
                state.objective.begin_epoch(network, state.step // work.per_epoch, sweep)
                clock.epoch_began()
            for group in state.optimizer.param_groups:
                group["lr"] = plan.rate(state.step, state.steps)
            state.losses.append(work.step(state, rows, state.step))
            state.step += 1
            state.objective.after_step(network, state.step / state.steps)
            if clock.cuts():
                bar.total = state.steps
            bar.update()
            ends_epoch = state.step % work.per_epoch == 0
            if state.step % LOG_EVERY == 0 or state.step == state.steps:
                _record(state, plan, work.per_epoch)
                bar.set_postfix(loss=f"{state.log[-1]['loss']:.4f}", refresh=False)
            if ends_epoch and state.step // work.per_epoch in plan.checkpoints:
                epoch = state.step // work.per_epoch
                save_weights(folder / f"checkpoint_{epoch}.safetensors", network, {"epoch": epoch})
            if time.monotonic() > keep_at:
                state.save(folder / RESUME)
                write_jsonl(folder / STEPS, state.log)
                keep_at = time.monotonic() + KEEP_EVERY
    write_jsonl(folder / STEPS, state.log)
    return state.log


@torch.no_grad()
def encode_all(
    network: nn.Module,
    encode: Callable[[nn.Module, Tensor], Tensor],
    images: np.ndarray,
    preprocessing: Preprocessing,
    device: str,
) -> Tensor:
    """Codes (n, d) float32 of all images in evaluation mode; the network's mode is kept.

    Parameters
    ----------
    network : nn.Module
        On the device.
    encode : callable
        (network, input (b, 3, s, s)) -> (b, d).
    images : np.ndarray
        (n, s, s, 3) uint8.
    preprocessing : Preprocessing
        Pixels to input.
    device : str
        Torch's name.

    Examples
    --------
    >>> images, prepared = np.zeros((3, 4, 4, 3), np.uint8), Preprocessing(4)
    >>> encode_all(nn.Identity(), lambda net, x: x.flatten(1), images, prepared, "cpu").shape
    torch.Size([3, 48])
    """
    was = network.training
    network.eval()
    blocks = [
        encode(network, to_input(images[a : a + SWEEP], preprocessing, device)).float()
        for a in range(0, len(images), SWEEP)
    ]
    network.train(was)
    return torch.cat(blocks)


def _record(state: State, plan: TrainConfig, per_epoch: int) -> None:
    """Append the mean loss since the last record, and forget those losses."""
    mean = float(torch.stack(state.losses).mean())
    state.losses.clear()
    if not math.isfinite(mean):
        raise input_error("the training loss", "finite", mean, "lower the learning rate (--lr)")
    rate = plan.rate(state.step - 1, state.steps)
    epoch = round(state.step / per_epoch, 4)
    record = {"step": state.step, "epoch": epoch, "lr": rate, "loss": round(mean, 6)}
    state.log.append(record | {"planned": state.planned, "cuts": [*state.cuts]})
