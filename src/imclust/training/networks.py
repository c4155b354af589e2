"""Network shapes that several encoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """An encoder and a decoder; forward gives (latent, reconstruction).

    Parameters
    ----------
    encoder : nn.Module
        (b, 3, s, s) -> (b, c, h, w).
    decoder : nn.Module
        (b, c, h, w) -> (b, 3, s, s).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(b, 3, s, s) -> latent (b, c, h, w) and reconstruction (b, 3, s, s)."""
        latent = self.encoder(image)
        return latent, self.decoder(latent)


class SegNet(nn.Module):
    """An autoencoder whose decoder puts maxima back where the encoder found them.

    Badrinarayanan, Kendall and Cipolla 2017: every pooling of the encoder remembers which of its
    2 x 2 pixels was the largest, and the decoder's unpoolings use these places, last one first.

    Parameters
    ----------
    encoder : nn.Sequential
        Layers (b, 3, s, s) -> (b, c, h, w), its poolings `MaxPool2d(2, return_indices=True)`.
    decoder : nn.Sequential
        Layers back to (b, 3, s, s), with one `Unpool` for every pooling.
    """

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def compress(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(b, 3, s, s) -> code (b, c, h, w) and the places of each pooling, first one first."""
        places = []
        for layer in self.encoder:
            if isinstance(layer, nn.MaxPool2d):
                image, where = layer(image)
                places.append(where)
            else:
                image = layer(image)
        return image, places

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(b, 3, s, s) -> code (b, c, h, w) and reconstruction (b, 3, s, s)."""
        code, places = self.compress(image)
        back = code
        for layer in self.decoder:
            back = layer(back, places.pop()) if isinstance(layer, Unpool) else layer(back)
        return code, back


class Unpool(nn.Module):
    """`MaxUnpool2d(2)` by comparison instead of scattering.

    The same numbers, but deterministic on every device, which torch's own is not.
    """

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """x, places (b, c, h, w) -> (b, c, 2h, 2w), zero but for each value at its place.

        Parameters
        ----------
        places : Tensor
            Int64, what `MaxPool2d(2, return_indices=True)` gave: row * 2w + column.
        """
        h, w = x.shape[2:]
        pixels = torch.arange(4 * h * w, device=x.device).view(h, 2, w, 2)
        here = places[:, :, :, None, :, None] == pixels
        return (x[:, :, :, None, :, None] * here).reshape(*x.shape[:2], 2 * h, 2 * w)


class Residual(nn.Module):
    """Two convolutions 3x3 with batch normalisation, and the way around them (He et al. 2016).

    Parameters
    ----------
    before, after : int
        channels.
    stride : int
        Of the first convolution, and of the way around.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.through = nn.Sequential(
            convolution(before, after, stride),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = before == after and stride == 1
        self.around = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, before, h, w) -> (b, after, h / stride, w / stride)."""
        return torch.relu(self.through(x) + self.around(x))


def convolution(before: int, after: int, stride: int) -> nn.Sequential:
    """3x3 without bias, batch normalisation, ReLU.

    Parameters
    ----------
    before, after : int
        Channels of what comes and goes.
    stride : int
        1, or 2 for half the side.

    Examples
    --------
    >>> import torch
    >>> convolution(3, 8, 2)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 8, 16, 16])
    """
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


GRID = 16  # rows and columns of a small ResNet's first maps


def small_resnet(width: int, size: int) -> nn.Sequential:
    """A ResNet of four blocks for images of 32 to 224 px, at about the same cost.

    The first convolutions bring any size to 16 x 16 positions of `width` channels; each of the
    next stages doubles the channels and halves the map, and the mean over the last 2 x 2 positions
    is the code.

    Parameters
    ----------
    width : int
        Channels of the first stage.
    size : int
        Side of the images, a multiple of 16.

    Returns
    -------
    nn.Sequential
        (b, 3, size, size) -> (b, 8 * width).

    Examples
    --------
    >>> import torch
    >>> small_resnet(width=8, size=32)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    """
    w, shrink = width, size // GRID
    stem = [convolution(3, w, min(shrink, 2))]
    while shrink > 2:
        stem.append(convolution(w, w, 2))
        shrink = -(-shrink // 2)
    blocks = [Residual(w, w, 1), Residual(w, 2 * w, 2), Residual(2 * w, 4 * w, 2)]
    last = Residual(4 * w, 8 * w, 2)
    return nn.Sequential(*stem, *blocks, last, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def projection_mlp(before: int, hidden: int, after: int) -> nn.Sequential:
    """Two linear layers, batch normalisation and ReLU between them.

    Parameters
    ----------
    before, hidden, after : int
        Numbers of what comes, lies between, and goes.

    Examples
    --------
    >>> import torch
    >>> projection_mlp(8, 16, 4)(torch.zeros(2, 8)).shape
    torch.Size([2, 4])
    """
    return nn.Sequential(
        nn.Linear(before, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, after),
    )


class WithProjection(nn.Module):
    """A backbone whose codes are kept, and a projector that only training uses."""

    def __init__(self, backbone: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.projector = backbone, projector

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, s, s) -> projections (b, p)."""
        return self.projector(self.backbone(image))


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers of a network.

    Examples
    --------
    >>> from torch import nn
    >>> parameter_count(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
