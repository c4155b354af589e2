"""`scattering`: wavelet energies, and wavelet energies of these: small shifts change them little.

Bruna and Mallat 2013, to second order, on brightness. The last averaging is over the cells of a
grid instead of a Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.encoders import ENCODERS
from imclust.encoders._fixed import StandardisedEncoder, cells, luma

if TYPE_CHECKING:
    from torch import Tensor

GRID = 4  # cells a side
WIDTH, FREQUENCY, SLANT = 0.8, 0.75 * math.pi, 0.5  # of the finest Morlet wavelet, in pixels


@dataclass(frozen=True)
class ScatteringConfig:
    """Wavelet scattering to second order. Nothing to train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels: a multiple of 8 from 16 to 512."""
    scales: int = 3
    """Octaves, 1 to 3."""
    directions: int = 6
    """Of the wavelets of an octave, 1 to 16."""

    def __post_init__(self) -> None:
        in_range("scattering", "scales", self.scales, 1, 3)
        in_range("scattering", "directions", self.directions, 1, 16)
        in_range("scattering", "size", self.size, 16, 512)
        if self.size % 8:
            raise input_error("scattering.size", "a multiple of 8", self.size, "round it")


@ENCODERS.register("scattering", ScatteringConfig, paper="Bruna and Mallat 2013")
class Scattering(StandardisedEncoder):
    """Brightness, its wavelets' moduli, and their wavelets' moduli at coarser scales, in cells.

    Parameters
    ----------
    cfg : ScatteringConfig
        Settings.
    """

    # As dear as encoding them; every mean is then right within a tenth of a spread.
    looked_at = 2000

    def __init__(self, cfg: ScatteringConfig) -> None:
        super().__init__(cfg.size)
        self.cfg = cfg

    @property
    def _margin(self) -> int:
        """Pixels that pictures are mirrored by, so that their edges do not meet."""
        return 2 ** (self.cfg.scales - 1)

    def features(self, x: Tensor) -> Tensor:
        """(b, 16 * (1 + scales * directions + scales (scales - 1) / 2 * directions ** 2))."""
        import torch
        from torch.nn import functional

        y = functional.pad(luma(x)[:, None], (self._margin,) * 4, mode="reflect")
        cfg = self.cfg
        spectra = wavelets(y.shape[-1], cfg.scales, cfg.directions).to(x)
        found = [cells(self._inner(y, 0), (GRID,))]
        first = torch.fft.fft2(y)
        for j in range(cfg.scales):
            once = torch.fft.ifft2(folded(first * spectra[j], 2**j)).abs()
            found.append(cells(self._inner(once, j), (GRID,)))
            second = torch.fft.fft2(once)[:, :, None]
            for coarser in range(j + 1, cfg.scales):
                there = folded(spectra[coarser], 2**j) * 4**j
                twice = torch.fft.ifft2(folded(second * there, 2 ** (coarser - j))).abs()
                found.append(cells(self._inner(twice.flatten(1, 2), coarser), (GRID,)))
        return torch.cat(found, 1)

    def _inner(self, maps: Tensor, octave: int) -> Tensor:
        """Without the mirrored margin; the maps are halved `octave` times."""
        edge = self._margin // 2**octave
        return maps[:, :, edge:-edge, edge:-edge]


def folded(spectrum: Tensor, by: int) -> Tensor:
    """Spectrum (..., s / by, s / by) of every by-th pixel, from that of all (..., s, s).

    Examples
    --------
    >>> import torch
    >>> folded(torch.ones(1, 8, 8), 2).shape
    torch.Size([1, 4, 4])
    """
    side = spectrum.shape[-1] // by
    return spectrum.reshape(*spectrum.shape[:-2], by, side, by, side).mean((-4, -2))


@lru_cache(maxsize=4)
def wavelets(side: int, scales: int, directions: int) -> Tensor:
    """Spectra (scales, directions, side, side) of the wavelets.

    Examples
    --------
    >>> wavelets(32, 2, 4).shape
    torch.Size([2, 4, 32, 32])
    """
    import torch

    return torch.stack([
        torch.stack([morlet(side, j, i / directions) for i in range(directions)])
        for j in range(scales)
    ])  # fmt: skip


def morlet(side: int, octave: int, turn: float) -> Tensor:
    """Spectrum (side, side) float32 of a Morlet wavelet; `turn` in half turns, 0 along rows.

    A Gaussian about a frequency, less as much of one about zero as makes its mean vanish.

    Examples
    --------
    >>> morlet(32, 1, 0.25).shape
    torch.Size([32, 32])
    """
    import torch

    width, frequency = WIDTH * 2**octave, FREQUENCY / 2**octave
    axis = torch.fft.fftfreq(side) * 2 * math.pi
    angle = turn * math.pi

    def bump(centre: float) -> Tensor:
        total = torch.zeros(side, side)
        for a in (-1, 0, 1):  # frequencies repeat every 2 pi
            for b in (-1, 0, 1):
                across, down = axis[None] + 2 * math.pi * a, axis[:, None] + 2 * math.pi * b
                along = across * math.cos(angle) + down * math.sin(angle) - centre
                aside = (down * math.cos(angle) - across * math.sin(angle)) / SLANT
                total += torch.exp(-0.5 * width**2 * (along**2 + aside**2))
        return total

    at, still = bump(frequency), bump(0.0)
    return at - still * (at[0, 0] / still[0, 0])
