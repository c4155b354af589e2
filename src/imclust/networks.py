"""Network shapes that several encoders share."""

from __future__ import annotations

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


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
