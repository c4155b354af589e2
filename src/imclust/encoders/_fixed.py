"""What encoders share that compute features by a formula: nothing to train, a second's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.data.loader import Preprocessing
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

SIZES = (8, 512)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # mean and spread that leave pixels in [0, 1]


class FixedEncoder(Encoder):
    """Features of pixels in [0, 1] by a formula.

    Parameters
    ----------
    size : int
        Side of the square that images are scaled to, in pixels, 8 to 512.
    """

    def __init__(self, size: int) -> None:
        in_range("encoder", "size", size, *SIZES)
        self.preprocessing = Preprocessing(size, *UNIT)

    def network(self) -> nn.Module:
        """A network without parameters."""
        from torch import nn

        return nn.Identity()


def luma(x: Tensor) -> Tensor:
    """Brightness (b, s, s) of RGB (b, 3, s, s)."""
    red, green, blue = LUMA
    return red * x[:, 0] + green * x[:, 1] + blue * x[:, 2]


def cells(maps: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Means over grids of cells: (b, c, h, w) -> (b, c * sum of side ** 2), the last index runs over
    the channels within a cell.

    Parameters
    ----------
    maps : Tensor
        What is averaged.
    sides : tuple of int
        Cells a side of each grid; each divides h and w or is less than half of them.
    """
    import torch
    from torch.nn import functional

    means = [functional.adaptive_avg_pool2d(maps, side) for side in sides]
    return torch.cat([m.permute(0, 2, 3, 1).flatten(1) for m in means], 1)
