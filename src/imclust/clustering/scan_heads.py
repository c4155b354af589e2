"""SCAN's heads on fixed rows: a row and its neighbours get one answer, and all answers are used.

Van Gansbeke et al. 2020, eq. 2 (agreement with neighbours, entropy of the sizes) and section 2.3
(self-labelling). Deviations: only the linear head learns (the paper's ImageNet setting), and where
the paper augments images, a tenth of the entries is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imclust.core.checks import in_range

if TYPE_CHECKING:
    from torch import Tensor

    from imclust.clustering.mlp_ensemble import MLPEnsemble

RATE = 1e-2
DROPPED = 0.1  # share of entries, when a row's own answer is learned
BATCHES = (512, 1024)  # of the two phases


@dataclass(frozen=True)
class ScanPlan:
    """How the heads learn."""

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


@dataclass(frozen=True)
class Scanned:
    """The head of lowest loss. Can be pickled.

    Parameters
    ----------
    head : MLPEnsemble
        All of them.
    chosen : list[Tensor]
        The parameters of the best.
    scale : float
        Of the rows it takes.
    loss : float
        Its loss.
    steps : int
        That were taken.
    """

    head: MLPEnsemble
    chosen: list[Tensor]
    scale: float
    loss: float
    steps: int

    def posteriors(self, rows: np.ndarray) -> np.ndarray:
        """(m, d) -> (m, k) float32."""
        from imclust.clustering.mlp_ensemble import in_blocks, softmax_of

        return in_blocks(lambda b: softmax_of(b, self.head, self.chosen, self.scale), rows)


def scan_heads(rows: np.ndarray, n_clusters: int, plan: ScanPlan, seed: int) -> Scanned:
    """Train heads side by side, then let the best one's sure rows teach it.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float32, about of length one.
    n_clusters : int
        K.
    plan : ScanPlan
        How.
    seed : int
        Of weights, batches and partners.

    Examples
    --------
    >>> rows = np.repeat(np.eye(2, 4, dtype=np.float32), 20, axis=0)
    >>> found = scan_heads(rows, 2, ScanPlan(heads=2, neighbours=5, steps=20), seed=0)
    >>> found.posteriors(rows).argmax(1)[[0, 1, 20, 21]].tolist()
    [0, 0, 1, 1]
    """
    import torch
    from torch.nn import functional

    from imclust.clustering.mlp_ensemble import (
        MLPEnsemble,
        Schedule,
        mean_entropy,
        on_device,
        train,
    )
    from imclust.clustering.neighbors import nearest_neighbors

    n, d = rows.shape
    generator = torch.Generator().manual_seed(seed)
    x = on_device(rows) * d**0.5
    near = nearest_neighbors(rows, rows, min(plan.neighbours, n - 1), same=True)[0]
    partners = torch.from_numpy(near).to(x.device)
    head = MLPEnsemble(plan.heads, (d, n_clusters), generator, str(x.device))
    optimiser = torch.optim.Adam(head.parameters, lr=RATE)

    def step(picked: Tensor, t: int) -> Tensor:
        drawn = torch.randint(partners.shape[1], (len(picked),), generator=generator)
        p = torch.softmax(head(x[picked]), 2)
        q = torch.softmax(head(x[partners[picked, drawn.to(x.device)]]), 2)
        agree = (p * q).sum(2).clamp_min(1e-8)
        return -agree.log().mean(1) - plan.balance * mean_entropy(p)

    def teach(picked: Tensor, t: int) -> Tensor:
        """Self-labelling: the sure rows' own answers, on rows with a tenth of the entries gone."""
        with torch.no_grad():
            p = torch.softmax(head(x[picked]), 2)
            sure, answer = p.max(2)
            trusted = (sure > plan.confidence).float()
            size = functional.one_hot(answer, n_clusters).float().mul(trusted[..., None])
            weight = trusted / size.sum(1).clamp_min(1).gather(1, answer)
        kept = torch.rand(len(picked), d, generator=generator).to(x.device) > DROPPED
        loss = functional.cross_entropy(
            head(x[picked] * kept).flatten(0, 1), answer.flatten(), reduction="none"
        )
        return (loss.view_as(weight) * weight).sum(1) / n_clusters

    first, second = BATCHES
    loss, steps = train(n, step, optimiser, Schedule(plan.steps, first), generator, "scan")
    best = int(loss.argmin())
    again = Schedule(max(1, plan.steps // 4), second)
    train(n, teach, optimiser, again, generator, "scan, self")
    chosen = [p[best : best + 1].detach() for p in head.parameters]
    return Scanned(head, chosen, d**0.5, float(loss[best]), steps)
