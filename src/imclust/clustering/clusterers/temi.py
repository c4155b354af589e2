"""`temi`: teacher and student agree on a row and its neighbour; pairs are weighed by trust."""

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

STUDENT, TEACHER = 0.1, 0.1  # temperatures
FOLLOW, MARGINAL = 0.996, 0.9  # momenta of the teacher's weights and of the clusters' sizes


@dataclass(frozen=True)
class TemiConfig:
    """TEMI: small perceptrons on fixed features, neighbours as positive pairs."""

    prepare: Preparation = "pca"
    """As for kmeans; the paper takes raw."""
    heads: int = 8
    """Trained side by side; the one of lowest loss answers."""
    neighbours: int = 25
    """Of a row; one is drawn as its partner each time."""
    beta: float = 0.6
    """The paper's beta: 1 forces equal sizes, less allows for unequal ones."""
    steps: int = 800
    """At most."""

    def __post_init__(self) -> None:
        in_range("temi", "heads", self.heads, 1, 1024)
        in_range("temi", "neighbours", self.neighbours, 1, 1000)
        in_range("temi", "beta", self.beta, 0.1, 1)
        in_range("temi", "steps", self.steps, 1, 1_000_000)


@CLUSTERERS.register("temi", TemiConfig, paper="Adaloglou, Michels et al. 2023, eq. 4 to 8")
@on_sample(100_000)
def temi(z: np.ndarray, n_clusters: int, cfg: TemiConfig, seed: int) -> Clustering:
    """z (n, d) float -> the teacher's probabilities (n, k).

    Deviations: 64 principal directions and layers of 128 and 64 where the paper has the features
    and 512 and 256; rate 4e-3 and at most 800 steps of 256 rows where it has 4e-4 and 100 epochs;
    the last layer is not frozen at first, and the teacher follows twice as fast at the start,
    when there is nothing yet to remember.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = temi(z.astype(np.float32), 3, TemiConfig(heads=4, steps=200), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    import torch

    from imclust.clustering.mlp_ensemble import MLPEnsemble, Schedule, on_device, train
    from imclust.clustering.neighbors import nearest_neighbors

    ready = prepare(z, cfg.prepare)
    n, d = ready.rows.shape
    generator = torch.Generator().manual_seed(seed)
    x = on_device(ready.rows) * d**0.5
    near = nearest_neighbors(ready.rows, ready.rows, min(cfg.neighbours, n - 1), same=True)[0]
    partners = torch.from_numpy(near).to(x.device)
    trunk = MLPEnsemble(cfg.heads, (d, 128, 64), generator, str(x.device))
    last = torch.randn(cfg.heads, 64, n_clusters, generator=generator).to(x.device)
    mine = [*trunk.parameters, last.requires_grad_()]
    slow = [p.detach().clone() for p in mine]
    sizes = torch.full((cfg.heads, 1, n_clusters), 1 / n_clusters, device=x.device)

    logits = partial(_logits, trunk)

    def step(rows: Tensor, t: int) -> Tensor:
        drawn = torch.randint(partners.shape[1], (len(rows),), generator=generator)
        pair = torch.cat([rows, partners[rows, drawn.to(x.device)]])
        with torch.no_grad():
            follow = min(FOLLOW, 1 - 1 / (t / 2 + 2))
            for s, p in zip(slow, mine, strict=True):
                s.lerp_(p, 1 - follow)
            teacher = torch.softmax(logits(x[pair], slow) / TEACHER, 2)
            sizes.lerp_(teacher.mean(1, keepdim=True), 1 - MARGINAL)
        student = torch.softmax(logits(x[pair], mine) / STUDENT, 2)
        return _loss(student, teacher, sizes, cfg.beta)

    optimiser = torch.optim.AdamW(mine, lr=4e-3, weight_decay=1e-4)
    loss, steps = train(n, step, optimiser, Schedule(cfg.steps, 256), generator, "temi")
    best = int(loss.argmin())
    chosen = [p[best : best + 1] for p in slow]

    predict = partial(_predict, apply=ready.apply, trunk=trunk, chosen=chosen, scale=d**0.5)
    facts = {"loss": round(float(loss[best]), 4), "steps": steps, "heads": cfg.heads}
    return Clustering(predict(z), predict, facts)


def _logits(trunk: MLPEnsemble, rows: Tensor, parameters: list[Tensor]) -> Tensor:
    """Cosines (h, n, k) of the trunk's outputs to the last layer's columns."""
    from torch.nn import functional

    from imclust.clustering.mlp_ensemble import linear

    inner = functional.normalize(trunk(rows, parameters[:-1]), dim=2)
    return linear(inner, functional.normalize(parameters[-1], dim=1))


def _predict(
    new: np.ndarray,
    apply: Callable[[Any], np.ndarray],
    trunk: MLPEnsemble,
    chosen: list[Tensor],
    scale: float,
) -> np.ndarray:
    import torch

    from imclust.clustering.mlp_ensemble import in_blocks

    def answer(block: Tensor) -> Tensor:
        return torch.softmax(_logits(trunk, block * scale, chosen) / TEACHER, 2)[0]

    return in_blocks(answer, apply(new))


def _loss(student: Tensor, teacher: Tensor, sizes: Tensor, beta: float) -> Tensor:
    """Eq. 7 and 8, symmetric: (h,) from student and teacher (h, 2 b, k), pairs b apart."""
    import torch

    b = student.shape[1] // 2
    one, two = teacher[:, :b], teacher[:, b:]
    trust = (one * two).sum(2).mean(0)  # of a pair: how alike all heads' teachers see it
    total = torch.zeros(len(student), device=student.device)
    for mine, other in ((student[:, :b], two), (student[:, b:], one)):
        agree = ((mine * other).clamp_min(1e-12) ** beta / sizes).sum(2)
        total = total - (trust * agree.log()).mean(1)
    return total / 2
