"""The training loop: plain torch, seeded, resumable at any step, silent off a terminal.

Every random choice is a function of (seed, epoch), never of history, so a training that was
killed and resumed takes the very steps of one that was not, and ends in the same weights.
"""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imclust.core.errors import InputError, input_error
from imclust.core.files import replaced_file
from imclust.core.log import progress, say, write_jsonl
from imclust.core.reproducibility import deterministic, has_fast_bf16, step_generator
from imclust.data.augment import augment
from imclust.data.loader import Preprocessing, scaled, to_input, unit_range
from imclust.training.plan import Objective, TrainConfig
from imclust.training.pretrained import load_state

SEAL = hashlib.sha256().digest_size  # bytes before a resume point: the digest of what follows
RESUME, STEPS = "resume.pt", "steps.jsonl"
KEEP_EVERY = 5.0  # seconds between resume points, the first one apart
KEEP_FIRST = 1.0  # seconds until the first: a short training can be gone on with, too
LOG_EVERY = 20  # steps between records of the step log
SWEEP = 64  # images at a time when all are encoded
TRIED = 5  # steps that are timed to plan for a budget; the first two are not counted
SPARED = 0.95  # share of a budget that is planned for; the rest is for what a plan cannot see
LATE = 1.02  # a plan that is longer than fits by this factor is shortened


@dataclass
class State:
    """Where a training stands; everything a resume needs.

    Parameters
    ----------
    steps : int
        To make.
    planned : int
        How many there were to make at first.
    step : int
        done.
    spent : float
        Seconds of all runs so far.
    log : list[dict[str, Any]]
        The step log.
    losses : list[Tensor]
        Of the steps since the last record of the log.
    """

    network: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer
    steps: int
    planned: int
    step: int = 0
    spent: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write in one step, so that a kill leaves the old state or the new."""
        doc = {
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "at": json.dumps([self.step, self.steps, self.planned, self.spent, self.log]),
            "losses": torch.tensor([float(loss) for loss in self.losses]),
        }
        # By way of memory: torch's own writer turns a full disk into an error nobody can read.
        buffer = io.BytesIO()
        torch.save(doc, buffer)
        content = buffer.getvalue()
        with replaced_file(path) as fresh:
            fresh.write_bytes(hashlib.sha256(content).digest() + content)

    def load(self, path: Path, device: str) -> bool:
        """Go on from what `save` wrote; False, and nothing is loaded, where it was damaged."""
        content = path.read_bytes()
        seal, content = content[:SEAL], content[SEAL:]
        if hashlib.sha256(content).digest() != seal:
            say(f"{path} was damaged since it was written: the training starts again")
            return False
        doc = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        self.network.load_state_dict(doc["network"])
        self.objective.load_state_dict(doc["objective"])
        self.optimizer.load_state_dict(doc["optimizer"])
        self.step, self.steps, self.planned, self.spent, self.log = json.loads(doc["at"])
        self.losses = list(doc["losses"])
        return True


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
        The step log: step, epoch, learning rate, mean loss since the record before, and the steps
        that were planned at first; those of the last record differ where a plan was cut.

    Raises
    ------
    InputError
        The loss is no longer finite.
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    work = _Work(plan, torch.from_numpy(images), preprocessing, seed, device)
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
    clock = _Clock(state, plan.seconds, work.per_epoch)
    keep_at = time.monotonic() + min(KEEP_FIRST, KEEP_EVERY)
    bar = progress(None, "train", total=state.steps, initial=state.step, unit="step")
    with closing(bar), deterministic():
        for rows in _batches(len(images), plan.batch, seed, state.step):
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


class _Work:
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
        half = plan.precision == "auto" and has_fast_bf16(device)
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

    The arguments are those of `fit`; the objective needs no sweep over all images.
    """
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    work = _Work(plan, torch.from_numpy(images), preprocessing, 0, device)
    state = work.start(network.train(), objective)
    with deterministic():
        return 1 / statistics.median(_timed(state, work)[2:])


def _timed(state: State, work: _Work) -> list[float]:
    """Seconds of each of the first steps."""
    taken = []
    batches = _batches(len(work.images), work.plan.batch, work.seed, 0)
    for number, rows in enumerate(itertools.islice(batches, TRIED)):
        start = time.monotonic()
        float(work.step(state, rows, number))  # waits for the device
        state.objective.after_step(state.network, 0.0)
        taken.append(time.monotonic() - start)
    return taken


