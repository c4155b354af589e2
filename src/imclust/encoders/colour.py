"""`colour`: which colours an image has, and roughly where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.encoders import ENCODERS
from imclust.encoders._fixed import StandardisedEncoder, cells

if TYPE_CHECKING:
    from torch import Tensor, nn

GRIDS = (1, 2, 4)  # cells a side that moments are taken in
BINS = 8  # of each axis' histogram
JOINT = 4  # bins an axis of the histogram of all three
# Brightness, red against green and yellow against blue (van de Sande et al. 2010), each in [0, 1].
OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))
MIDDLE = (0.0, 0.5, 0.5)


@dataclass(frozen=True)
class ColourConfig:
    """Colour moments on grids, and colour histograms. Nothing to train."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels, 8 to 512."""


@ENCODERS.register("colour", ColourConfig, paper="Stricker and Orengo 1995; Swain and Ballard 1991")
class Colour(StandardisedEncoder):
    """Means, spreads and cube roots of the third moments in cells; then histograms of opponent
    colours.

    Parameters
    ----------
    cfg : ColourConfig
        Settings.
    """

    def __init__(self, cfg: ColourConfig) -> None:
        super().__init__(cfg.size)

    def features(self, x: Tensor) -> Tensor:
        """(b, 9 * 21 + 3 * BINS + JOINT ** 3): moments, then histograms."""
        import torch

        colours = opponent(x)
        return torch.cat([moments(colours), *histograms(colours)], 1)

    def parts(self, network: nn.Module) -> list[int]:
        """The moments, and the histograms."""
        return [9 * sum(side**2 for side in GRIDS), 3 * BINS + JOINT**3]


def opponent(x: Tensor) -> Tensor:
    """RGB in [0, 1] as brightness and two opponent colours in [0, 1], (b, 3, s, s).

    Examples
    --------
    >>> import torch
    >>> opponent(torch.ones(1, 3, 2, 2))[0, :, 0, 0]
    tensor([1.0000, 0.5000, 0.5000])
    """
    import torch

    mixed = torch.einsum("ij,bjhw->bihw", torch.tensor(OPPONENT).to(x), x)
    return mixed + torch.tensor(MIDDLE).to(x).view(1, 3, 1, 1)


def moments(colours: Tensor) -> Tensor:
    """Mean, spread and the cube root of the third moment of each axis in each cell, (b, 9 * 21).

    Examples
    --------
    >>> import torch
    >>> moments(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 189])
    """
    import torch

    raw = cells(torch.cat([colours, colours**2, colours**3], 1), GRIDS)
    mean, square, cube = raw.view(len(raw), -1, 3, 3).unbind(2)
    variance = (square - mean**2).clamp_min(0)
    third = cube - 3 * mean * square + 2 * mean**3
    skew = third.sign() * (third.abs() + 1e-9) ** (1 / 3)
    return torch.stack([mean, (variance + 1e-9).sqrt(), skew], 2).flatten(1)


def histograms(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of pixels (b, 3 * BINS) of each axis and (b, JOINT ** 3) of all three together.

    A pixel counts for the two bins whose middles it lies between.

    Examples
    --------
    >>> import torch
    >>> one, joint = histograms(torch.rand(2, 3, 32, 32))
    >>> one.shape, joint.shape
    (torch.Size([2, 24]), torch.Size([2, 64]))
    """
    import torch

    flat = colours.flatten(2)
    single = soft_bins(flat, BINS).mean(2).flatten(1)
    one, two, three = soft_bins(flat, JOINT).unbind(1)
    joint = torch.einsum("bpi,bpj,bpk->bijk", one, two, three) / flat.shape[2]
    return single, joint.flatten(1)


def soft_bins(values: Tensor, bins: int) -> Tensor:
    """How far values in [0, 1] belong to each of some bins, (..., bins), rows sum to one.

    Examples
    --------
    >>> import torch
    >>> soft_bins(torch.tensor([0.5]), 3)
    tensor([[0., 1., 0.]])
    """
    import torch

    middles = torch.arange(bins).to(values)
    at = (values * bins - 0.5).clamp(0, bins - 1)
    return (1 - (at[..., None] - middles).abs()).clamp_min(0)
