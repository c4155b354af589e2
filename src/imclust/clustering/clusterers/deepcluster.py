"""`deepcluster`: clusters as classes to learn, what was learned as the space to cluster, again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import Clustering, centre_clustering, on_sample, through
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.core.checks import in_range

if TYPE_CHECKING:
    from torch import Tensor

    from imclust.clustering.mlp_ensemble import MLPEnsemble

CODE = 32
ROWS = 20  # of a small cluster at least, on average; fewer are chance, and learning them is noise


@dataclass(frozen=True)
class DeepclusterConfig:
    """DeepCluster-v2 on fixed features: a small perceptron learns ever new clusters of itself."""

    prepare: Preparation = "pca"
    """As for kmeans."""
    parts: int = 10
    """Clusters that are learned for each one that is asked for."""
    rounds: int = 8
    """Times that clusters are made anew."""
    steps: int = 60
    """Of training in a round."""

    def __post_init__(self) -> None:
        in_range("deepcluster", "parts", self.parts, 1, 1000)
        in_range("deepcluster", "rounds", self.rounds, 1, 1000)
        in_range("deepcluster", "steps", self.steps, 1, 100_000)


@CLUSTERERS.register(
    "deepcluster", DeepclusterConfig, paper="Caron et al. 2018; 2020, appendix D (v2)"
)
@on_sample(100_000)
def deepcluster(z: np.ndarray, n_clusters: int, cfg: DeepclusterConfig, seed: int) -> Clustering:
    """z (n, d) float -> probabilities (n, k) of k-means on the learned codes.

    As in v2, the classifier of a round is its cluster centres, on unit codes with temperature
    0.1. Deviation: the network is a perceptron on features, and dropping a fifth of their entries
    takes the part of augmented images.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = deepcluster(z.astype(np.float32), 3, DeepclusterConfig(rounds=4, steps=40), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    import torch
    from sklearn.cluster import KMeans
    from torch.nn import functional

    from imclust.clustering.mlp_ensemble import MLPEnsemble, Schedule, on_device, train
    from imclust.clustering.torch_kmeans import kmeans

    ready = prepare(z, cfg.prepare)
    n, d = ready.rows.shape
    generator = torch.Generator().manual_seed(seed)
    x = on_device(ready.rows) * d**0.5
    network = MLPEnsemble(1, (d, 128, CODE), generator, str(x.device))
    optimiser = torch.optim.Adam(network.parameters, lr=1e-3)

    parts = max(n_clusters, min(cfg.parts * n_clusters, n // ROWS))
    for _ in range(cfg.rounds):
        with torch.no_grad():
            now = _codes(network, x)
            classes = kmeans(now, parts, generator)
            hot = functional.one_hot(classes).float()
            centres = functional.normalize(hot.T @ now, dim=1)

        def step(
            picked: Tensor, t: int, centres: Tensor = centres, classes: Tensor = classes
        ) -> Tensor:
            kept = torch.rand(len(picked), d, generator=generator).to(x.device) > 0.2
            logits = _codes(network, x[picked] * kept) @ centres.T / 0.1
            return functional.cross_entropy(logits, classes[picked])[None]

        train(n, step, optimiser, Schedule(cfg.steps, 512), generator, "deepcluster")

    space = partial(_space, apply=ready.apply, network=network, scale=d**0.5)
    found = centre_clustering(KMeans(n_clusters, n_init=10, random_state=seed), space(z))
    return replace(found, predict=partial(through, apply=space, predict=found.predict))


def _codes(network: MLPEnsemble, rows: Tensor) -> Tensor:
    """Unit codes (n, CODE)."""
    from torch.nn import functional

    return functional.normalize(network(rows)[0], dim=1)


def _space(
    new: np.ndarray, apply: Callable[[Any], np.ndarray], network: MLPEnsemble, scale: float
) -> np.ndarray:
    from imclust.clustering.mlp_ensemble import in_blocks

    return in_blocks(lambda b: _codes(network, b * scale), apply(new))
