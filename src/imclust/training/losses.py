"""Training losses: pure functions of tensors, and the objective that most encoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.core.errors import input_error
from imclust.training.plan import Objective

COLLAPSED = 0.01  # mean standard deviation of unit projections, times the root of their length
CHECK_EVERY = 50  # steps between looks for a collapse


def mean_squared_error(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean over all values of (b, c, h, w) float pairs, computed in float32; a scalar.

    Examples
    --------
    >>> import torch
    >>> float(mean_squared_error(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)))
    1.0
    """
    return (reconstruction.float() - image.float()).square().mean()


class Reconstruction(Objective):
    """Mean squared error of an autoencoder, whose forward gives (code, reconstruction)."""

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (b, 3, s, s) float32 -> scalar."""
        return mean_squared_error(network(x)[1], x)


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy, Chen et al. 2020, eq. 1; a scalar.

    Every view's partner among all other views of the batch, by cosine similarity.

    Parameters
    ----------
    a, b : Tensor
        (n, d), row i of both is the same image; n at least 2.
    temperature : float
        Above 0.

    Examples
    --------
    >>> import torch
    >>> same = torch.eye(4)
    >>> bool(nt_xent(same, same, 0.5) < nt_xent(same, same.roll(1, 0), 0.5))
    True
    """
    z = functional.normalize(torch.cat([a, b]).float(), dim=1)
    scores = z @ z.T / temperature
    scores.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(a))
    return functional.cross_entropy(scores, partner)


def vicreg(a: Tensor, b: Tensor, invariance: float, variance: float, covariance: float) -> Tensor:
    """Variance, invariance, covariance, Bardes et al. 2022, eq. 6 with eq. 1 to 5; a scalar.

    Parameters
    ----------
    a, b : Tensor
        (n, d), row i of both is the same image; n at least 2.
    invariance, variance, covariance : float
        Weights, the paper's lambda, mu and nu.

    Examples
    --------
    >>> import torch
    >>> same = torch.eye(4)
    >>> bool(vicreg(same, same, 25, 25, 1) < vicreg(same, same.roll(1, 0), 25, 25, 1))
    True
    """
    a, b = a.float(), b.float()
    total = invariance * (a - b).square().mean()
    for z in (a, b):
        centred = z - z.mean(0)
        hinge = functional.relu(1 - (centred.var(0) + 1e-4).sqrt()).mean()
        cross = centred.T @ centred / (len(z) - 1)
        off = cross.square().sum() - cross.diagonal().square().sum()
        total = total + variance * hinge + covariance * off / z.shape[1]
    return total


def spread(z: Tensor) -> Tensor:
    """How different projections (n, d) are: 1 for random directions, 0 when all are one.

    The mean over dimensions of the standard deviation of unit rows, times the root of d (Chen and
    He 2021, section 4.1).

    Examples
    --------
    >>> import torch
    >>> float(spread(torch.ones(4, 3)))
    0.0
    """
    unit = functional.normalize(z.detach().float(), dim=1)
    return unit.std(0, unbiased=False).mean() * z.shape[1] ** 0.5


class TwoViews(Objective):
    """An objective that compares the projections of two views, and notices when all become one."""

    def __init__(self) -> None:
        super().__init__()
        self._looked = 0

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s): first views, then second ones -> scalar.

        Raises
        ------
        InputError
            The projections have collapsed, as a look every CHECK_EVERY steps shows.
        """
        z: Tensor = network(x)
        if self.training and self._looked % CHECK_EVERY == CHECK_EVERY - 1:
            refuse_collapse(z)
        self._looked += 1
        with torch.autocast(x.device.type, enabled=False):  # similarities need more than 8 bits
            return self.loss(*z.float().chunk(2))

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        """Projections (b, p) of both views -> scalar."""
        raise NotImplementedError


def refuse_collapse(z: Tensor) -> None:
    """A refusal when all projections (n, d) have become one.

    Examples
    --------
    >>> import torch
    >>> refuse_collapse(torch.eye(4))
    """
    left = float(spread(z))
    if not left > COLLAPSED:
        raise input_error(
            "the projections of the images",
            "different from each other",
            f"one for all (spread {left:.2g} of 1): the training collapsed",
            "lower the learning rate (--lr) or raise --batch",
        )


class NTXentLoss(TwoViews):
    """NT-Xent."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        """See `nt_xent`."""
        return nt_xent(a, b, self.temperature)


class VICRegLoss(TwoViews):
    """VICReg's loss with its three weights."""

    def __init__(self, invariance: float, variance: float, covariance: float) -> None:
        super().__init__()
        self.weights = invariance, variance, covariance

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        """See `vicreg`."""
        return vicreg(a, b, *self.weights)
