"""`random-conv`: what an untrained convolutional network says of an image.

The architecture alone does much of the work (Saxe et al. 2011; for series Dempster, Petitjean and
Webb 2020): random filters of zero mean, both signs rectified, normalised and averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.encoders import ENCODERS
from imclust.encoders._fixed import FixedEncoder, cells

if TYPE_CHECKING:
    from torch import Tensor, nn

FIRST, SECOND = 5, 3  # sides of the filters
GRIDS = (1, 2)  # cells a side


@dataclass(frozen=True)
class RandomConvConfig:
    """Two layers of random filters. Nothing to train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels, 16 to 512."""
    filters: int = 32
    """Of the first layer, 4 to 512; the second has four times as many."""

    def __post_init__(self) -> None:
        in_range("random-conv", "size", self.size, 16, 512)
        in_range("random-conv", "filters", self.filters, 4, 512)


@ENCODERS.register(
    "random-conv", RandomConvConfig, paper="Saxe et al. 2011; Dempster, Petitjean and Webb 2020"
)
class RandomConv(FixedEncoder):
    """Means of the responses of both layers over the image and its quarters.

    Parameters
    ----------
    cfg : RandomConvConfig
        Settings.
    """

    def __init__(self, cfg: RandomConvConfig) -> None:
        super().__init__(cfg.size)
        self.filters = cfg.filters

    def network(self) -> nn.Module:
        """Random filters."""
        from torch import nn

        n, made = self.filters, nn.Module()
        made.register_buffer("first", random_filters(n, 3, FIRST))
        made.register_buffer("second", random_filters(4 * n, 2 * n, SECOND))
        return made

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 5 * (2 + 4) * filters)."""
        import torch
        from torch.nn import functional

        y = functional.conv2d(x, network.first)  # type: ignore[arg-type]
        y = torch.cat([y.clamp_min(0), (-y).clamp_min(0)], 1)
        inner = functional.avg_pool2d(y, 2)
        inner = inner / (inner.square().mean(1, keepdim=True) + 1e-4).sqrt()
        z = functional.conv2d(inner, network.second).clamp_min(0)  # type: ignore[arg-type]
        return torch.cat([cells(y, GRIDS), cells(z, GRIDS)], 1)


def random_filters(count: int, channels: int, side: int) -> Tensor:
    """Filters (count, channels, side, side) of mean zero and length one, from torch's generator.

    Examples
    --------
    >>> import torch
    >>> float(random_filters(4, 3, 5).square().sum((1, 2, 3)).mean().round(decimals=3))
    1.0
    """
    import torch

    drawn = torch.randn(count, channels, side, side)
    drawn -= drawn.mean((1, 2, 3), keepdim=True)
    return drawn / drawn.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
