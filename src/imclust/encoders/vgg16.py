"""`vgg16`: the FeatureExtractor of AIcrowd Blitz 7, VGG16 up to its first fully connected layer.

Convolutions, average pool to 7x7, flattened 25088 numbers, Linear(25088, 4096) without the ReLU
after it: 4096 numbers an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imclust.data.loader import IMAGENET, Preprocessing
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions


@dataclass(frozen=True)
class VGG16Config:
    """VGG16 of torchvision, trained on ImageNet: images of 448 px to 4096 numbers."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: channels as BGR and no normalisation beyond 0..1, as the walkthrough feeds them.
    `fast`: RGB with ImageNet's mean and standard deviation, as the network was trained."""
    weights: Path | None = None
    """File of torchvision's VGG16 weights; fetched into torch's cache unless given."""
    size: int = 448
    """Side of the input in pixels, scaled from a centre square of 512 stored pixels."""


@ENCODERS.register("vgg16", VGG16Config, paper="Simonyan and Zisserman 2015; AIcrowd Blitz 7")
class VGG16(Encoder):
    """The walkthrough's feature extractor."""

    track = "open"

    def __init__(self, cfg: VGG16Config) -> None:
        self.cfg = cfg
        literal = cfg.recipe == "literal"
        # The walkthrough pads images under 512 px with black; here they keep their shorter side.
        self.preprocessing = Preprocessing(
            size=cfg.size,
            mean=(0.0, 0.0, 0.0) if literal else IMAGENET[0],
            std=(1.0, 1.0, 1.0) if literal else IMAGENET[1],
            window=512,
            order="bgr" if literal else "rgb",
        )

    def network(self) -> nn.Module:
        """117 479 232 parameters under torchvision's names."""
        from torch import nn

        features, before = nn.Sequential(), 3
        for channels, convolutions in STAGES:
            for _ in range(convolutions):
                features.extend([nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()])
                before = channels
            features.append(nn.MaxPool2d(2))
        first = nn.Sequential(nn.Linear(512 * 7 * 7, 4096))
        return nn.ModuleDict({"features": features, "classifier": first})

    def pretrained(self, network: nn.Module) -> dict[str, Any]:
        """torchvision's ImageNet weights, without the layers after the first Linear."""
        from imclust.training.pretrained import fetched, load_state, read_state

        path = self.cfg.weights or fetched(URL, "vgg16")
        unused = ("classifier.3.", "classifier.6.")
        state = {k: v for k, v in read_state(path).items() if not k.startswith(unused)}
        load_state(network, state, str(path))
        return {"weights_from": path.name, "licence": "bsd-3-clause"}  # torchvision's

    def lacks(self) -> str:
        """The file that is not there yet, or nothing."""
        from imclust.training.weights_cache import cached_weights

        path = self.cfg.weights or cached_weights(URL)
        return "" if path.is_file() else str(path)

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, s, s) -> (b, 4096)."""
        from torch.nn import functional

        maps = functional.adaptive_avg_pool2d(network["features"](x), 7)  # type: ignore[index]
        return network["classifier"](maps.contiguous().flatten(1))  # type: ignore[index]
