"""The training loop: plain torch, seeded, resumable at any step, silent off a terminal.

Every random choice is a function of (seed, epoch), never of history, so a training that was
killed and resumed takes the very steps of one that was not, and ends in the same weights.
"""

from __future__ import annotations

import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from imclust.augment import Augmentation, augment
from imclust.checks import Refusal, refusal
from imclust.foreign import load_state
from imclust.loader import Preprocessing, to_input
from imclust.log import progress, write_jsonl
from imclust.repro import deterministic, has_fast_bf16, step_generator

RESUME, STEPS = "resume.pt", "steps.jsonl"
KEEP_EVERY = 5.0  # seconds between resume points
LOG_EVERY = 20  # steps between records of the step log
SWEEP = 64  # images at a time when all are encoded


@dataclass(frozen=True)
class Plan:
    """How to train.

    Args:
        epochs, batch: passes over the images, and images a step; the last batch may be smaller.
        lr, weight_decay: of the optimiser. `adam` adds the decay to the gradient, `adamw` to
            the weights (Loshchilov and Hutter 2019); `sgd` has momentum 0.9.
        schedule: `constant`; `one-cycle`: linear warm-up over the first tenth of the steps, then a
            half cosine down to zero; `cosine`: the half cosine alone; `step`: a tenth of it every
            `step_epochs` epochs.
        precision: `float32`, or `auto`: bfloat16 autocast where the hardware computes it.
        checkpoints: epochs after which the weights are kept, beside the last.
        augmentation: random changes of every training image, `none` for the images as they are.
        step_epochs: of the `step` schedule.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float
    optimizer: Literal["adam", "adamw", "sgd"]
    schedule: Literal["constant", "one-cycle", "cosine", "step"]
    precision: Literal["float32", "auto"]
    checkpoints: tuple[int, ...] = ()
    augmentation: Augmentation = "none"
    step_epochs: int = 5

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch", 1), ("step_epochs", 1)):
            if getattr(self, name) < low:
                raise refusal(name, f"at least {low}", getattr(self, name), "raise it")

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

        Args:
            network: in training mode.
            epoch: from 0.
            sweep: gives the codes (n, d) of all training images, without augmentation, by
                `encode` in evaluation mode; call it only when needed, it is a pass over all.
        """

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """Scalar loss of images x (b, 3, s, s), which are `rows` (b,) int64 of the training set."""
        raise NotImplementedError


@dataclass
class State:
    """Where a training stands; everything a resume needs."""

    network: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    step: int
    log: list[dict[str, Any]]

    def save(self, path: Path) -> None:
        """Write in one step, so that a kill leaves the old state or the new."""
        fresh = path.with_suffix(".new")
        doc = {
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "log": json.dumps(self.log),
        }
        # By way of memory: torch's own writer turns a full disk into an error nobody can read.
        buffer = io.BytesIO()
        torch.save(doc, buffer)
        fresh.write_bytes(buffer.getbuffer())
        os.replace(fresh, path)

    def load(self, path: Path, device: str) -> None:
        """Go on from what `save` wrote."""
        doc = torch.load(path, map_location=device, weights_only=True)
        self.network.load_state_dict(doc["network"])
        self.objective.load_state_dict(doc["objective"])
        self.optimizer.load_state_dict(doc["optimizer"])
        self.step, self.log = doc["step"], json.loads(doc["log"])


