"""`conv-ae`: the small convolutional autoencoder of NTU ML2020 homework 9.

Encoder: three times convolution 3x3, ReLU, max-pool 2 (3 -> 64 -> 128 -> 256 channels), so a
32x32 image becomes 256 x 4 x 4 = 4096 numbers. Decoder: transposed convolutions of kernel 5, 9
and 17 (256 -> 128 -> 64 -> 3), ReLU between them and tanh at the end, back to 3 x 32 x 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from imclust.data.loader import Preprocessing
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.training.plan import Objective, TrainConfig

# What the assignment needs: on `photos` a thousand steps lower the error by a third and change the
# accuracy by less than seeds do.
FAST_STEPS = 250
FAST_EPOCHS = (2, 60)


@dataclass(frozen=True)
class ConvAEConfig:
    """Convolutional autoencoder, 32x32 -> 4096 numbers, trained from scratch."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: Adam 1e-5, batch 64, 100 epochs, float32, as in the homework. `fast`: the same
    network and loss by AdamW, batch 16, a one-cycle rate of 2e-3, and bfloat16 where the
    hardware has it, for 250 steps or 2 epochs, whichever is more."""
    epochs: int | None = None
    """Passes over the images; the recipe's number unless given."""
    batch: int | None = None
    """Images a step; the recipe's number unless given."""
    lr: float | None = None
    """Learning rate (for `fast` its peak); the recipe's unless given."""


@ENCODERS.register("conv-ae", ConvAEConfig, paper="NTU ML2020 homework 9, reference autoencoder")
class ConvAE(Encoder):
    """The homework's autoencoder under either recipe."""

    decodes = True
    preprocessing = Preprocessing(size=32)
    code_shape = (256, 4, 4)

    def __init__(self, cfg: ConvAEConfig) -> None:
        self.cfg = cfg

    def network(self) -> nn.Module:
        """1 909 251 parameters, PyTorch's default initialisation."""
        from torch import nn

        from imclust.training.networks import Autoencoder

        encoder, channels = nn.Sequential(), (3, 64, 128, 256)
        for a, b in pairwise(channels):
            encoder.extend([nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)])
        decoder = nn.Sequential(
            nn.ConvTranspose2d(256, 128, 5),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 9),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 3, 17),
            nn.Tanh(),
        )
        return Autoencoder(encoder, decoder)

    def plan(self, n_images: int) -> TrainConfig:
        """The recipe with the config's own numbers in place of its own."""
        from imclust.training.plan import TrainConfig

        literal = self.cfg.recipe == "literal"
        batch = self.cfg.batch or (64 if literal else 16)
        # As many epochs as give FAST_STEPS steps: a small set is seen more often than a big one.
        least, most = FAST_EPOCHS
        enough = round(FAST_STEPS * batch / n_images)
        epochs = self.cfg.epochs or (100 if literal else min(max(enough, least), most))
        every = 10 if literal else max(1, epochs // 6)
        return TrainConfig(
            epochs=epochs,
            batch=batch,
            lr=self.cfg.lr or (1e-5 if literal else 2e-3),
            weight_decay=1e-5,
            optimizer="adam" if literal else "adamw",
            schedule="constant" if literal else "one-cycle",
            precision="float32" if literal else "auto",
            checkpoints=tuple(range(every, epochs + 1, every)),
        )

    def objective(self, n_images: int, seed: int) -> Objective:
        """Mean squared error of the reconstruction, range -1..1."""
        from imclust.training.losses import Reconstruction

        return Reconstruction()

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """Flattened code in channel, row, column order: (b, 4096)."""
        return network.encoder(x).contiguous().flatten(1)  # type: ignore[operator]

    def reconstruct(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) in -1..1."""
        return network(x)[1]
