"""Training losses as pure functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mean_squared_error(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean over all values of (b, c, h, w) float pairs, computed in float32; a scalar."""
    return (reconstruction.float() - image.float()).square().mean()
