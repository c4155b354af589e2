"""`simclr`: a small network trained until two views of an image are told from all other views.

Chen, Kornblith, Norouzi and Hinton 2020. Deviations, for small images and short trainings: AdamW
instead of LARS, batches of 256, no blur, temperature 0.2.
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
class SimCLRConfig(ViewsConfig):
    """SimCLR from scratch: a small ResNet, 32 px and more -> 256 numbers."""

    temperature: float = 0.2
    """Of the similarities."""

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("simclr", "temperature", self.temperature, 1e-3, 1e3)


@ENCODERS.register("simclr", SimCLRConfig, paper="Chen et al. 2020, eq. 1")
class SimCLR(ViewsEncoder):
    """The contrastive encoder."""

    cfg: SimCLRConfig

    def objective(self, n_images: int, seed: int) -> Objective:
        """NT-Xent of the projections of both views."""
        from imclust.training.losses import NTXentLoss

        return NTXentLoss(self.cfg.temperature)
