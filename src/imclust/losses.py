"""Training losses: pure functions of tensors, and the objective that most encoders share."""

from __future__ import annotations

from torch import Tensor, nn

from imclust.fit import Objective


def mean_squared_error(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean over all values of (b, c, h, w) float pairs, computed in float32; a scalar."""
    return (reconstruction.float() - image.float()).square().mean()


class Reconstruction(Objective):
    """Mean squared error of an autoencoder, whose forward gives (code, reconstruction)."""

    def forward(self, network: nn.Module, x: Tensor, rows: Tensor) -> Tensor:
        """x (b, 3, s, s) float32 -> scalar."""
        return mean_squared_error(network(x)[1], x)
