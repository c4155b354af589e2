"""Network shapes that several encoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """An encoder and a decoder; forward gives (latent, reconstruction).

    Args:
        encoder: (b, 3, s, s) -> (b, c, h, w).
        decoder: (b, c, h, w) -> (b, 3, s, s).
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

    Args:
        encoder: layers (b, 3, s, s) -> (b, c, h, w), its poolings `MaxPool2d(2,
            return_indices=True)`.
        decoder: layers back to (b, 3, s, s), with one `Unpool` for every pooling.
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

        Args:
            places: int64, what `MaxPool2d(2, return_indices=True)` gave: row * 2w + column.
        """
        h, w = x.shape[2:]
        pixels = torch.arange(4 * h * w, device=x.device).view(h, 2, w, 2)
        here = places[:, :, :, None, :, None] == pixels
        return (x[:, :, :, None, :, None] * here).reshape(*x.shape[:2], 2 * h, 2 * w)


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
