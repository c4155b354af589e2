"""`deepcluster-v2`: a small network that learns the clusters of its own codes, anew each epoch.

DeepCluster-v2 (Caron et al. 2020, appendix A.4; Caron et al. 2018): spherical k-means on the
projections of all images, then every view is to be told its image's cluster by similarity to the
centres; several numbers of clusters at once. Deviation: the projections come from a sweep without
augmentation at the start of an epoch instead of from the epoch before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.encoders import ENCODERS
from imclust.encoders._views import ViewsConfig, ViewsEncoder

if TYPE_CHECKING:
    from imclust.training.plan import Objective


@dataclass(frozen=True)
class DeepClusterV2Config(ViewsConfig):
    """DeepCluster-v2 from scratch: a small ResNet, 32 px and more -> 256 numbers."""

    clusters: tuple[int, ...] = (50, 100, 200)
    """Numbers of clusters; each is a task of its own. No more than a tenth of the images."""
    temperature: float = 0.1
    """Of the similarities to the centres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clusters:
            raise input_error("deepcluster-v2.clusters", "at least one number", "none", "give some")
        for k in self.clusters:
            in_range("deepcluster-v2", "clusters", k, 2, 1_000_000)
        in_range("deepcluster-v2", "temperature", self.temperature, 1e-3, 1e3)


@ENCODERS.register("deepcluster-v2", DeepClusterV2Config, paper="Caron et al. 2020, appendix A.4")
class DeepClusterV2(ViewsEncoder):
    """The encoder that clusters as it learns."""

    cfg: DeepClusterV2Config

    def objective(self, n_images: int, seed: int) -> Objective:
        """Cross entropy to the image's cluster."""
        from imclust.training.memory_bank import DeepClusterV2Loss

        few = sorted({min(k, max(2, n_images // 10)) for k in self.cfg.clusters})
        return DeepClusterV2Loss(n_images, self.projection, tuple(few), self.cfg.temperature, seed)
