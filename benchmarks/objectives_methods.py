"""What `objectives.py` compares: the project's encoders, some with other colours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from imclust.data.augment import PHOTOGRAPHS, Augmentation
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder
from imclust.encoders.pseudo_labels import PseudoLabels, PseudoLabelsConfig
from imclust.training.plan import TrainConfig


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
    else:
        entry = ENCODERS[method]
        made = entry.method(entry.config(width=width, batch=batch))
    if colours == "none":
        return Recoloured(made, Augmentation())
    return Recoloured(made, PHOTOGRAPHS) if colours == "strong" else made
