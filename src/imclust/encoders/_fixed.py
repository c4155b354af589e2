"""What encoders share that compute features by a formula: nothing to train, a second's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.data.loader import Preprocessing, to_input
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

SIZES = (8, 512)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
BLOCK = 256  # images at a time when all are looked at
LEAST_SPREAD = 1e-3  # of the widest spread among the features
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


class StandardisedEncoder(FixedEncoder):
    """Features whose zero and unit mean nothing (logarithms, moments), each less its mean over the
    training images and over its spread there.

    Without it rows brought to one length would say where the zero lies, and not how images differ.
    """

    learns_at_once = True
    looked_at: int | None = None
    """Evenly spaced training images whose mean and spread stand for all; None: all of them."""

    def network(self) -> nn.Module:
        """Means of 0 and spreads of 1, until `learn` replaces them."""
        import torch
        from torch import nn

        made, dims = nn.Module(), self.dims()
        made.register_buffer("mean", torch.zeros(dims))
        made.register_buffer("spread", torch.ones(dims))
        return made

    def dims(self) -> int:
        """Features of an image."""
        import torch

        side = self.preprocessing.size
        with torch.no_grad():
            return self.features(torch.zeros(1, 3, side, side)).shape[1]

    def features(self, x: Tensor) -> Tensor:
        """(b, 3, s, s) in [0, 1] -> (b, dims) as they are."""
        raise NotImplementedError

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, dims), standardised."""
        return (self.features(x) - network.mean) / network.spread  # type: ignore[operator]

    def learn(self, network: nn.Module, images: np.ndarray, seed: int) -> None:
        """Mean and spread of every feature over `looked_at` of the images (n, s, s, 3) uint8."""
        import numpy as np
        import torch

        count = min(self.looked_at or len(images), len(images))
        images = images[np.linspace(0, len(images) - 1, count).round().astype(int)]
        total = torch.zeros(2, self.dims(), dtype=torch.float64)
        for a in range(0, len(images), BLOCK):
            found = self.features(to_input(images[a : a + BLOCK], self.preprocessing, "cpu"))
            total += torch.stack([found.double().sum(0), found.double().square().sum(0)])
        mean, square = total / len(images)
        spread = (square - mean**2).clamp_min(0).sqrt()
        network.mean.copy_(mean)  # type: ignore[operator]
        # What hardly differs from image to image is rounding, not to be blown up.
        least = max(LEAST_SPREAD * float(spread.max()), 1e-6)
        network.spread.copy_(spread.clamp_min(least))  # type: ignore[operator]


def luma(x: Tensor) -> Tensor:
    """Brightness (b, s, s) of RGB (b, 3, s, s)."""
    red, green, blue = LUMA
    return red * x[:, 0] + green * x[:, 1] + blue * x[:, 2]


def cells(maps: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Means over grids of cells, (b, c, h, w) -> (b, c * sum of side ** 2): grid by grid, cell by
    cell, channel by channel.

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
