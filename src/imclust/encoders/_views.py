"""What encoders share that learn from several views of every image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.core.reproducibility import TrainingPrecision
from imclust.data.loader import Preprocessing
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.training.plan import TrainConfig

SIZES = (32, 224)
EPOCHS = 60
HIDDEN = 512  # of projectors
Wish = Literal["auto", "photographs", "figures"]


@dataclass(frozen=True)
class ViewsConfig:
    """Settings of all encoders that learn from views."""

    size: int = 32
    """Side of the square input, a multiple of 16 from 32 to 224."""
    width: int = 32
    """Channels of the network's first stage; a code has eight times as many numbers."""
    epochs: int | None = None
    """Passes over the images; 60 unless given, or as many as `train --budget` allows."""
    batch: int = 256
    """Images a step, each in two views."""
    lr: float = 2e-3
    """Peak learning rate of AdamW, one-cycle."""
    precision: TrainingPrecision = "auto"
    """`auto` takes bfloat16 where the hardware says it computes it; `plan` measures which is
    faster."""
    augmentation: Wish = "auto"
    """What views differ by. `photographs`: crops, flips and SimCLR's colours; `figures`: gentle
    crops and turns, no flips; `auto`: by whether the images have colour and a ground that is not
    plain, and of photographs colours that differ as those of images that are alike."""

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Config")
        in_range(name, "size", self.size, *SIZES)
        if self.size % 16:
            raise input_error(f"{name}.size", "a multiple of 16", self.size, "round it")
        in_range(name, "width", self.width, 4, 512)
        in_range(name, "batch", self.batch, 4, 65536)
        in_range(name, "lr", self.lr, 1e-9, 10)


class ViewsEncoder(Encoder):
    """A small ResNet with a projector; codes are the backbone's.

    Parameters
    ----------
    cfg : ViewsConfig
        settings. projection: numbers in a projection.
    """

    projection = 128

    def __init__(self, cfg: ViewsConfig) -> None:
        self.cfg = cfg
        self.preprocessing = Preprocessing(cfg.size, std=(0.25, 0.25, 0.25))

    def network(self) -> nn.Module:
        """The backbone and its projector."""
        from imclust.training.networks import WithProjection, projection_mlp, small_resnet

        cfg = self.cfg
        projector = projection_mlp(8 * cfg.width, HIDDEN, self.projection)
        return WithProjection(small_resnet(cfg.width, cfg.size), projector)

    def plan(self, n_images: int) -> TrainConfig:
        """AdamW with two views of every image; batches of at least two images."""
        from imclust.training.plan import TrainConfig

        cfg = self.cfg
        return TrainConfig(
            epochs=cfg.epochs or EPOCHS,
            batch=min(cfg.batch, n_images),
            lr=cfg.lr,
            weight_decay=1e-4,
            optimizer="adamw",
            schedule="one-cycle",
            precision=cfg.precision,
            views=2,
        )

    def suited(self, plan: TrainConfig, images: np.ndarray) -> TrainConfig:
        """The plan with the changes that the config names, or that suit the images; of photographs
        with colours no further apart than those of images that are alike."""
        import torch

        from imclust.data.augment import FIGURES, PHOTOGRAPHS, suited
        from imclust.encoders._alike import alike_in_colour

        wish = self.cfg.augmentation
        changes = FIGURES if wish == "figures" else PHOTOGRAPHS
        if wish == "auto":
            changes = suited(torch.from_numpy(images))
            changes = alike_in_colour(images) if changes == PHOTOGRAPHS else changes
        return replace(plan, augmentation=changes)

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 8 * width)."""
        return network.backbone(x)  # type: ignore[operator]
