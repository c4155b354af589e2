"""What `objectives.py` compares: the project's encoders, and one that is drawn to neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.core.reproducibility import step_generator
from imclust.data.augment import PHOTOGRAPHS, Augmentation
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder
from imclust.encoders._views import ViewsConfig, ViewsEncoder
from imclust.encoders.pseudo_labels import PseudoLabels, PseudoLabelsConfig
from imclust.training.losses import CollapseGuard
from imclust.training.plan import Objective, TrainConfig

TEMPERATURE = 0.2


class NeighbourLoss(CollapseGuard):
    """NT-Xent whose positive is what a neighbour was projected to when it was last seen, after
    Dwibedi et al. 2021 (NNCLR), eq. 2; the neighbours are those of other spaces, from the first
    step.

    Parameters
    ----------
    near : ndarray of shape (n, m), int
        Neighbours of every image.
    dims : int
        Of a projection.
    seed : int
        Decides which neighbour.
    """

    near: Tensor
    bank: Tensor
    steps: Tensor

    def __init__(self, near: np.ndarray, dims: int, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self.register_buffer("near", torch.from_numpy(near.astype(np.int64)))
        self.register_buffer("bank", torch.zeros(len(near), dims))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """Projections of all images before the first epoch."""
        if epoch:
            return
        was = network.training
        network.eval()
        z = network.projector(sweep()).float()  # type: ignore[operator]
        network.train(was)
        self.bank.copy_(functional.normalize(z, dim=1))

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s), two views of `rows` -> scalar."""
        views = functional.normalize(self.project(network, x).float(), dim=1).chunk(2)
        drawn = torch.randint(
            self.near.shape[1],
            (len(rows),),
            generator=step_generator(self._seed, 6, int(self.steps)),
        ).to(rows.device)
        wanted = self.bank[self.near[rows, drawn]]
        answer = torch.arange(len(rows), device=rows.device)
        losses = [functional.cross_entropy(wanted @ z.T / TEMPERATURE, answer) for z in views]
        if self.training:
            self.bank[rows] = views[0].detach()
        return torch.stack(losses).mean()

    def after_step(self, network: nn.Module, done: float) -> None:
        """Count the steps; each draws its own neighbours."""
        self.steps += 1


class Neighbours(ViewsEncoder):
    """Views are drawn to neighbours that other spaces know."""

    def __init__(self, cfg: ViewsConfig, near: np.ndarray) -> None:
        super().__init__(cfg)
        self._near = near

    def objective(self, n_images: int, seed: int) -> Objective:
        """Contrast with neighbours' projections."""
        return NeighbourLoss(self._near, self.projection, seed)


class Recoloured:
    """An encoder whose views differ in colour as told, and otherwise as usual."""

    def __init__(self, encoder: Encoder, colours: Augmentation) -> None:
        self._encoder, self._colours = encoder, colours

    def suited(self, plan: TrainConfig, images: np.ndarray) -> TrainConfig:
        """The encoder's plan with other colours."""
        plan, c = self._encoder.suited(plan, images), self._colours
        views = replace(plan.augmentation, jitter=c.jitter, hue=c.hue, grey=c.grey)
        return replace(plan, augmentation=views)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)


def encoder_of(name: str, facts: dict[str, np.ndarray], width: int, batch: int) -> Any:
    """The encoder called `name`, such as `simclr` or `simclr none`.

    Parameters
    ----------
    name : str
        `pseudo-labels` learns 50, 100 and 200 clusters of the other spaces as the file has them;
        `pseudo-labels K`: K, too. `none` or `strong` behind a name: views that keep the colours, or
        change them as SimCLR's.
    facts : dict
        What `objectives_sets.py` wrote of the images.
    width, batch : int
        Of the network and of a step.
    """
    method, _, colours = name.partition(" ")
    made: Any
    if method == "pseudo-labels":
        told = facts["told"] if colours == "K" else facts["told"][:-1]
        counts = tuple(int(line.max()) + 1 for line in told)
        made = PseudoLabels(PseudoLabelsConfig(width=width, batch=batch, clusters=counts))
        made.labels = told
    elif method == "neighbours":
        made = Neighbours(ViewsConfig(width=width, batch=batch), facts["near"])
    else:
        entry = ENCODERS[method]
        made = entry.method(entry.config(width=width, batch=batch))
    if colours == "none":
        return Recoloured(made, Augmentation())
    return Recoloured(made, PHOTOGRAPHS) if colours == "strong" else made
