"""`byol`: a small network that foretells what a slow copy of itself says of another view.

Grill et al. 2020. Deviations: AdamW instead of LARS, batches of 256, a slow copy that starts at
0.99, as suits short trainings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.encoders import ENCODERS
from imclust.encoders._views import HIDDEN, ViewsConfig, ViewsEncoder

if TYPE_CHECKING:
    from torch import nn

    from imclust.training.plan import Objective


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
        from imclust.training.networks import WithPredictor, WithProjection, projection_mlp

        plain = super().network()
        assert isinstance(plain, WithProjection)
        predictor = projection_mlp(self.projection, HIDDEN, self.projection)
        return WithPredictor(plain.backbone, plain.projector, predictor)

    def objective(self, n_images: int, seed: int) -> Objective:
        """Cosine distance between predictions and the slow copy's projections."""
        from imclust.training.losses import BYOLLoss

        return BYOLLoss(super().network(), self.cfg.momentum)
