"""What every encoder offers the stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.fit import Plan
    from imclust.images import Preprocessing


class Encoder(Protocol):
    """Built from its config: `Encoder(config)`."""

    track: str
    """`scratch`, or `open` when its weights were trained on other data."""
    preprocessing: Preprocessing
    """Pixels to input; written into the weights file and read back from there."""

    def network(self) -> nn.Module:
        """A freshly initialised network (torch's generator decides its weights)."""
        ...

    def plan(self, n_images: int) -> Plan | None:
        """How to train it on so many images; None when there is nothing to train."""
        ...

    def loss(self, network: nn.Module, x: Tensor) -> Tensor:
        """Scalar training loss of a batch (b, 3, s, s) float32."""
        ...

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, s, s) float32 -> latents (b, d) float32."""
        ...

    def reconstruct(self, network: nn.Module, x: Tensor) -> Tensor | None:
        """(b, 3, s, s) -> the same shape, or None for an encoder without a decoder."""
        ...


EncoderType: TypeAlias = Callable[[Any], Encoder]
