"""`pixels`: no encoder at all, the yardstick every other one has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.data.loader import Preprocessing
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class PixelsConfig:
    """The pixels themselves, scaled to -1..1. Nothing to train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels."""


@ENCODERS.register("pixels", PixelsConfig, paper="the yardstick: no encoder")
class Pixels(Encoder):
    """Flattened pixels."""

    def __init__(self, cfg: PixelsConfig) -> None:
        self.preprocessing = Preprocessing(size=cfg.size)

    def network(self) -> nn.Module:
        """A network without parameters."""
        from torch import nn

        return nn.Flatten()

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3 * size * size)."""
        return network(x.contiguous())
