"""`scan-net`: a self-supervised encoder trained on, with a head, until its clusters are clear.

Van Gansbeke et al. 2020 (SCAN), the whole network learning; see `imclust.scan_training`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.encoders import ENCODERS
from imclust.encoders._base import Encoder
from imclust.encoders._views import ViewsEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.training.plan import Objective, TrainConfig


@dataclass(frozen=True)
class ScanNetConfig:
    """SCAN upon an encoder that learned from views; its weights come by `train --init-weights`."""

    n_clusters: int = 10
    """K."""
    epochs: int | None = None
    """Passes over the images; 20 unless given, or as many as `train --budget` allows."""
    batch: int = 256
    """Images a step, each in two views."""
    lr: float = 5e-4
    """Peak learning rate of AdamW, one-cycle."""
    neighbours: int = 20
    """Of an image, by its code at the start."""
    balance: float = 5.0
    """Weight of the entropy of the clusters' sizes; the paper's lambda."""
    confidence: float = 0.95
    """Answers above it teach in the second step."""
    taught: float = 0.4
    """Share of the training that the second step takes."""

    def __post_init__(self) -> None:
        in_range("scan-net", "n_clusters", self.n_clusters, 2, 100_000)
        in_range("scan-net", "batch", self.batch, 4, 65536)
        in_range("scan-net", "neighbours", self.neighbours, 1, 1000)
        in_range("scan-net", "balance", self.balance, 0, 1000)
        in_range("scan-net", "confidence", self.confidence, 0, 1)
        in_range("scan-net", "taught", self.taught, 0, 1)


@ENCODERS.register("scan-net", ScanNetConfig, paper="Van Gansbeke et al. 2020, eq. 2")
class ScanNet(Encoder):
    """The base's backbone with a head."""

    refines = True

    def __init__(self, cfg: ScanNetConfig, base: Encoder) -> None:
        if not isinstance(base, ViewsEncoder):
            raise input_error(
                "the encoder that scan-net starts from", "one that learned from views",
                          type(base).__name__, "start from simclr, say")  # fmt: skip
        self.cfg, self.base = cfg, base
        self.track, self.preprocessing = base.track, base.preprocessing

    def network(self) -> nn.Module:
        """The base's network with a head of K clusters in place of its projector."""
        return self.upon(self.base.network())

    def upon(self, base: nn.Module) -> nn.Module:
        """The base's backbone, as it is, under a new head."""
        from imclust.training.scan import Clustered

        dims = 8 * self.base.cfg.width
        return Clustered(base.backbone, dims, self.cfg.n_clusters)  # type: ignore[arg-type]

    def plan(self, n_images: int) -> TrainConfig:
        """As the base learned, for fewer epochs at a lower rate."""
        cfg = self.cfg
        plan = self.base.plan(n_images)
        return replace(plan, epochs=cfg.epochs or 20, batch=min(cfg.batch, n_images), lr=cfg.lr)

    def suited(self, plan: TrainConfig, images: np.ndarray) -> TrainConfig:
        """With the base's views."""
        return self.base.suited(plan, images)

    def objective(self, n_images: int, seed: int) -> Objective:
        """Agreement with neighbours, then with sure answers."""
        from imclust.training.scan import ScanSettings, ScanTraining

        cfg = self.cfg
        settings = ScanSettings(
            cfg.n_clusters, cfg.neighbours, cfg.balance, cfg.confidence, cfg.taught
        )
        return ScanTraining(settings, n_images, seed)

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 8 * width + K): codes, and the head's answers beside them."""
        import torch

        codes = network.backbone(x)  # type: ignore[operator]
        answers = network.head(network.norm(codes)).float().softmax(1)  # type: ignore[operator]
        return torch.cat([codes.float(), answers], 1)

    def parts(self, network: nn.Module) -> list[int]:
        """Codes and answers are spaces of their own."""
        return [8 * self.base.cfg.width, self.cfg.n_clusters]
