"""Training losses: pure functions of tensors, and the objective that most encoders share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.core.errors import input_error
from imclust.core.reproducibility import step_generator
from imclust.training.plan import Objective

COLLAPSED = 0.01  # mean standard deviation of unit projections, times the root of their length
PATCHES = 8  # a side, of which some are hidden
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


class MaskedReconstruction(Objective):
    """Mean squared error of the whole image, from one with patches taken out and noise added.

    Parameters
    ----------
    hidden : float
        Share of the patches of 4 x 4 pixels at a side of 32 (8 x 8 patches at any side) that become
        zero.
    noise : float
        Standard deviation.
    seed : int
        Of both.

    Notes
    -----
    Buffer: steps () int64, so that a resumed training draws what an unbroken one draws.
    """

    steps: Tensor

    def __init__(self, hidden: float, noise: float, seed: int) -> None:
        super().__init__()
        self._hidden, self._noise, self._seed = hidden, noise, seed
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (b, 3, s, s) float32 -> scalar."""
        generator = step_generator(self._seed, 5, int(self.steps))
        drawn = torch.rand(len(x), 1, PATCHES, PATCHES, generator=generator)
        kept = functional.interpolate((drawn >= self._hidden).float(), x.shape[2:]).to(x.device)
        noise = torch.randn(x.shape, generator=generator).to(x.device)
        return mean_squared_error(network(x * kept + self._noise * noise)[1], x)

    def after_step(self, network: nn.Module, done: float) -> None:
        """Count the steps; each draws its own patches and noise."""
        self.steps += 1


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


class CollapseGuard(Objective):
    """An objective upon projections, which notices when all become one."""

    def __init__(self) -> None:
        super().__init__()
        self._looked = 0

    def project(self, network: nn.Module, x: Tensor) -> Tensor:
        """What the network makes of x (b, 3, s, s): (b, p); looked at every CHECK_EVERY steps.

        Raises
        ------
        InputError
            The projections have collapsed.
        """
        z: Tensor = network(x)
        if self.training and self._looked % CHECK_EVERY == CHECK_EVERY - 1:
            refuse_collapse(z)
        self._looked += 1
        return z


class TwoViews(CollapseGuard):
    """An objective that compares the projections of two views."""

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s): first views, then second ones -> scalar.

        Raises
        ------
        InputError
            The projections have collapsed.
        """
        z = self.project(network, x)
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


class BYOLLoss(CollapseGuard):
    """BYOL: predict what a slow copy of the network says of the other view.

    Parameters
    ----------
    teacher : nn.Module
        A network like the student's without its predictor; takes its weights from it before the
        first epoch.
    momentum : float
        At the start; rises to 1 by half a cosine (Grill et al. 2020, section 3.3).
    """

    def __init__(self, teacher: nn.Module, momentum: float) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(requires_grad=False)
        self._momentum = momentum

    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """The slow copy starts where the network does."""
        if epoch == 0:
            mine = self.teacher.state_dict()
            self.teacher.load_state_dict({k: network.state_dict()[k] for k in mine})

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s): first views, then second ones -> scalar, Grill et al. 2020, eq. 2.

        Raises
        ------
        InputError
            The predictions have collapsed.
        """
        told = self.project(network, x)
        with torch.no_grad():
            first, second = self.teacher(x).chunk(2)
        other = torch.cat([second, first]).float()
        return 2 - 2 * functional.cosine_similarity(told.float(), other).mean()

    @torch.no_grad()
    def after_step(self, network: nn.Module, done: float) -> None:
        """Move the slow copy a little."""
        keep = 1 - (1 - self._momentum) * (math.cos(math.pi * done) + 1) / 2
        theirs = dict(network.named_parameters())
        for name, mine in self.teacher.named_parameters():
            mine.lerp_(theirs[name].to(mine), 1 - keep)
