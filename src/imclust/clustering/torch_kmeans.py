"""k-means on the device where the vectors are, for training that clusters as it goes."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**24  # distances held at a time, 64 MiB


def kmeans(x: Tensor, k: int, generator: torch.Generator, iterations: int = 10) -> Tensor:
    """Clusters of the rows of x by Lloyd's algorithm from k random rows.

    Random rows, not k-means++: with k around n / 10 the latter's k rounds cost more than all the
    rest, and every region has several starts anyway. A centre that loses all its rows goes to the
    row that lies farthest from its own centre.

    Parameters
    ----------
    x : Tensor
        (n, d) float32 on any device.
    k : int
        Clusters, at most n.
    generator : torch.Generator
        Of the CPU; decides the start.
    iterations : int, optional
        At most.

    Returns
    -------
    Tensor
        (n,) int64 in [0, k). Memory: BLOCK distances; work: iterations * n * k * d.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
    >>> kmeans(x, 2, torch.Generator().manual_seed(0))
    tensor([0, 0, 1, 1])
    """
    centres = x[torch.randperm(len(x), generator=generator)[:k].to(x.device)]
    labels, distance = assign(x, centres)
    for _ in range(iterations):
        centres = _means(x, labels, distance, k)
        before = labels
        labels, distance = assign(x, centres)
        if torch.equal(labels, before):
            break
    return labels


def assign(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre (n,) int64 of every row and its squared distance (n,); ties go low.

    Examples
    --------
    >>> import torch
    >>> assign(torch.tensor([[0.1], [0.9]]), torch.tensor([[0.0], [1.0]]))[0]
    tensor([0, 1])
    """
    square = centres.square().sum(1)
    rows = max(1, BLOCK // len(centres))
    blocks = (x[a : a + rows] for a in range(0, len(x), rows))
    nearest = [(square - 2 * block @ centres.T).min(1) for block in blocks]
    distance = torch.cat([m.values for m in nearest]) + x.square().sum(1)
    return torch.cat([m.indices for m in nearest]), distance.clamp(min=0)


def _means(x: Tensor, labels: Tensor, distance: Tensor, k: int) -> Tensor:
    sizes = torch.bincount(labels, minlength=k)
    sums = torch.zeros(k, x.shape[1], device=x.device).index_add_(0, labels, x)
    empty = (sizes == 0).nonzero()[:, 0]
    sums[empty] = x[distance.topk(len(empty)).indices]
    return sums / sizes.clamp(min=1)[:, None]
