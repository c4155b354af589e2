"""Networks that `objectives.py` compares with the project's small ResNet."""

from __future__ import annotations

from torch import Tensor, nn

PATCH = 4  # side of the squares that an image is cut into
BLOCKS = 4


class Added(nn.Module):
    """Input plus what a layer makes of it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        total: Tensor = x + self.layer(x)
        return total


class BetweenPatches(nn.Module):
    """The mixer's first layer: the same network along the patches of every channel."""

    def __init__(self, patches: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.along = nn.Sequential(
            nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, patches, channels), the same shape."""
        mixed: Tensor = self.along(self.norm(x).transpose(1, 2))
        return mixed.transpose(1, 2)


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021, eq. 1) of few blocks."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, PATCH, PATCH)
        patches = (size // PATCH) ** 2
        blocks: list[nn.Module] = []
        for _ in range(BLOCKS):
            blocks.append(Added(BetweenPatches(patches, channels)))
            blocks.append(
                Added(
                    nn.Sequential(
                        nn.LayerNorm(channels),
                        nn.Linear(channels, 2 * channels),
                        nn.GELU(),
                        nn.Linear(2 * channels, channels),
                    )
                )
            )
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, s, s) -> (b, channels)."""
        codes: Tensor = self.blocks(self.stem(x).flatten(2).transpose(1, 2)).mean(1)
        return codes


def mixer(size: int, channels: int) -> nn.Module:
    """An MLP-Mixer of four blocks.

    Examples
    --------
    >>> import torch
    >>> mixer(32, 16)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16])
    """
    return Mixer(size, channels)


def patch_convnet(size: int, channels: int) -> nn.Module:
    """A ConvMixer (Trockman and Kolter 2022) of four blocks; `size` decides nothing in it.

    Examples
    --------
    >>> import torch
    >>> patch_convnet(32, 16)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16])
    """
    layers: list[nn.Module] = [
        nn.Conv2d(3, channels, PATCH, PATCH), nn.GELU(), nn.BatchNorm2d(channels)
    ]  # fmt: skip
    for _ in range(BLOCKS):
        around = nn.Conv2d(channels, channels, 5, padding="same", groups=channels)
        layers += [
            Added(nn.Sequential(around, nn.GELU(), nn.BatchNorm2d(channels))),
            *(nn.Conv2d(channels, channels, 1), nn.GELU(), nn.BatchNorm2d(channels)),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
