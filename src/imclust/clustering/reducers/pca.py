"""`pca`: principal components."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from imclust.clustering.blocks import LARGE, each_block
from imclust.clustering.reducers import REDUCERS
from imclust.clustering.reducers._base import Reduction, component_count, fix_signs
from imclust.core.checks import in_range
from imclust.core.log import progress
from imclust.core.shards import over_shards

COMPONENTS = 64
STEP = 50  # of the first rows every so manieth tells where about the others lie


@dataclass(frozen=True)
class PCAConfig:
    """Principal components, fixed signs: by SVD, of very many rows by their covariance."""

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

    Above LARGE rows x is gone through once, shard by shard, and may be memory-mapped.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    >>> pca(x, PCAConfig(), seed=0).embedding.shape
    (60, 8)
    """
    from sklearn.decomposition import PCA

    k = component_count(cfg.components, COMPONENTS, min(x.shape))
    if len(x) > LARGE:
        return _of_many(x, k, whiten=cfg.whiten)
    solver = PCA(k, whiten=cfg.whiten, random_state=seed)
    embedding = solver.fit_transform(x).astype(np.float32)
    facts = {"explained": round(float(solver.explained_variance_ratio_.sum()), 4)}
    return Reduction(embedding, lambda new: solver.transform(new).astype(np.float32), facts)


def _of_many(x: np.ndarray, k: int, *, whiten: bool) -> Reduction:
    """From the covariance, which is added up in the order of shards, whoever works on them."""
    origin = np.asarray(x[:LARGE:STEP], np.float32).mean(0)

    total = np.zeros(x.shape[1])
    products = np.zeros((x.shape[1], x.shape[1]))
    bar = progress(None, "pca", total=len(x), unit="row", leave=False)
    for place, (sums, squares) in over_shards(x, shard_moments, origin):
        total += sums
        products += squares
        bar.update(place.stop - place.start)
    bar.close()
    away = total / len(x)
    covariance = (products - len(x) * np.outer(away, away)) / (len(x) - 1)
    variance, vectors = np.linalg.eigh(covariance)
    directions = fix_signs(vectors[:, ::-1][:, :k])
    kept = variance[::-1][:k].clip(0)
    scale = 1 / np.sqrt(np.maximum(kept, np.finfo(float).tiny)) if whiten else np.ones(k)
    predict = partial(
        _projected, mean=origin + away, directions=(directions * scale).astype(np.float32)
    )
    return Reduction(None, predict, {"explained": round(float(kept.sum() / variance.sum()), 4)})


def shard_moments(rows: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a shard says of mean and covariance: products of float32 blocks about a point amid the
    rows, which float32 holds well, added up as float64 in the order of the blocks.

    Parameters
    ----------
    rows : np.ndarray
        (m, d) float, also memory-mapped.
    origin : np.ndarray
        (d,) float32, the point.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Sums (d,) and sums of products (d, d) of the rows less the origin, float64.

    Examples
    --------
    >>> sums, products = shard_moments(np.array([[0.0, 1], [2, 3]]), np.zeros(2, np.float32))
    >>> sums.tolist(), products.tolist()
    ([2.0, 4.0], [[4.0, 6.0], [6.0, 10.0]])
    """
    total, products = np.zeros(len(origin)), np.zeros((len(origin), len(origin)))

    def work(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        block = block - origin
        return block.sum(0, dtype=np.float64), block.T @ block

    for _, (sums, squares) in each_block(rows, work):
        total += sums
        products += squares
    return total, products


def _projected(rows: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Rows (m, d) -> (m, k) float32, block by block."""
    out = np.empty((len(rows), directions.shape[1]), np.float32)
    centre = mean.astype(np.float32)
    for place, block in each_block(rows, lambda block: (block - centre) @ directions):
        out[place] = block
    return out
