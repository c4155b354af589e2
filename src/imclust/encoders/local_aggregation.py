"""`local-aggregation`: an encoder trained on until images gather with their close neighbours.

Zhuang, Zhai and Yamins 2019. It starts from the weights of another encoder (in the walkthrough
`vgg-ae`), whose code is merged into one vector by averaging over positions, and normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.training.plan import Objective, TrainConfig

BASE = "the encoder that local-aggregation starts from"
FAST_STEPS = 400
FAST_EPOCHS = (15, 50)


@dataclass(frozen=True)
class LocalAggregationConfig:
    """Local Aggregation upon another encoder; give its weights with `train --init-weights`."""

    epochs: int | None = None
    """Passes over the images; 400 steps or 15 epochs, whichever is more, unless given."""
    batch: int = 64
    """Images a step."""
    lr: float = 0.03
    """Peak learning rate of SGD with momentum 0.9, one-cycle."""
    augmentation: Literal["none", "flip", "crop"] = "crop"
    """Random changes of every image in training."""
    centroids: int | None = None
    """Clusters of each k-means; a tenth of the images unless given."""
    runs: int = 5
    """k-means runs whose clusters are united."""
    refresh: int = 1
    """Epochs between two clusterings of the bank."""
    warmup: int = 0
    """Epochs of instance discrimination before the first clustering."""
    neighbours: int = 4096
    """Background neighbours of an image; the whole set when it has no more images."""
    temperature: float = 0.07
    """Of the similarities."""
    mixing: float = 0.5
    """Share of the old vector when the memory of an image is renewed."""
    bank: Literal["codes", "sphere"] = "codes"
    """How the memory starts: the images' codes, or random points on the sphere."""

    def __post_init__(self) -> None:
        for name in ("batch", "runs", "refresh", "neighbours"):
            in_range("local-aggregation", name, getattr(self, name), 1, 1_000_000)
        in_range("local-aggregation", "warmup", self.warmup, 0, 1_000_000)
        in_range("local-aggregation", "temperature", self.temperature, 1e-3, 1e3)
        in_range("local-aggregation", "mixing", self.mixing, 0, 1)


@ENCODERS.register(
    "local-aggregation", LocalAggregationConfig, paper="Zhuang, Zhai and Yamins 2019"
)
class LocalAggregation(Encoder):
    """The base's network, its code merged and normalised."""

    refines = True

    def __init__(self, cfg: LocalAggregationConfig, base: Encoder) -> None:
        self.cfg, self.base = cfg, base
        if base.reads != "images":
            raise input_error(BASE, "an encoder of images", base.reads,
                          "start from another encoder")  # fmt: skip
        self.track, self.preprocessing = base.track, base.preprocessing

    def network(self) -> nn.Module:
        """The base's.

        Raises
        ------
        InputError
            It has nothing to train.
        """
        network = self.base.network()
        if not any(p.requires_grad for p in network.parameters()):
            raise input_error(BASE, "one that can be trained",
                          "nothing to train", "start from another encoder")  # fmt: skip
        return network

    def plan(self, n_images: int) -> TrainConfig:
        """SGD, as in the paper; its steps of the rate are a one-cycle here, for short trainings."""
        from imclust.data.augment import PRESETS
        from imclust.training.plan import TrainConfig

        least, most = FAST_EPOCHS
        enough = round(FAST_STEPS * self.cfg.batch / n_images)
        return TrainConfig(
            epochs=self.cfg.epochs or min(max(enough, least), most),
            batch=self.cfg.batch,
            lr=self.cfg.lr,
            weight_decay=1e-4,
            optimizer="sgd",
            schedule="one-cycle",
            precision="auto",
            augmentation=PRESETS[self.cfg.augmentation],
        )

    def objective(self, n_images: int, seed: int) -> Objective:
        """The loss with a memory of every image.

        Raises
        ------
        InputError
            More centroids than images.
        """
        from imclust.training import memory_bank as memory

        cfg = self.cfg
        centroids = cfg.centroids or max(2, n_images // 10)
        in_range("local-aggregation", "centroids", centroids, 2, n_images)
        return memory.LocalAggregationLoss(
            self.encode,
            n_images,
            self._dims(),
            start=cfg.bank,
            centroids=centroids,
            runs=cfg.runs,
            refresh=cfg.refresh,
            warmup=cfg.warmup,
            neighbours=cfg.neighbours,
            temperature=cfg.temperature,
            mixing=cfg.mixing,
            seed=seed,
        )

    def _dims(self) -> int:
        """Numbers in a code, by a forward pass that computes nothing."""
        import torch

        with torch.device("meta"), torch.no_grad():
            network, size = self.base.network().eval(), self.preprocessing.size
            return self.encode(network, torch.empty(1, 3, size, size)).shape[1]

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """Unit vectors (b, d): d channels of the base's code, or its length if it is plain."""
        from torch.nn import functional

        z = self.base.encode(network, x).float()
        if self.base.code_shape is not None:
            z = z.reshape(len(z), *self.base.code_shape).mean((2, 3))
        return functional.normalize(z, dim=1)
