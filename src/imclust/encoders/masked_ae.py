"""`masked-ae`: an autoencoder with residual blocks and few latents, fed images with holes.

Vincent et al. 2010 (denoising) and He et al. 2022 (masking): square patches are taken out of every
image and noise is added, and the whole image has to come back; as images are cropped, mirrored and
recoloured at random besides, the code cannot be a table of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imclust.core.checks import in_range
from imclust.data.loader import Preprocessing
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder
from imclust.encoders._views import image_side, with_views

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.training.plan import Objective, TrainConfig


@dataclass(frozen=True)
class MaskedAEConfig:
    """Masked, denoising autoencoder from scratch, 32 px and more -> 128 numbers."""

    size: int = 32
    """Side of the square input, a multiple of 16 from 32 to 224."""
    width: int = 32
    """Channels of the network's first stage."""
    latents: int = 128
    """Numbers in a code."""
    hidden: float = 0.5
    """Share of the patches that is taken out."""
    noise: float = 0.1
    """Standard deviation of the noise, on the 0..1 scale."""
    epochs: int | None = None
    """Passes over the images; 30 unless given, or as many as `train --budget` allows."""
    batch: int = 128
    """Images a step."""
    lr: float = 2e-3
    """Peak learning rate of AdamW, one-cycle."""

    def __post_init__(self) -> None:
        image_side("masked-ae", self.size)
        in_range("masked-ae", "width", self.width, 4, 512)
        in_range("masked-ae", "latents", self.latents, 1, 65536)
        in_range("masked-ae", "hidden", self.hidden, 0, 0.95)
        in_range("masked-ae", "noise", self.noise, 0, 1)


@ENCODERS.register(
    "masked-ae", MaskedAEConfig, paper="Vincent et al. 2010 (denoising); He et al. 2022 (masking)"
)
class MaskedAE(Encoder):
    """Residual autoencoder of recoloured images with holes and noise, 128 numbers an image."""

    decodes = True

    def __init__(self, cfg: MaskedAEConfig) -> None:
        self.cfg = cfg
        self.preprocessing = Preprocessing(cfg.size)

    def network(self) -> nn.Module:
        """A small ResNet down to the latents, and its mirror image back up."""
        from imclust.training.networks import Autoencoder, conv_decoder, small_resnet

        cfg = self.cfg
        encoder = small_resnet(cfg.width, cfg.size, latents=cfg.latents)
        return Autoencoder(encoder, conv_decoder(cfg.latents, cfg.width, cfg.size))

    def plan(self, n_images: int) -> TrainConfig:
        """AdamW, one-cycle."""
        from imclust.training.plan import TrainConfig

        cfg = self.cfg
        return TrainConfig(
            epochs=cfg.epochs or 30,
            batch=min(cfg.batch, n_images),
            lr=cfg.lr,
            weight_decay=1e-4,
            optimizer="adamw",
            schedule="one-cycle",
            precision="auto",
        )

    def suited(self, plan: TrainConfig, images: np.ndarray) -> TrainConfig:
        """With crops, flips and colours, or gentler changes, by what the images are."""
        return with_views(plan, images, "auto")

    def objective(self, n_images: int, seed: int) -> Objective:
        """Mean squared error of the whole image, range -1..1, from one with holes and noise."""
        from imclust.training.losses import MaskedReconstruction

        return MaskedReconstruction(self.cfg.hidden, 2 * self.cfg.noise, seed)

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, latents), of the whole image."""
        return network.encoder(x).float()  # type: ignore[operator]

    def reconstruct(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, size, size), about -1..1."""
        return network(x)[1]
