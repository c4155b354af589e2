"""`pca`: principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imclust.clustering.reducers import REDUCERS
from imclust.clustering.reducers._base import Reduction, component_count
from imclust.core.checks import in_range

COMPONENTS = 64


@dataclass(frozen=True)
class PCAConfig:
    """Principal components by randomised SVD, fixed signs."""

    components: int | None = None
    """How many; 64 unless given, or as many as there are rows or columns."""
    whiten: bool = False
    """Scale every component to variance one."""

    def __post_init__(self) -> None:
        if self.components is not None:
            in_range("pca", "components", self.components, 1, 1_000_000)


@REDUCERS.register("pca", PCAConfig, paper="Pearson 1901; Halko et al. 2011, arXiv:0909.4061")
def pca(x: np.ndarray, cfg: PCAConfig, seed: int) -> Reduction:
    """(n, d) float32 -> (n, k) float32 by scikit-learn, which fixes the signs itself.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    >>> pca(x, PCAConfig(), seed=0).embedding.shape
    (60, 8)
    """
    from sklearn.decomposition import PCA

    k = component_count(cfg.components, COMPONENTS, min(x.shape))
    solver = PCA(k, whiten=cfg.whiten, random_state=seed)
    embedding = solver.fit_transform(x).astype(np.float32)
    facts = {"explained": round(float(solver.explained_variance_ratio_.sum()), 4)}
    return Reduction(embedding, lambda new: solver.transform(new).astype(np.float32), facts)
