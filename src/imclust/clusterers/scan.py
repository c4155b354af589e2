"""`scan`: a row and its neighbours get the same answer, and all answers are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from imclust.checks import in_range
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import (
    Clustering,
    Rows,
    beside,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.spaces import Preparation

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from imclust.batched import Stack


@dataclass(frozen=True)
class ScanConfig:
    """SCAN's clustering step and its self-labelling, on fixed features."""

    prepare: Preparation = "pca"
    """As for kmeans."""
    heads: int = 10
    """Trained side by side; the one of lowest loss answers."""
    neighbours: int = 20
    """Of a row; one is drawn as its partner each time."""
    balance: float = 5.0
    """Weight of the entropy of the clusters' sizes; the paper's lambda."""
    confidence: float = 0.99
    """Rows above it teach the head in the last step."""
    steps: int = 800
    """At most, before self-labelling, which takes a quarter as many again."""

    def __post_init__(self) -> None:
        in_range("scan", "heads", self.heads, 1, 1024)
        in_range("scan", "neighbours", self.neighbours, 1, 1000)
        in_range("scan", "balance", self.balance, 0, 1000)
        in_range("scan", "confidence", self.confidence, 0, 1)
        in_range("scan", "steps", self.steps, 1, 1_000_000)


@CLUSTERERS.register("scan", ScanConfig, paper="Van Gansbeke et al. 2020, eq. 2 and section 2.3")
@several_spaces
@on_sample(100_000)
def scan(z: Rows, n_clusters: int, cfg: ScanConfig, seed: int) -> Clustering:
    """z (n, d), or a list of them -> probabilities (n, k) of the head of lowest loss.

    Deviations: only the linear head learns (the paper's ImageNet setting); views are the features
    themselves, and where the paper augments images, a tenth of the entries is dropped.
    """
    import torch
    from torch.nn import functional

    from imclust.batched import Schedule, Stack, mean_entropy, on_device, train
    from imclust.neighbors import nearest

    views, apply = prepared_views(z, cfg.prepare)
    rows = beside(views)
    n, d = rows.shape
    generator = torch.Generator().manual_seed(seed)
    x = on_device(rows) * d**0.5
    near = nearest(rows, rows, min(cfg.neighbours, n - 1), same=True)[0]
    partners = torch.from_numpy(near).to(x.device)
    head = Stack(cfg.heads, (d, n_clusters), generator, str(x.device))
    optimiser = torch.optim.Adam(head.parameters, lr=1e-2)

    def step(picked: Tensor, t: int) -> Tensor:
        drawn = torch.randint(partners.shape[1], (len(picked),), generator=generator)
        p = torch.softmax(head(x[picked]), 2)
        q = torch.softmax(head(x[partners[picked, drawn.to(x.device)]]), 2)
        agree = (p * q).sum(2).clamp_min(1e-8)
        return -agree.log().mean(1) - cfg.balance * mean_entropy(p)

    def teach(picked: Tensor, t: int) -> Tensor:
        """Self-labelling: the sure rows' own answers, on rows with a tenth of the entries gone."""
        with torch.no_grad():
            p = torch.softmax(head(x[picked]), 2)
            sure, answer = p.max(2)
            trusted = (sure > cfg.confidence).float()
            size = torch.nn.functional.one_hot(answer, n_clusters).float().mul(trusted[..., None])
            weight = trusted / size.sum(1).clamp_min(1).gather(1, answer)
        kept = torch.rand(len(picked), d, generator=generator).to(x.device) > 0.1
        loss = functional.cross_entropy(
            head(x[picked] * kept).flatten(0, 1), answer.flatten(), reduction="none"
        )
        return (loss.view_as(weight) * weight).sum(1) / n_clusters

    loss, steps = train(n, step, optimiser, Schedule(cfg.steps, 512), generator, "scan")
    best = int(loss.argmin())
    train(n, teach, optimiser, Schedule(max(1, cfg.steps // 4), 1024), generator, "scan, self")
    chosen = [p[best : best + 1].detach() for p in head.parameters]

    place = partial(_placed, apply=apply, head=head, chosen=chosen, scale=d**0.5)
    facts = {"loss": round(float(loss[best]), 4), "steps": steps, "heads": cfg.heads}
    return Clustering(place(z), place, facts)


def _placed(
    new: Rows, apply: Callable[[Any], Any], head: Stack, chosen: list[Tensor], scale: float
) -> np.ndarray:
    from imclust.batched import in_blocks, softmax_of

    return in_blocks(lambda b: softmax_of(b, head, chosen, scale), beside(apply(new)))
