"""`tsne`: t-distributed stochastic neighbour embedding in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.reducers import REDUCERS
from imclust.clustering.reducers._base import Reduction
from imclust.core.checks import in_range
from imclust.core.log import progress
from imclust.core.reproducibility import threads

EARLY = 250  # steps of early exaggeration
FEW = 500  # rows below which threads wait for each other longer than they work
FFT_FROM = 4000  # rows from which interpolation beats the Barnes-Hut tree


@dataclass(frozen=True)
class TSNEConfig:
    """t-SNE to two dimensions."""

    recipe: Literal["fast", "literal"] = "fast"
    """`literal`: scikit-learn's Barnes-Hut TSNE(2). `fast`: openTSNE, whose repulsion is
    interpolated by FFT for many points, started from the first two components."""
    perplexity: float = 30.0
    """Effective number of neighbours; lowered to (n - 1) / 3 for few images."""
    exaggeration: float = 1.0
    """Attraction of the second phase; 1 is plain t-SNE, about 4 draws groups together."""
    iterations: int = 500
    """Steps of the second phase, after 250 of early exaggeration (fast recipe)."""

    def __post_init__(self) -> None:
        in_range("tsne", "perplexity", self.perplexity, 1, 10_000)
        in_range("tsne", "exaggeration", self.exaggeration, 1, 100)
        in_range("tsne", "iterations", self.iterations, 1, 100_000)


@REDUCERS.register(
    "tsne", TSNEConfig, paper="van der Maaten and Hinton 2008; Linderman et al. 2019"
)
def tsne(x: np.ndarray, cfg: TSNEConfig, seed: int) -> Reduction:
    """(n, d) float32 -> (n, 2) float32.

    Further rows are placed at the median of their 25 nearest fitted rows' positions, as openTSNE
    starts its own `transform`; nothing is moved, so their answer does not depend on one another.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    >>> tsne(x, TSNEConfig(), seed=0).embedding.shape
    (60, 2)
    """

    perplexity = min(cfg.perplexity, max(1.0, (len(x) - 1) / 3))
    fit = _literal if cfg.recipe == "literal" else _fast
    embedding = fit(np.asarray(x, np.float32), perplexity, cfg, seed).astype(np.float32)

    def predict(new: np.ndarray) -> np.ndarray:
        near, _ = nearest_neighbors(new, x, min(25, len(x)))
        return np.asarray(np.median(embedding[near], axis=1), np.float32)

    return Reduction(embedding, predict, {"perplexity": perplexity})


def _literal(x: np.ndarray, perplexity: float, cfg: TSNEConfig, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    return TSNE(2, perplexity=perplexity, random_state=seed).fit_transform(x)


def _fast(x: np.ndarray, perplexity: float, cfg: TSNEConfig, seed: int) -> np.ndarray:
    """openTSNE stage by stage: exact neighbours, affinities, start, two phases."""
    import openTSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    n = len(x)
    graph = PrecomputedNeighbors(
        *nearest_neighbors(x, x, min(n - 1, int(3 * perplexity)), same=True)
    )
    embedding = openTSNE.TSNEEmbedding(
        openTSNE.initialization.pca(x, random_state=seed),
        PerplexityBasedNN(perplexity=perplexity, knn_index=graph),
        negative_gradient_method="fft" if n >= FFT_FROM else "bh",
        # Coarser than openTSNE's own 1.0: a third of the grid, trustworthiness unchanged.
        ints_in_interval=1.5,
        n_jobs=1 if n < FEW else threads(),
        random_state=seed,
    )
    rate = max(200.0, n / 12)
    bar = progress(None, "t-SNE", total=EARLY + cfg.iterations, unit="step")
    for steps, exaggeration, momentum in (
        (EARLY, 12.0, 0.5),
        (cfg.iterations, cfg.exaggeration, 0.8),
    ):
        for begin in range(0, steps, 50):
            part = min(50, steps - begin)
            embedding.optimize(
                part,
                inplace=True,
                exaggeration=exaggeration,
                momentum=momentum,
                learning_rate=rate,
            )
            bar.update(part)
    bar.close()
    return np.asarray(embedding)
