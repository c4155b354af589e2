"""What `objectives.py` compares: the project's encoders, some with other settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from imclust.data.augment import PHOTOGRAPHS, Augmentation
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder
from imclust.encoders.pseudo_labels import PseudoLabels, PseudoLabelsConfig
from imclust.encoders.simclr import SimCLRConfig
from imclust.training.plan import TrainConfig
from objectives_networks import mixer, patch_convnet
from objectives_prototypes import Msn, Swav, SwavWhole

COLOURS = {"none": Augmentation(), "strong": PHOTOGRAPHS}
NETWORKS = {"patches": patch_convnet, "mixer": mixer}
PROTOTYPES = {"swav": SwavWhole, "swav-crops": Swav, "msn": Msn}


class Changed:
    """An encoder that is trained with other colours, another rate or another network.

    Parameters
    ----------
    encoder : Encoder
        Whose other settings stay.
    colours : Augmentation, optional
        Views differ in colour as this says.
    lr : float, optional
        Peak learning rate.
    backbone : callable, optional
        () -> the network before its projector.
    """

    def __init__(
        self,
        encoder: Encoder,
        colours: Augmentation | None = None,
        lr: float | None = None,
        backbone: Callable[[], nn.Module] | None = None,
    ) -> None:
        self._encoder, self._colours = encoder, colours
        self._lr, self._backbone = lr, backbone

    def suited(self, plan: TrainConfig, images: np.ndarray) -> TrainConfig:
        """The encoder's plan with what is changed."""
        plan, c = self._encoder.suited(plan, images), self._colours
        if c is not None:
            views = replace(plan.augmentation, jitter=c.jitter, hue=c.hue, grey=c.grey)
            plan = replace(plan, augmentation=views)
        return plan if self._lr is None else replace(plan, lr=self._lr)

    def network(self) -> nn.Module:
        """The encoder's network, its backbone replaced."""
        network = self._encoder.network()
        if self._backbone is not None:
            network.backbone = self._backbone()
        return network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)


def encoder_of(name: str, facts: dict[str, np.ndarray], width: int, batch: int) -> Any:
    """The encoder called `name`, such as `simclr`, `simclr none` or `simclr lr-0.004 batch-64`.

    Parameters
    ----------
    name : str
        `pseudo-labels` learns 50, 100 and 200 clusters of the other spaces as the file has them;
        `pseudo-labels K`: K, too. `swav`; `swav-crops`: with small crops; `msn`. Behind a name:
        `none` or `strong`, views that keep the colours, or change them as SimCLR's; `lr-` or
        `batch-` and a number; `patches` or `mixer`, another network.
    facts : dict
        What `objectives_sets.py` wrote of the images.
    width, batch : int
        Of the network and of a step.
    """
    method, *changes = name.split()
    numbers = dict(word.split("-") for word in changes if "-" in word)
    batch = int(numbers.get("batch", batch))
    made: Any
    if method == "pseudo-labels":
        told = facts["told"] if "K" in changes else facts["told"][:-1]
        counts = tuple(int(line.max()) + 1 for line in told)
        made = PseudoLabels(PseudoLabelsConfig(width=width, batch=batch, clusters=counts))
        made.labels = told
    elif method in PROTOTYPES:
        made = PROTOTYPES[method](SimCLRConfig(width=width, batch=batch))
    else:
        entry = ENCODERS[method]
        made = entry.method(entry.config(width=width, batch=batch))
    colours = next((COLOURS[word] for word in changes if word in COLOURS), None)
    rate = float(numbers["lr"]) if "lr" in numbers else None
    network = next((NETWORKS[word] for word in changes if word in NETWORKS), None)
    backbone = partial(network, made.cfg.size, 8 * width) if network else None
    return Changed(made, colours, rate, backbone)
