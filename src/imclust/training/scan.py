"""SCAN with the whole network: neighbours get one answer, then sure answers teach the unsure.

Van Gansbeke et al. 2020, eq. 2 and section 2.3. Deviations: an image's neighbours answer from a
memory that is renewed every epoch, all of them at once instead of one drawn at random, so a step
needs no images beside its own; the heads start from linear ones on the codes of the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.clustering.metrics import effective_clusters
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.preprocessing import unit_rows
from imclust.clustering.scan_heads import ScanPlan, scan_heads
from imclust.core.errors import input_error
from imclust.training.plan import Objective

FLOOR = 0.3  # of K: fewer effective clusters are a collapse


@dataclass(frozen=True)
class ScanSettings:
    """How the network learns.

    Parameters
    ----------
    n_clusters : int
        K.
    neighbours : int
        Of an image.
    balance : float
        Weight of the entropy of the sizes.
    confidence : float
        Above which an answer teaches.
    taught : float
        Share of the training, at its end, in which answers teach instead of neighbours.
    """

    n_clusters: int
    neighbours: int
    balance: float
    confidence: float
    taught: float


class Clustered(nn.Module):
    """A backbone and a linear head over its standardised codes.

    Parameters
    ----------
    backbone : nn.Module
        (b, 3, s, s) -> (b, d).
    dims : int
        d.
    k : int
        clusters.
    """

    def __init__(self, backbone: nn.Module, dims: int, k: int) -> None:
        super().__init__()
        self.backbone = backbone
        # Its averages are those of all codes in evaluation mode, set at the start of each epoch:
        # averages of a few training batches do not fit a backbone that just began to change.
        self.norm = nn.BatchNorm1d(dims, affine=False, momentum=0.0)
        self.head = nn.Linear(dims, k)

    def forward(self, image: Tensor) -> Tensor:
        """(b, 3, s, s) -> logits (b, k)."""
        return self.head(self.norm(self.backbone(image)))


class ScanTraining(Objective):
    """SCAN's two steps in one training of a `Clustered` network.

    Parameters
    ----------
    settings : ScanSettings
        how.
    n_images : int
        Of the training set.
    seed : int
        Of the first heads.

    Notes
    -----
    Buffers: near (n, neighbours) int64; memory (n, k) float32, the answers at the start of the
    epoch; done: share of the training.
    """

    near: Tensor
    memory: Tensor
    done: Tensor

    def __init__(self, settings: ScanSettings, n_images: int, seed: int) -> None:
        super().__init__()
        self._settings, self._seed = settings, seed
        few = min(settings.neighbours, n_images - 1)
        self.register_buffer("near", torch.zeros(n_images, few, dtype=torch.int64))
        self.register_buffer("memory", torch.zeros(n_images, settings.n_clusters))
        self.register_buffer("done", torch.zeros(()))

    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """Neighbours and first heads before the first epoch; answers of all images before each.

        Raises
        ------
        InputError
            All images have gone to few clusters.
        """
        codes = sweep()[:, : network.norm.num_features]  # type: ignore[union-attr]
        network.norm.running_mean.copy_(codes.mean(0))  # type: ignore[union-attr,operator]
        network.norm.running_var.copy_(codes.var(0, unbiased=False))  # type: ignore[union-attr,operator]
        if epoch == 0:
            self._start(network, codes.cpu().numpy())
        was = network.training
        network.eval()
        with torch.no_grad():
            answers = network.head(network.norm(codes)).softmax(1)  # type: ignore[operator]
        network.train(was)
        self.memory.copy_(answers)
        k = self._settings.n_clusters
        used = effective_clusters(answers.argmax(1).cpu().numpy(), k)
        if used < max(FLOOR * k, 1.05):
            raise input_error(
                "the clusters in training",
                f"at least {max(FLOOR * k, 1.05):.1f} effective ones",
                f"{used:.1f}: the training collapsed",
                "raise --balance or lower the learning rate (--lr)",
            )

    @torch.no_grad()
    def _start(self, network: nn.Module, codes: np.ndarray) -> None:
        """Neighbours of the codes (n, d), and the best of several linear heads upon them."""
        mean, std = codes.mean(0), np.sqrt(codes.var(0) + network.norm.eps)  # type: ignore[union-attr]
        rows = unit_rows((codes - mean) / std)
        near = nearest_neighbors(rows, rows, self.near.shape[1], same=True)[0]
        self.near.copy_(torch.from_numpy(near))
        with torch.enable_grad():
            found = scan_heads(rows, self._settings.n_clusters, ScanPlan(), self._seed)
        weight, bias = found.chosen
        network.head.weight.copy_(weight[0].T)  # type: ignore[union-attr,operator]
        network.head.bias.copy_(bias[0, 0])  # type: ignore[union-attr,operator]

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s), two views of `rows` -> scalar."""
        p = network(x).float().log_softmax(1)
        rows = rows.repeat(2)
        if float(self.done) < 1 - self._settings.taught:
            with torch.autocast(x.device.type, enabled=False):
                return neighbour_loss(p, self.memory[self.near[rows]], self._settings.balance)
        return taught_loss(p, self.memory[rows], self._settings.confidence)

    def after_step(self, network: nn.Module, done: float) -> None:
        """Keep the share that is done, which tells the two steps apart."""
        self.done.fill_(done)


def neighbour_loss(log_p: Tensor, q: Tensor, balance: float) -> Tensor:
    """SCAN's eq. 2 with every neighbour's answer; a scalar.

    Parameters
    ----------
    log_p : Tensor
        (b, k) log answers.
    q : Tensor
        (b, m, k) answers of each row's neighbours, no gradient.
    balance : float
        Weight of the entropy of the mean answer.

    Examples
    --------
    >>> import torch
    >>> p = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> same, other = p[:, None], p.flip(0)[:, None]
    >>> bool(neighbour_loss(p.log(), same, 5) < neighbour_loss(p.log(), other, 5))
    True
    """
    p = log_p.exp()
    agree = torch.einsum("bk,bmk->bm", p, q).clamp_min(1e-8).log().mean()
    mean = p.mean(0)
    entropy = -(mean * mean.clamp_min(1e-8).log()).sum()
    return -agree - balance * entropy


def taught_loss(log_p: Tensor, answers: Tensor, confidence: float) -> Tensor:
    """Cross entropy to the sure answers, every cluster of the batch counting the same; a scalar.

    Parameters
    ----------
    log_p : Tensor
        (b, k) log answers to changed images.
    answers : Tensor
        (b, k) to the images as they are.
    confidence : float
        Rows whose largest answer is below it teach nothing.

    Examples
    --------
    >>> import torch
    >>> p = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    >>> round(float(taught_loss(p.log(), p, 0.8)), 3)
    0.105
    """
    sure, answer = answers.max(1)
    trusted = (sure >= confidence).float()
    each = functional.nll_loss(log_p, answer, reduction="none") * trusted
    size = torch.zeros(log_p.shape[1], device=log_p.device).index_add_(0, answer, trusted)
    used = (size > 0).sum().clamp_min(1)
    return (each / size.clamp_min(1)[answer]).sum() / used