def fit(
    network: nn.Module,
    objective: Objective,
    images: np.ndarray,
    preprocessing: Preprocessing,
    plan: Plan,
    *,
    seed: int,
    device: str,
    folder: Path,
    encode: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """Train `network` in place, leaving a resume point and checkpoints in `folder`.

    Only parameters that require a gradient are trained.

    Args:
        network: on any device; moved to `device` in channels-last layout.
        objective: what to lower.
        images: (n, s, s, 3) uint8, held in memory; batches are made on `device`.
        preprocessing: pixels to input.
        plan: what to do; seed: order of the images; device: torch's name.
        folder: where an interrupted run of the same plan may have left a resume point.
        encode: (network, input) -> codes (b, d), for objectives that sweep over all images.

    Returns:
        The step log: step, epoch, learning rate, mean loss since the record before.

    Raises:
        Refusal: the loss is no longer finite.
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = objective.to(device)
    optimizer = _optimizer(network, plan)
    state = State(network, objective, optimizer, 0, [])
    if (folder / RESUME).is_file():
        state.load(folder / RESUME, device)
    per_epoch = math.ceil(len(images) / plan.batch)
    steps = plan.epochs * per_epoch
    half = plan.precision == "auto" and has_fast_bf16(device)

    def sweep() -> Tensor:
        if encode is None:
            raise ValueError("this objective sweeps over all images, so fit needs `encode`")
        return _sweep(network, encode, images, preprocessing, device)

    network.train()
    kept, losses = time.monotonic(), list[Tensor]()
    bar = progress(None, "train", total=steps, initial=state.step, unit="step")
    with closing(bar), deterministic():
        for rows in _batches(len(images), plan.batch, seed, state.step, steps):
            if state.step % per_epoch == 0:
                objective.begin_epoch(network, state.step // per_epoch, sweep)
            for group in optimizer.param_groups:
                group["lr"] = plan.rate(state.step, steps)
            x = to_input(images[rows], preprocessing, device)
            x = augment(x, plan.augmentation, step_generator(seed, 1, state.step))
            autocast = torch.autocast(torch.device(device).type, torch.bfloat16)
            with autocast if half else nullcontext():
                value = objective(network, x, torch.from_numpy(rows).to(device))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            state.step += 1
            losses.append(value.detach())
            bar.update()
            ends_epoch = state.step % per_epoch == 0
            if state.step % LOG_EVERY == 0 or state.step == steps:
                _record(state, losses, plan, steps, per_epoch)
                bar.set_postfix(loss=f"{state.log[-1]['loss']:.4f}", refresh=False)
            if ends_epoch and state.step // per_epoch in plan.checkpoints:
                epoch = state.step // per_epoch
                save_weights(folder / f"checkpoint_{epoch}.safetensors", network, {"epoch": epoch})
            if not losses and time.monotonic() - kept > KEEP_EVERY:
                state.save(folder / RESUME)
                write_jsonl(folder / STEPS, state.log)
                kept = time.monotonic()
    write_jsonl(folder / STEPS, state.log)
    return state.log


def _optimizer(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            trained, plan.lr, momentum=0.9, weight_decay=plan.weight_decay, fused=True
        )
    kind = torch.optim.AdamW if plan.optimizer == "adamw" else torch.optim.Adam
    return kind(trained, plan.lr, weight_decay=plan.weight_decay, fused=True)


@torch.no_grad()
def _sweep(
    network: nn.Module,
    encode: Callable[[nn.Module, Tensor], Tensor],
    images: np.ndarray,
    preprocessing: Preprocessing,
    device: str,
) -> Tensor:
    """Codes (n, d) float32 of all images in evaluation mode; the network's mode is kept."""
    was = network.training
    network.eval()
    blocks = [
        encode(network, to_input(images[a : a + SWEEP], preprocessing, device)).float()
        for a in range(0, len(images), SWEEP)
    ]
    network.train(was)
    return torch.cat(blocks)


def _record(state: State, losses: list[Tensor], plan: Plan, steps: int, per_epoch: int) -> None:
    """Append the mean loss since the last record; empties `losses`."""
    mean = float(torch.stack(losses).mean())
    losses.clear()
    if not math.isfinite(mean):
        raise refusal("the training loss", "finite", mean, "lower the learning rate (--lr)")
    rate = plan.rate(state.step - 1, steps)
    epoch = round(state.step / per_epoch, 4)
    state.log.append({"step": state.step, "epoch": epoch, "lr": rate, "loss": round(mean, 6)})


def _batches(n: int, batch: int, seed: int, begin: int, steps: int) -> Iterator[np.ndarray]:
    """Row numbers of every step from `begin` on; each epoch is a permutation of its own."""
    per_epoch = math.ceil(n / batch)
    for step in range(begin, steps):
        epoch, at = divmod(step, per_epoch)
        if at == 0 or step == begin:
            order = torch.randperm(n, generator=step_generator(seed, epoch)).numpy()
        yield order[at * batch : (at + 1) * batch]


def save_weights(path: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """A network's state as safetensors, with JSON facts in its header; written in one step."""
    from safetensors.torch import save

    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    fresh = path.with_suffix(".new")
    fresh.write_bytes(save(tensors, {"imclust": json.dumps(facts, sort_keys=True)}))
    os.replace(fresh, path)


def load_weights(path: Path, network: nn.Module) -> dict[str, Any]:
    """Load strictly what `save_weights` wrote; returns its facts.

    Raises:
        Refusal: missing, not safetensors, or of another network.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise refusal(str(path), "a safetensors file", "nothing there", "run train first")
    try:
        with safe_open(path, "pt") as f:
            facts: dict[str, Any] = json.loads((f.metadata() or {}).get("imclust", "{}"))
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    except SafetensorError as e:
        first = str(e).splitlines()[0]
        raise Refusal(f"{path} must be weights of this network in safetensors; got: {first}") from e
    load_state(network, tensors, str(path))
    return facts
