"""`pseudo-labels`: a small network that learns the clusters which other spaces hold.

DeepCluster (Caron et al. 2018) with labels that do not change and are many more than K: k-means
where spectra, edges, patches and other spaces that cost nothing lie side by side finds them, and
two views of every image are to name them. So it starts from what those spaces know, and learns
what they have in common instead of what each follows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.encoders import ENCODERS
from imclust.encoders._views import HIDDEN, ViewsConfig, ViewsEncoder

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from imclust.training.plan import Objective


@dataclass(frozen=True)
class PseudoLabelsConfig(ViewsConfig):
    """Clusters of other spaces, learned: a small ResNet, 32 px and more -> 256 numbers. Name the
    spaces with `train --features`."""

    clusters: tuple[int, ...] = (50, 100, 200)
    """Numbers of clusters; each is a task of its own. No more than a tenth of the images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clusters:
            raise input_error("pseudo-labels.clusters", "at least one number", "none", "give some")
        for k in self.clusters:
            in_range("pseudo-labels", "clusters", k, 2, 1_000_000)


@ENCODERS.register("pseudo-labels", PseudoLabelsConfig, paper="Caron et al. 2018, eq. 1")
class PseudoLabels(ViewsEncoder):
    """The encoder that learns from other spaces.

    Once it has its spaces, `labels` (tasks, n) int holds the clusters of the training images.
    """

    cfg: PseudoLabelsConfig
    needs_spaces = True
    labels: np.ndarray

    def take_spaces(self, spaces: list[np.ndarray], seed: int) -> None:
        """Cluster the spaces side by side."""
        from imclust.training.pseudo_labels import joint_clusters, joint_rows

        self.labels = joint_clusters(joint_rows(spaces), self.cfg.clusters, seed)

    def network(self) -> nn.Module:
        """The backbone and a classifier of all tasks."""
        from imclust.training.networks import WithProjection, projection_mlp, small_resnet

        cfg = self.cfg
        classifier = projection_mlp(8 * cfg.width, HIDDEN, sum(cfg.clusters))
        return WithProjection(small_resnet(cfg.width, cfg.size), classifier)

    def objective(self, n_images: int, seed: int) -> Objective:
        """Cross entropy to the clusters."""
        from imclust.training.pseudo_labels import PseudoLabelLoss

        return PseudoLabelLoss(self.labels, self.cfg.clusters)
