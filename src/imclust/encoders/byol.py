"""`byol`: a small network that foretells what a slow copy of itself says of another view.

Grill et al. 2020. Deviations: AdamW instead of LARS, batches of 256, a slow copy that starts at
0.99, as suits short trainings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.checks import in_range
from imclust.encoders import ENCODERS
from imclust.encoders._views import HIDDEN, ViewsConfig, ViewsEncoder

if TYPE_CHECKING:
    from torch import nn

    from imclust.plans import Objective


@dataclass(frozen=True)
class BYOLConfig(ViewsConfig):
    """BYOL from scratch: a small ResNet, 32 px and more -> 256 numbers."""

    momentum: float = 0.99
    """Share of itself that the slow copy keeps at a step; rises to 1 over the training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("byol", "momentum", self.momentum, 0, 1)


@ENCODERS.register("byol", BYOLConfig, paper="Grill et al. 2020, eq. 2")
class BYOL(ViewsEncoder):
    """The encoder with a slow copy."""

    cfg: BYOLConfig

    def network(self) -> nn.Module:
        """Backbone and projector, and the predictor behind them."""
        from imclust.networks import Predicting, Projected, perceptron

        plain = super().network()
        assert isinstance(plain, Projected)
        predictor = perceptron(self.projection, HIDDEN, self.projection)
        return Predicting(plain.backbone, plain.projector, predictor)

    def objective(self, n_images: int, seed: int) -> Objective:
        """Cosine distance between predictions and the slow copy's projections."""
        from imclust.losses import Bootstrap

        return Bootstrap(super().network(), self.cfg.momentum)
