"""`vgg-ae`: VGG16's convolutions as the encoder of a SegNet, trained to give the image back.

Encoder: the 13 convolutions 3x3 of VGG16 with batch normalisation (64 64, 128 128, 256 256 256,
512 512 512, 512 512 512), ReLU, and five max-poolings that keep their indices. Decoder: its mirror
image, transposed convolutions 3x3 with batch normalisation and ReLU, unpoolings fed with the
indices in reverse order, the last convolution bare.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imclust.core.errors import input_error
from imclust.data.loader import IMAGENET, Preprocessing
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.training.plan import Objective, TrainConfig

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
FAST_STEPS = 300
FAST_EPOCHS = (2, 30)


@dataclass(frozen=True)
class VggAEConfig:
    """VGG16 autoencoder with remembered pooling places, size x size -> 512 * (size / 32)^2."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: the walkthrough's 224 x 224, SGD at a constant 0.01 and batch 64 in float32, with
    momentum 0.9 and 100 epochs, which it does not state. `fast`: 64 x 64, the same network and
    loss by AdamW, batch 32, a one-cycle rate of 1e-3, and bfloat16 where the hardware has it, for
    300 steps or 2 epochs, whichever is more."""
    size: int | None = None
    """Side of the square input, a multiple of 32; the recipe's number unless given."""
    epochs: int | None = None
    """Passes over the images; the recipe's number unless given."""
    batch: int | None = None
    """Images a step; the recipe's number unless given."""
    lr: float | None = None
    """Learning rate (for `fast` its peak); the recipe's unless given."""
    weights: Path | None = None
    """torchvision's VGG16-BN weights (vgg16_bn-6c64b313.pth, or as safetensors) for the encoder
    to start from; the run is then on the open track."""

    def __post_init__(self) -> None:
        if self.size is not None and (self.size < 32 or self.size % 32):
            raise input_error(
                "vgg-ae.size", "a multiple of 32", self.size, "five poolings halve it, so round it"
            )


@ENCODERS.register(
    "vgg-ae",
    VggAEConfig,
    paper="Simonyan and Zisserman 2015; Badrinarayanan, Kendall and Cipolla 2017 (SegNet)",
)
class VggAE(Encoder):
    """The autoencoder that Local Aggregation starts from.

    The remembered places tell the decoder most of the image, so training from scratch leaves the
    deepest code of most images nearly the same: cluster it after `local-aggregation`, or start
    from pretrained weights.
    """

    decodes = True

    def __init__(self, cfg: VggAEConfig) -> None:
        self.cfg = cfg
        self.literal = cfg.recipe == "literal"
        size = cfg.size or (224 if self.literal else 64)
        self.code_shape = (512, size // 32, size // 32)
        if cfg.weights is None:
            self.preprocessing = Preprocessing(size)
        else:
            self.track = "open"
            self.preprocessing = Preprocessing(size, *IMAGENET)

    def network(self) -> nn.Module:
        """29 444 739 parameters; `encoder.N` is torchvision's `features.N`.

        PyTorch's default initialisation: with batch normalisation behind every convolution the
        scale of the weights does not matter.
        """
        from torch import nn

        from imclust.training.networks import SegNet, Unpool

        encoder, mirrored, before = nn.Sequential(), list[nn.Module](), 3
        for stage in STAGES:
            for width in stage:
                encoder.extend(
                    [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                )
                # Collected backwards, so the last of these, to 3 channels, is written first.
                convolution = nn.ConvTranspose2d(width, before, 3, padding=1)
                mirrored += [convolution] if before == 3 else [
                    nn.ReLU(), nn.BatchNorm2d(before), convolution
                ]  # fmt: skip
                before = width
            encoder.append(nn.MaxPool2d(2, return_indices=True))
            mirrored.append(Unpool())
        return SegNet(encoder, nn.Sequential(*reversed(mirrored)))

    def pretrained(self, network: nn.Module) -> dict[str, Any]:
        """The `features.*` of a VGG16-BN weights file into the encoder, if one was given.

        Raises
        ------
        InputError
            The file is missing, damaged, or of another network; says which keys differ.
        """
        if self.cfg.weights is None:
            return {}
        from imclust.training.pretrained import load_state, read_state

        path = self.cfg.weights
        state = read_state(path)
        features = {
            k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")
        }
        load_state(network.encoder, features, str(path))  # type: ignore[arg-type]
        return {"weights_from": path.name, "licence": "bsd-3-clause"}  # torchvision's

    def plan(self, n_images: int) -> TrainConfig:
        """The recipe with the config's own numbers in place of its own."""
        from imclust.training.plan import TrainConfig

        literal = self.literal
        batch = self.cfg.batch or (64 if literal else 32)
        least, most = FAST_EPOCHS
        enough = round(FAST_STEPS * batch / n_images)
        return TrainConfig(
            epochs=self.cfg.epochs or (100 if literal else min(max(enough, least), most)),
            batch=batch,
            lr=self.cfg.lr or (1e-2 if literal else 1e-3),
            weight_decay=0.0 if literal else 1e-5,
            optimizer="sgd" if literal else "adamw",
            schedule="constant" if literal else "one-cycle",
            precision="float32" if literal else "auto",
        )

    def objective(self, n_images: int, seed: int) -> Objective:
        """Mean squared error of the reconstruction, on the normalised scale."""
        from imclust.training.losses import Reconstruction

        return Reconstruction()

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """Flattened code in channel, row, column order: (b, 512 * (s / 32)^2)."""
        return network.compress(x)[0].contiguous().flatten(1)  # type: ignore[operator]

    def reconstruct(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, s, s) on the scale of its input, not bounded."""
        return network(x)[1]
