"""`hog`: which way edges run, cell by cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.encoders import ENCODERS
from imclust.encoders._fixed import FixedEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

DIRECTIONS = 9  # over half a turn: light on dark is as dark on light
CELLS = 2  # a side of a block
CLIP = 0.2  # most that one direction of a block counts


@dataclass(frozen=True)
class HogConfig:
    """Histograms of oriented gradients. Nothing to train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels, 8 to 512."""
    grid: int = 8
    """Cells a side, 2 to 64; blocks of 2 x 2 cells overlap by one."""

    def __post_init__(self) -> None:
        in_range("hog", "grid", self.grid, 2, 64)


@ENCODERS.register("hog", HogConfig, paper="Dalal and Triggs 2005")
class Hog(FixedEncoder):
    """Gradients of the strongest channel, in directions by their size, normalised block by block.

    Parameters
    ----------
    cfg : HogConfig
        Settings.
    """

    def __init__(self, cfg: HogConfig) -> None:
        super().__init__(cfg.size)
        self.grid = cfg.grid

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, (grid - 1) ** 2 * 4 * DIRECTIONS)."""
        from torch.nn import functional

        size, angle = gradients(x)
        found = functional.adaptive_avg_pool2d(by_direction(size, angle), self.grid)
        return blocks(found).flatten(1)


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Length, and direction in [0, pi), of the gradient (b, s, s) of the channel that has the
    longest; differences across two pixels, edges repeated.

    Examples
    --------
    >>> import torch
    >>> length, angle = gradients(torch.arange(8.0).expand(1, 3, 8, 8))
    >>> float(length.max()), float(angle.max())
    (2.0, 0.0)
    """
    import torch
    from torch.nn import functional

    y = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    across, down = y[:, :, 1:-1, 2:] - y[:, :, 1:-1, :-2], y[:, :, 2:, 1:-1] - y[:, :, :-2, 1:-1]
    size, channel = (across**2 + down**2).max(1, keepdim=True)
    across, down = across.gather(1, channel), down.gather(1, channel)
    return size[:, 0].sqrt(), torch.atan2(down, across)[:, 0] % math.pi


def by_direction(size: Tensor, angle: Tensor) -> Tensor:
    """Lengths (b, s, s) shared between the two nearest of the directions, (b, DIRECTIONS, s, s).

    Examples
    --------
    >>> import torch
    >>> by_direction(torch.ones(1, 4, 4), torch.zeros(1, 4, 4))[0, :, 0, 0].sum()
    tensor(1.)
    """
    import torch

    at = angle * DIRECTIONS / math.pi
    middles = torch.arange(DIRECTIONS).to(at).view(-1, 1, 1)
    apart = (at[:, None] - middles).abs()
    apart = torch.minimum(apart, DIRECTIONS - apart)
    return size[:, None] * (1 - apart).clamp_min(0)


def blocks(found: Tensor) -> Tensor:
    """Blocks of 2 x 2 cells (b, 4 * DIRECTIONS, g - 1, g - 1) of length one, clipped, and again of
    length one ("L2-Hys").

    Examples
    --------
    >>> import torch
    >>> blocks(torch.rand(1, DIRECTIONS, 4, 4)).shape
    torch.Size([1, 36, 3, 3])
    """
    import torch

    g = found.shape[-1] - 1
    four = [found[:, :, i : i + g, j : j + g] for i in range(CELLS) for j in range(CELLS)]
    block = torch.cat(four, 1)
    for _ in range(2):
        block = block / (block.square().sum(1, keepdim=True) + 1e-6).sqrt()
        block = block.clamp_max(CLIP)
    return block / (block.square().sum(1, keepdim=True) + 1e-6).sqrt()