def steps_within_budget(
    network: nn.Module,
    objective: Objective,
    work: _Work,
    sweep: Callable[[nn.Module], Tensor],
    seconds: float,
) -> int:
    """Steps that fit into so many seconds, by the time that copies take for a few."""
    trial = copy.deepcopy(network).train()
    state = work.start(trial, copy.deepcopy(objective))
    begun = []
    for epoch in (0, 1):  # the first has more to prepare than the others
        start = time.monotonic()
        state.objective.begin_epoch(trial, epoch, lambda: sweep(trial))
        begun.append(time.monotonic() - start)
    taken = _timed(state, work)
    each = statistics.median(taken[2:])
    left = SPARED * seconds - 2 * begun[0] - begun[1] - sum(taken)
    steps = max(1, min(work.most, int(left / (each + begun[1] / work.per_epoch))))
    epochs = steps / work.per_epoch
    say(f"{1 / each:.1f} steps a second: {epochs:.1f} epochs planned for {seconds:.0f} s")
    return steps


class _Clock:
    """Keeps a training within its seconds.

    Parameters
    ----------
    state : State
        Whose plan is shortened.
    seconds : float | None
        For all of it; None: as long as it takes.
    per_epoch : int
        steps.
    """

    def __init__(self, state: State, seconds: float | None, per_epoch: int) -> None:
        self._state, self._seconds, self._per_epoch = state, seconds, per_epoch
        self._began = time.monotonic() - state.spent
        self._mark = (time.monotonic(), state.step)

    def epoch_began(self) -> None:
        """From here the first epoch's speed is taken: what it prepares is done once."""
        if self._state.step == 0:
            self._mark = (time.monotonic(), 0)

    def cuts(self) -> bool:
        """Whether the plan had to be shortened after a step."""
        state, now = self._state, time.monotonic()
        state.spent = now - self._began
        if self._seconds is None or state.step >= state.steps:
            return False
        if state.spent >= self._seconds:
            state.steps = state.step
            return True
        if state.step % self._per_epoch:
            return False
        each = (now - self._mark[0]) / (state.step - self._mark[1])
        self._mark = (now, state.step)
        fits = state.step + max(1, int((self._seconds - state.spent) / each))
        if state.steps <= LATE * fits:
            return False
        state.steps = fits
        return True


def _optimizer(network: nn.Module, plan: TrainConfig) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            trained, plan.lr, momentum=0.9, weight_decay=plan.weight_decay, fused=True
        )
    kind = torch.optim.AdamW if plan.optimizer == "adamw" else torch.optim.Adam
    return kind(trained, plan.lr, weight_decay=plan.weight_decay, fused=True)


@torch.no_grad()
def encode_all(
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


def _record(state: State, plan: TrainConfig, per_epoch: int) -> None:
    """Append the mean loss since the last record, and forget those losses."""
    mean = float(torch.stack(state.losses).mean())
    state.losses.clear()
    if not math.isfinite(mean):
        raise input_error("the training loss", "finite", mean, "lower the learning rate (--lr)")
    rate = plan.rate(state.step - 1, state.steps)
    epoch = round(state.step / per_epoch, 4)
    record = {"step": state.step, "epoch": epoch, "lr": rate, "loss": round(mean, 6)}
    state.log.append(record | {"planned": state.planned})


def _batches(n: int, batch: int, seed: int, begin: int) -> Iterator[np.ndarray]:
    """Row numbers of every step from `begin` on, without end; an epoch is a permutation."""
    per_epoch = math.ceil(n / batch)
    for step in itertools.count(begin):
        epoch, at = divmod(step, per_epoch)
        if at == 0 or step == begin:
            order = torch.randperm(n, generator=step_generator(seed, epoch)).numpy()
        yield order[at * batch : (at + 1) * batch]


def save_weights(path: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """A network's state as safetensors, with JSON facts in its header; written in one step."""
    from safetensors.torch import save

    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    with replaced_file(path) as fresh:
        fresh.write_bytes(save(tensors, {"imclust": json.dumps(facts, sort_keys=True)}))


def load_weights(path: Path, network: nn.Module) -> dict[str, Any]:
    """Load strictly what `save_weights` wrote; returns its facts.

    Raises
    ------
    InputError
        Missing, not safetensors, or of another network.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise input_error(str(path), "a safetensors file", "nothing there", "run train first")
    try:
        with safe_open(path, "pt") as f:
            facts: dict[str, Any] = json.loads((f.metadata() or {}).get("imclust", "{}"))
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    except SafetensorError as e:
        first = str(e).splitlines()[0]
        raise InputError(
            f"{path} must be weights of this network in safetensors; got: {first}"
        ) from e
    load_state(network, tensors, str(path))
    return facts
