"""SwAV and MSN, which `objectives.py` compares with the project's objectives."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.encoders.simclr import SimCLR
from imclust.training.plan import Objective

PROTOTYPES = 100
TEMPERATURE = 0.1
SHARPNESS = 0.05  # of the codes, before they are balanced
ROUNDS = 3  # of balancing
CROPS = 4  # small ones of every image, of half the side
TARGETS = 0.025  # temperature of what a masked view has to foretell
MOMENTUM = 0.99  # of the network that says it
CELL = 4  # pixels of the squares that are masked, side
MASKED = 0.3  # share of them


def balanced_codes(scores: Tensor) -> Tensor:
    """Scores (b, prototypes) as shares of each image, every prototype used as often (Caron et al.
    2020, eq. 3, by Sinkhorn's rounds).

    Examples
    --------
    >>> balanced_codes(torch.tensor([[1.0, 0.0], [1.0, 0.1]])).argmax(1).tolist()
    [0, 1]
    """
    codes = torch.exp((scores - scores.max()) / SHARPNESS)
    for _ in range(ROUNDS):
        codes = codes / codes.sum(0, keepdim=True)
        codes = codes / codes.sum(1, keepdim=True)
    return codes


class SwavLoss(Objective):
    """Every view of an image foretells the codes of its two whole ones (Caron et al. 2020, eq. 1).

    The small crops are cut from the views that a step has, so that they cover a quarter of them.

    Parameters
    ----------
    crops : int
        Small ones of every image; 0 for none.
    seed : int
        Of their places.
    """

    def __init__(self, crops: int, seed: int) -> None:
        super().__init__()
        self._crops, self._random = crops, np.random.default_rng(seed)

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s), two views of `rows`; the network gives (2b, prototypes) -> scalar."""
        whole = network(x).float().chunk(2)
        codes = [balanced_codes(scores.detach()) for scores in whole]
        losses = [self._loss(whole[1 - i], codes[i]) for i in (0, 1)]
        for crop in range(self._crops):
            scores = network(self._small(x.chunk(2)[crop % 2])).float()
            losses += [self._loss(scores, code) for code in codes]
        return torch.stack(losses).mean()

    @staticmethod
    def _loss(scores: Tensor, codes: Tensor) -> Tensor:
        return -(codes * functional.log_softmax(scores / TEMPERATURE, 1)).sum(1).mean()

    def _small(self, x: Tensor) -> Tensor:
        """A square of half the side, at one place in all images of the step."""
        side = x.shape[2] // 2
        top, left = self._random.integers(0, x.shape[2] - side + 1, 2)
        return x[:, :, top : top + side, left : left + side]


class MsnLoss(Objective):
    """A masked view foretells the prototypes of the other, whole one, by a network that follows the
    first (EMA); all prototypes are to be used (Assran et al. 2022, eq. 1 with weight 1).

    A convolutional network sees masked squares as grey, where the paper's leaves them out.

    Parameters
    ----------
    seed : int
        Of the masks.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = np.random.default_rng(seed)
        self._ema: list[nn.Module] = []  # no part of what is trained

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (2b, 3, s, s), two views of `rows`; the network gives (2b, prototypes) -> scalar."""
        with torch.no_grad():
            whole = self._following(network)(x).float().chunk(2)
        targets = torch.cat([functional.softmax(z / TARGETS, 1) for z in whole[::-1]])
        log_p = functional.log_softmax(network(self._masked(x)).float() / TEMPERATURE, 1)
        mean = log_p.exp().mean(0)
        return -(targets * log_p).sum(1).mean() + (mean * mean.log()).sum()

    def _following(self, network: nn.Module) -> nn.Module:
        if not self._ema:
            self._ema.append(deepcopy(network))
        ema = self._ema[0]
        for mine, its in zip(ema.parameters(), network.parameters(), strict=True):
            mine.lerp_(its, 1 - MOMENTUM)
        return ema

    def _masked(self, x: Tensor) -> Tensor:
        cells = self._random.random((len(x), 1, x.shape[2] // CELL, x.shape[3] // CELL)) >= MASKED
        kept = torch.from_numpy(cells).to(x).repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
        return x * kept


class Prototypes(nn.Module):
    """Cosines of projections (b, d) to prototypes that are learned, (b, prototypes)."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(PROTOTYPES, dims))

    def forward(self, z: Tensor) -> Tensor:
        """(b, prototypes)."""
        return functional.normalize(z, dim=1) @ functional.normalize(self.directions, dim=1).T


class Swav(SimCLR):
    """SimCLR's network and views under `SwavLoss`."""

    crops = CROPS

    def network(self) -> nn.Module:
        """SimCLR's, its projections compared with prototypes."""
        made = super().network()
        made.projector = nn.Sequential(made.projector, Prototypes(self.projection))
        return made

    def objective(self, n_images: int, seed: int) -> Objective:
        """Swapped prediction."""
        return SwavLoss(self.crops, seed)


class SwavWhole(Swav):
    """Without small crops."""

    crops = 0


class Msn(Swav):
    """SimCLR's network and views under `MsnLoss`."""

    def objective(self, n_images: int, seed: int) -> Objective:
        """Masked views."""
        return MsnLoss(seed)
