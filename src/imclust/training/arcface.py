"""Sub-centre ArcFace: images of one identity close by angle, those of others further away."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclust.training.plan import Objective

MARGIN, SCALE = 0.2, 16.0
CENTRES = 2


class SubcentreHead(nn.Module):
    """Cosines of codes with the nearest of several centres of every identity.

    Deng et al. 2020, section 3.3. Codes are compared as pairs are scored afterwards: the mean of
    their group is taken away, and each part (of a network, a layer) counts the same. There is no
    projection, so that what is learned is in the codes.

    Parameters
    ----------
    parts : sequence of int
        Widths of the parts that lie side by side in a code; they sum to d.
    n_groups, n_classes : int
        Groups, and identities of all of them.
    centres : int
        Of each identity.
    """

    means: Tensor

    def __init__(
        self, parts: Sequence[int], n_groups: int, n_classes: int, centres: int = CENTRES
    ) -> None:
        super().__init__()
        self._parts = tuple(parts)
        self.register_buffer("means", torch.zeros(n_groups, sum(parts)))
        self.centres = nn.Parameter(torch.randn(n_classes, centres, sum(parts)))

    @torch.no_grad()
    def begin(self, codes: Tensor, groups: Tensor, targets: Tensor) -> None:
        """Take the means of the groups, and start every centre near the mean of its identity.

        Parameters
        ----------
        codes : Tensor
            (n, d) float32.
        groups, targets : Tensor
            (n,) int64, in [0, n_groups) and [0, n_classes).
        """
        for g in range(len(self.means)):
            self.means[g] = codes[groups == g].mean(0)
        rows = self.embed(codes, groups)
        for c in range(len(self.centres)):
            middle = functional.normalize(rows[targets == c].mean(0), dim=0)
            self.centres[c] = middle + 0.1 * functional.normalize(self.centres[c], dim=1)

    def embed(self, codes: Tensor, groups: Tensor, means: Tensor | None = None) -> Tensor:
        """(b, d) codes of groups (b,) int64 -> (b, d) rows of length 1; other means if given."""
        means = self.means if means is None else means
        rows = torch.split(codes.float() - means[groups], list(self._parts), 1)
        return torch.cat([functional.normalize(r, dim=1) for r in rows], 1) / len(rows) ** 0.5

    def forward(self, codes: Tensor, groups: Tensor) -> Tensor:
        """(b, d) codes of groups (b,) int64 -> cosines (b, n_classes)."""
        every = functional.normalize(self.centres, dim=2)
        return torch.einsum("bd,ckd->bck", self.embed(codes, groups), every).amax(2)


def margin_loss(cosines: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy with an additive angular margin on the right class (Deng et al. 2019, eq. 3).

    Parameters
    ----------
    cosines : Tensor
        (b, c) in [-1, 1].
    targets : Tensor
        (b,) int64.
    allowed : Tensor
        (b, c) bool: classes of the same group; others are no question.

    Examples
    --------
    >>> sure, unsure = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.1, 0.0]])
    >>> right, all_of_them = torch.tensor([0]), torch.ones(1, 2, dtype=torch.bool)
    >>> bool(margin_loss(sure, right, all_of_them) < margin_loss(unsure, right, all_of_them))
    True
    """
    rows = torch.arange(len(cosines), device=cosines.device)
    right = cosines[rows, targets].clamp(-1 + 1e-6, 1 - 1e-6)
    # Beyond pi - margin the cosine would rise again: there it falls linearly instead.
    turned = (right.arccos() + MARGIN).cos()
    turned = torch.where(right > math.cos(math.pi - MARGIN), turned, right - MARGIN)
    logits = cosines.clone()
    logits[rows, targets] = turned
    return functional.cross_entropy((SCALE * logits).masked_fill(~allowed, -1e4), targets)


class ArcFaceLoss(Objective):
    """`margin_loss` of a network with a `SubcentreHead`.

    Parameters
    ----------
    targets, groups : np.ndarray
        (n,) int64 of every training row.
    class_groups : np.ndarray
        (c,) int64, the group of every identity.
    codes : Tensor, optional
        (n, d) float32; when given, the network is the head alone and gets them.
    before_epoch : callable, optional
        Called with the network and the epoch's number before its first step.
    """

    targets: Tensor
    groups: Tensor
    allowed: Tensor
    cached: Tensor | None

    def __init__(
        self,
        targets: np.ndarray,
        groups: np.ndarray,
        class_groups: np.ndarray,
        codes: Tensor | None = None,
        before_epoch: Callable[[nn.Module, int], None] | None = None,
    ) -> None:
        super().__init__()
        allowed = torch.from_numpy(groups[:, None] == class_groups[None])
        given = {"targets": torch.from_numpy(targets), "groups": torch.from_numpy(groups)}
        for name, value in (given | {"allowed": allowed, "cached": codes}).items():
            # Known anew in every run, so no part of a resume point.
            self.register_buffer(name, value, persistent=False)
        self._before_epoch = before_epoch

    def begin_epoch(self, network: nn.Module, epoch: int, sweep: Callable[[], Tensor]) -> None:
        """A look at the network before it learns on."""
        if self._before_epoch is not None:
            self._before_epoch(network, epoch)

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (b, 3, s, s) float32, rows (b,) int64 -> scalar."""
        net: Any = network
        if self.cached is not None:
            cosines = net(self.cached[rows], self.groups[rows])
        else:
            cosines = net.head(net.codes(x), self.groups[rows])
        return margin_loss(cosines.float(), self.targets[rows], self.allowed[rows])


def retrieval(
    rows: np.ndarray, identities: np.ndarray, groups: np.ndarray, asked: np.ndarray
) -> float:
    """Mean average precision: of all others in an image's group, how early its identity's come.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float of length 1.
    identities, groups : np.ndarray
        (n,) each.
    asked : np.ndarray
        (n,) bool: images that it is the mean over, first in each group, then of the groups; those
        without another of their identity do not count. NaN if none does.

    Examples
    --------
    >>> retrieval(np.eye(3)[[0, 0, 1]], np.array([*"aab"]), np.zeros(3), np.ones(3, bool))
    1.0
    """
    means = []
    for g in np.unique(groups):
        mine = np.flatnonzero(groups == g)
        likeness = rows[mine] @ rows[mine].T
        np.fill_diagonal(likeness, -np.inf)
        order = np.argsort(-likeness, 1, kind="stable")[:, :-1]
        hits = identities[mine][order] == identities[mine][:, None]
        hits = hits[hits.any(1) & asked[mine]]
        if len(hits):
            precision = np.cumsum(hits, 1) / np.arange(1, hits.shape[1] + 1)
            means.append(float(((precision * hits).sum(1) / hits.sum(1)).mean()))
    return float(np.mean(means)) if means else float("nan")
