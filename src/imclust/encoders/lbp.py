"""`lbp`: which small patterns of brighter and darker neighbours an image is covered with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from imclust.encoders import ENCODERS
from imclust.encoders._fixed import FixedEncoder, luma

if TYPE_CHECKING:
    from torch import Tensor, nn

NEIGHBOURS = 8
KINDS = 59  # patterns of at most two changes, and all others
RADII = (1, 2)  # in pixels
GRIDS = (1, 2)  # cells a side
LEAST = 1 / 255  # brighter by less counts as not brighter


@dataclass(frozen=True)
class LbpConfig:
    """Histograms of local binary patterns. Nothing to train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels, 8 to 512."""


@ENCODERS.register("lbp", LbpConfig, paper="Ojala, Pietikainen and Maenpaa 2002")
class Lbp(FixedEncoder):
    """Shares of the 58 uniform patterns and of all others, over the whole image and its quarters.

    Parameters
    ----------
    cfg : LbpConfig
        Settings.
    """

    def __init__(self, cfg: LbpConfig) -> None:
        super().__init__(cfg.size)

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 5 * KINDS * radii)."""
        import torch

        kinds, y = uniform_patterns().to(x.device), luma(x)
        found = [kinds[patterns(y, radius)] for radius in RADII]
        return torch.cat([shares(f, grid).to(x) for f in found for grid in GRIDS], 1)


def shares(kinds: Tensor, grid: int) -> Tensor:
    """Share of each kind in every cell, (b, grid ** 2 * KINDS), of kinds (b, h, h) int64.

    Examples
    --------
    >>> import torch
    >>> float(shares(torch.zeros(1, 8, 8, dtype=torch.int64), 2).sum())
    4.0
    """
    import torch

    ends = [round(kinds.shape[1] * i / grid) for i in range(grid + 1)]
    out = []
    for top, bottom in pairwise(ends):
        for left, right in pairwise(ends):
            cell = kinds[:, top:bottom, left:right].flatten(1)
            count = torch.zeros(len(cell), KINDS, device=cell.device)
            count.scatter_add_(1, cell, torch.ones_like(cell, dtype=count.dtype))
            out.append(count / cell.shape[1])
    return torch.cat(out, 1)


def patterns(y: Tensor, radius: int) -> Tensor:
    """Number of each pixel's pattern in [0, 256), (b, s - 2 r, s - 2 r) int64: one bit a neighbour
    on the circle of a radius, by bilinear interpolation.

    Examples
    --------
    >>> import torch
    >>> patterns(torch.zeros(1, 8, 8), 1).shape
    torch.Size([1, 6, 6])
    """
    import torch

    side = y.shape[-1] - 2 * radius
    centre = y[:, radius : radius + side, radius : radius + side]
    code = torch.zeros_like(centre, dtype=torch.int64)
    for bit in range(NEIGHBOURS):
        angle = 2 * math.pi * bit / NEIGHBOURS
        down, right = radius - radius * math.sin(angle), radius + radius * math.cos(angle)
        top, left = math.floor(down + 1e-6), math.floor(right + 1e-6)
        v, h = down - top, right - left
        value = torch.zeros_like(centre)
        for i, weight_i in ((0, 1 - v), (1, v)):
            for j, weight_j in ((0, 1 - h), (1, h)):
                if abs(weight_i * weight_j) > 1e-6:
                    part = y[:, top + i : top + i + side, left + j : left + j + side]
                    value = value + weight_i * weight_j * part
        code = code + (value - centre > LEAST).long() * 2**bit
    return code


@lru_cache(maxsize=1)
def uniform_patterns() -> Tensor:
    """Kind of each of the 256 patterns: 0 to 57 for those whose ring of bits changes at most twice,
    58 for all others; int64.

    Examples
    --------
    >>> int(uniform_patterns().unique().numel())
    59
    """
    import torch

    kinds, known = [], 0
    for code in range(2**NEIGHBOURS):
        bits = [code >> i & 1 for i in range(NEIGHBOURS)]
        uniform = sum(a != b for a, b in zip(bits, bits[1:] + bits[:1], strict=True)) <= 2
        kinds.append(known if uniform else -1)
        known += uniform
    return torch.tensor([known if kind < 0 else kind for kind in kinds])
