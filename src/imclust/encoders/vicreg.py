"""`vicreg`: a small network whose two views agree while its numbers vary and do not repeat.

Bardes, Ponce and LeCun 2022. Deviations: AdamW instead of LARS, batches of 256, a projector of two
layers and 512 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.encoders import ENCODERS
from imclust.encoders._views import ViewsConfig, ViewsEncoder

if TYPE_CHECKING:
    from imclust.training.plan import Objective


@dataclass(frozen=True)
class VICRegConfig(ViewsConfig):
    """VICReg from scratch: a small ResNet, 32 px and more -> 256 numbers."""

    invariance: float = 25.0
    """Weight of the distance between views."""
    variance: float = 25.0
    """Weight of what lacks to a standard deviation of one."""
    covariance: float = 1.0
    """Weight of the squared covariances between numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("invariance", "variance", "covariance"):
            in_range("vicreg", name, getattr(self, name), 0, 1e6)


@ENCODERS.register("vicreg", VICRegConfig, paper="Bardes, Ponce and LeCun 2022, eq. 6")
class VICReg(ViewsEncoder):
    """The encoder that needs no other images to push away."""

    cfg: VICRegConfig
    projection = 512

    def objective(self, n_images: int, seed: int) -> Objective:
        """Invariance, variance and covariance of the projections of both views."""
        from imclust.training.losses import VICRegLoss

        cfg = self.cfg
        return VICRegLoss(cfg.invariance, cfg.variance, cfg.covariance)
