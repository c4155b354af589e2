"""Objectives that remember a vector of every training image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.clustering.torch_kmeans import kmeans
from imclust.core.errors import input_error
from imclust.core.reproducibility import step_generator
from imclust.training.plan import Objective

LEAST_SPREAD = 1e-5  # one minus the squared length of the bank's mean


def local_aggregation(
    v: Tensor, bank: Tensor, labels: Tensor, rows: Tensor, neighbours: int, temperature: float
) -> Tensor:
    """The loss of Zhuang, Zhai and Yamins 2019, eq. 4 without weight decay; a scalar.

    With B_i the `neighbours` images nearest to v_i in the bank and C_i those that share a cluster
    with image i in any run: -log of the share of B_i's density at v_i, sum of exp(v_j . v_i / t),
    that C_i and B_i have together. The sum over all images, by which both densities are divided
    in the paper, cancels. An image always counts to its own B_i (deviation: in the paper a code
    far from its own memory could leave C_i and B_i nothing in common, and the loss infinite).

    Parameters
    ----------
    v : Tensor
        (b, d) float32 unit vectors, the codes of images `rows` (b,) int64.
    bank : Tensor
        (n, d) float32 unit vectors, no gradient.
    labels : Tensor
        (runs, n) integer.
    neighbours : int
        At least 1; B_i is the whole set when there are no more images than that.
    temperature : float
        Above 0.

    Notes
    -----
    Memory: b x n similarities and runs x b x min(neighbours, n) comparisons.

    Examples
    --------
    >>> import torch
    >>> v = torch.eye(4)
    >>> rows, labels = torch.arange(4), torch.tensor([[0, 0, 1, 1]])
    >>> float(local_aggregation(v, v, labels, rows, 2, 0.1)) > 0
    True
    """
    scores = v @ bank.T / temperature
    cluster = labels[:, None]
    if neighbours < len(bank):
        nearness = scores.detach().clone()
        nearness[torch.arange(len(v), device=v.device), rows] = torch.inf
        near = nearness.topk(neighbours, sorted=False).indices
        scores, cluster = scores.gather(1, near), labels[:, near]
    close = (cluster == labels[:, rows, None]).any(0)
    return (scores.logsumexp(1) - scores.masked_fill(~close, -torch.inf).logsumexp(1)).mean()


class LocalAggregationLoss(Objective):
    """Local Aggregation with its memory bank and clusters, refreshed at the start of epochs.

    Before the first refresh every image is a cluster of its own, which makes the loss that of
    instance discrimination (Wu et al. 2018): the paper's warm-up.

    Codes are made in evaluation mode, gradient included, so batch normalisation uses the statistics
    that its base learned: the bank compares codes across batches and the clusters are made of
    evaluation codes, so a code must not depend on which images share its batch.

    Parameters
    ----------
    encode : Callable[[nn.Module, Tensor], Tensor]
        (network, x) -> (b, dims) float32 unit vectors.
    n_images, dims : int
        Of the bank.
    start : Literal['codes', 'sphere']
        Of the bank: `codes` of the images, or random points on the `sphere`.
    centroids : int
        Of each k-means.
    runs : int
        How many k-means are united.
    refresh : int
        Epochs between clusterings, the first after `warmup` epochs.
    neighbours, temperature : int
        See `local_aggregation`.
    mixing : float
        Share of the old vector when the memory of an image is renewed.
    seed : int
        Decides the sphere and every k-means.

    Notes
    -----
    Buffers: bank (n, d) float32, labels (runs, n) int32.
    """

    bank: Tensor
    labels: Tensor

    def __init__(
        self,
        encode: Callable[[nn.Module, Tensor], Tensor],
        n_images: int,
        dims: int,
        *,
        start: Literal["codes", "sphere"],
        centroids: int,
        runs: int,
        refresh: int,
        warmup: int,
        neighbours: int,
        temperature: float,
        mixing: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.start, self.centroids, self.seed = start, centroids, seed
        self.encode = encode
        self.refresh, self.warmup, self.mixing = refresh, warmup, mixing
        self.neighbours, self.temperature = neighbours, temperature
        points = torch.randn(n_images, dims, generator=step_generator(seed, 2))
        self.register_buffer("bank", functional.normalize(points, dim=1))
        alone = torch.arange(n_images, dtype=torch.int32)
        self.register_buffer("labels", alone.repeat(runs, 1))

    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """Fill the bank before the first epoch; cluster it anew whenever that is due.

        Raises
        ------
        InputError
            All codes have become one.
        """
        if epoch == 0 and self.start == "codes":
            self.bank.copy_(sweep())
        self._check_spread()
        late = epoch - self.warmup
        if late >= 0 and late % self.refresh == 0:
            for run, labels in enumerate(self.labels):
                generator = step_generator(self.seed, 3, epoch, run)
                labels.copy_(kmeans(self.bank, self.centroids, generator))

    def _check_spread(self) -> None:
        spread = 1 - float(self.bank.mean(0).square().sum())
        if not spread > LEAST_SPREAD:
            raise input_error(
                "the codes of the images",
                "different from each other",
                f"one code for all (spread {spread:.1g})",
                "lower the learning rate (--lr) or start from another encoder",
            )

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (b, 3, s, s) float32 -> scalar; in training mode the bank then learns the codes."""
        was = network.training
        network.eval()
        v = self.encode(network, x)
        network.train(was)
        with torch.autocast(x.device.type, enabled=False):  # 8 bits are too few at t = 0.07
            # A copy, since the bank changes before the backward pass reads it.
            bank = self.bank.clone()
            loss = local_aggregation(v, bank, self.labels, rows, self.neighbours, self.temperature)
        if self.training:
            mixed = self.mixing * bank[rows] + (1 - self.mixing) * v.detach()
            self.bank[rows] = functional.normalize(mixed, dim=1)
        return loss
