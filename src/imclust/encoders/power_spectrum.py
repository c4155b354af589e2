"""`power-spectrum`: which spatial frequencies an image is made of, and in which directions.

The spectrum tells scenes from things: what is made by man, open landscapes and textures differ in
how their energy falls with frequency and in which directions it lies (Torralba and Oliva 2003).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from imclust.encoders import ENCODERS
from imclust.encoders._fixed import StandardisedEncoder, luma

if TYPE_CHECKING:
    from torch import Tensor, nn

FLOOR = 1e-4  # power below which a frequency counts as silent, of pixels in [0, 1]
DIRECTIONS = 12  # sectors of the half plane


@dataclass(frozen=True)
class PowerSpectrumConfig:
    """Log power of the spatial frequencies, and its means over rings and sectors. Nothing to
    train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels, 8 to 512."""


@ENCODERS.register("power-spectrum", PowerSpectrumConfig, paper="Torralba and Oliva 2003")
class PowerSpectrum(StandardisedEncoder):
    """The half plane of frequencies; then octave-like rings cut into sectors.

    Parameters
    ----------
    cfg : PowerSpectrumConfig
        Settings.
    """

    def __init__(self, cfg: PowerSpectrumConfig) -> None:
        super().__init__(cfg.size)

    def features(self, x: Tensor) -> Tensor:
        """(b, s * (s // 2 + 1) + rings * (DIRECTIONS + 1))."""
        import torch

        log = torch.log(power(luma(x)) + FLOOR).flatten(1)
        return torch.cat([log, log @ sectors(x.shape[-1]).to(log)], 1)

    def parts(self, network: nn.Module) -> list[int]:
        """The half plane, and the rings with their sectors."""
        size = self.preprocessing.size
        return [size * (size // 2 + 1), sectors(size).shape[1]]


def power(y: Tensor) -> Tensor:
    """Power of the frequencies (b, s, s // 2 + 1) of pictures (b, s, s), per pixel, their mean
    taken out.

    Two real products instead of a Fourier transform, which inference engines lack; for sides of 32
    as fast.

    Examples
    --------
    >>> import torch
    >>> power(torch.rand(2, 8, 8)).shape
    torch.Size([2, 8, 5])
    """
    import torch

    side = y.shape[-1]
    y = y - y.mean((1, 2), keepdim=True)
    angle = torch.outer(torch.arange(side), torch.arange(side)).to(y) * (2 * math.pi / side)
    cos, sin = angle.cos(), angle.sin()
    half = side // 2 + 1
    across_cos, across_sin = y @ cos[:, :half], y @ sin[:, :half]
    real = cos @ across_cos - sin @ across_sin
    imaginary = cos @ across_sin + sin @ across_cos
    return (real**2 + imaginary**2) / side**2


@lru_cache(maxsize=4)
def sectors(side: int) -> Tensor:
    """Weights (s * (s // 2 + 1), rings * (DIRECTIONS + 1)) of the means over rings, and over each
    ring's sectors, of a half plane of frequencies; two rings an octave, all non-empty.

    Examples
    --------
    >>> sectors(32).shape
    torch.Size([544, 87])
    """
    import torch

    y = torch.fft.fftfreq(side, 1 / side)[:, None]
    x = torch.arange(side // 2 + 1)[None].float()
    radius = (x**2 + y**2).sqrt().flatten()
    angle = (torch.atan2(y.expand(-1, x.shape[1]), x.expand(len(y), -1)) % math.pi).flatten()
    ring = (2 * radius.clamp_min(1e-9).log2()).round()
    sector = (angle * DIRECTIONS / math.pi).round() % DIRECTIONS
    weights = []
    for r in range(int(2 * math.log2(side / 2)) + 1):
        inside = (ring == r) & (radius > 0)
        weights += [inside, *(inside & (sector == d) for d in range(DIRECTIONS))]
    table = torch.stack([w.float() for w in weights if w.any()], 1)
    return table / table.sum(0)
