"""`dec` and `idec`: an autoencoder's code, pulled towards the centres of its clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import Clustering, on_sample
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.core.checks import in_range

if TYPE_CHECKING:
    from torch import Tensor

    from imclust.clustering.mlp_ensemble import MLPEnsemble

CODE = 10  # dimensions of the code, as in both papers


@dataclass(frozen=True)
class DecConfig:
    """DEC: a code from an autoencoder, then its clusters sharpened, without the decoder."""

    prepare: Preparation = "pca"
    """As for kmeans."""
    heads: int = 4
    """Starts, trained side by side; the one of lowest loss answers."""
    steps: int = 800
    """At most, in each of the two phases."""
    reconstruction: float = 0.0
    """Weight of the reconstruction in the second phase; IDEC's is 1 with 0.1 on the clusters."""

    def __post_init__(self) -> None:
        in_range("dec", "heads", self.heads, 1, 1024)
        in_range("dec", "steps", self.steps, 1, 1_000_000)
        in_range("dec", "reconstruction", self.reconstruction, 0, 1000)


@dataclass(frozen=True)
class IdecConfig(DecConfig):
    """IDEC: DEC that keeps reconstructing, so that the code keeps its local structure."""

    reconstruction: float = 10.0
    """Weight of the reconstruction in the second phase; 10 to the clusters' 1 is the paper's."""


@CLUSTERERS.register("dec", DecConfig, paper="Xie, Girshick and Farhadi 2016, eq. 1 to 3")
@on_sample(200_000)
def dec(z: np.ndarray, n_clusters: int, cfg: DecConfig, seed: int) -> Clustering:
    """z (n, d) float -> the Student-t soft assignment (n, k) of the codes.

    Deviations: layers 128-64-10 where the paper has 500-500-2000-10 (its input is pixels, ours
    is a prepared space), trained at once instead of layer by layer; Adam; the target is that of
    the running frequencies.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = dec(z.astype(np.float32), 3, DecConfig(heads=2, steps=200), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    import torch

    from imclust.clustering.mlp_ensemble import MLPEnsemble, Schedule, on_device, train

    ready = prepare(z, cfg.prepare)
    n, d = ready.rows.shape
    generator = torch.Generator().manual_seed(seed)
    x = on_device(ready.rows) * d**0.5
    encoder = MLPEnsemble(cfg.heads, (d, 128, 64, CODE), generator, str(x.device))
    decoder = MLPEnsemble(cfg.heads, (CODE, 64, 128, d), generator, str(x.device))

    def rebuilt(rows: Tensor, codes: Tensor) -> Tensor:
        return (decoder(codes) - rows).square().mean((1, 2))

    def warm(picked: Tensor, t: int) -> Tensor:
        return rebuilt(x[picked], encoder(x[picked]))

    every = encoder.parameters + decoder.parameters
    schedule = Schedule(cfg.steps, 256)
    train(n, warm, torch.optim.Adam(every, lr=2e-3), schedule, generator, "dec, autoencoder")
    with torch.no_grad():
        codes = encoder(x).cpu().numpy()
    centres = _start(codes, n_clusters, seed).to(x.device).requires_grad_()
    frequency = torch.full((cfg.heads, 1, n_clusters), 1 / n_clusters, device=x.device)

    def sharpen(picked: Tensor, t: int) -> Tensor:
        inner = encoder(x[picked])
        q = student_t(inner, centres)
        with torch.no_grad():
            frequency.lerp_(q.mean(1, keepdim=True), 0.1)
            p = q.square() / frequency
            p = p / p.sum(2, keepdim=True)
        loss = (p * (p.clamp_min(1e-12).log() - q.clamp_min(1e-12).log())).sum(2).mean(1)
        if cfg.reconstruction:
            loss = loss + cfg.reconstruction * rebuilt(x[picked], inner)
        return loss

    optimiser = torch.optim.Adam([*every, centres], lr=1e-3)
    loss, steps = train(n, sharpen, optimiser, schedule, generator, "dec, clusters")
    best = int(loss.argmin())
    chosen = [p[best : best + 1].detach() for p in encoder.parameters]
    centre = centres[best : best + 1].detach()

    predict = partial(
        _predict, apply=ready.apply, encoder=encoder, chosen=chosen, centre=centre, scale=d**0.5
    )
    facts = {"loss": round(float(loss[best]), 4), "steps": steps, "heads": cfg.heads}
    return Clustering(predict(z), predict, facts)


@CLUSTERERS.register("idec", IdecConfig, paper="Guo et al. 2017, eq. 9")
def idec(z: np.ndarray, n_clusters: int, cfg: IdecConfig, seed: int) -> Clustering:
    """As `dec`, with the reconstruction in the loss.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = idec(z.astype(np.float32), 3, IdecConfig(heads=2, steps=100), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    return dec(z, n_clusters, cfg, seed)


def _predict(
    new: np.ndarray,
    apply: Callable[[Any], np.ndarray],
    encoder: MLPEnsemble,
    chosen: list[Tensor],
    centre: Tensor,
    scale: float,
) -> np.ndarray:
    from imclust.clustering.mlp_ensemble import in_blocks

    return in_blocks(lambda b: student_t(encoder(b * scale, chosen), centre)[0], apply(new))


def student_t(codes: Tensor, centres: Tensor) -> Tensor:
    """DEC eq. 1: (h, n, c) codes and (h, k, c) centres -> soft assignment (h, n, k).

    Examples
    --------
    >>> import torch
    >>> student_t(torch.zeros(1, 1, 2), torch.tensor([[[0.0, 0.0], [1.0, 0.0]]]))
    tensor([[[0.6667, 0.3333]]])
    """
    square = (
        codes.square().sum(2, keepdim=True)
        + centres.square().sum(2)[:, None]
        - 2 * codes @ centres.transpose(1, 2)
    )
    q = 1 / (1 + square.clamp_min(0))
    return q / q.sum(2, keepdim=True)


def _start(codes: np.ndarray, k: int, seed: int) -> Tensor:
    """k-means centres (h, k, c) of every head's codes (h, n, c)."""
    import torch
    from sklearn.cluster import KMeans

    found = [KMeans(k, n_init=5, random_state=seed).fit(c).cluster_centers_ for c in codes]
    return torch.from_numpy(np.stack(found).astype(np.float32))
