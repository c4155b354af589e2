"""Random changes of training images, one draw an image, the same on every device."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Augmentation = Literal["none", "flip", "crop"]
SMALLEST_AREA = 0.4  # of a random crop


def augment(x: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """Change a batch at random.

    Args:
        x: (b, 3, s, s) float32.
        kind: `none`; `flip`: mirrored left to right with probability 1/2; `crop`: besides, a
            square of a random share (0.4 to 1) of the area, anywhere inside, scaled back to s
            (the square variant of Inception's random resized crop, Szegedy et al. 2015).
        generator: of the CPU; decides everything.

    Returns:
        The same shape and layout.
    """
    if kind == "none":
        return x
    draw = torch.rand(4, len(x), generator=generator).to(x.device)
    mirror = torch.where(draw[0] < 0.5, -1.0, 1.0)
    if kind == "flip":
        return torch.where(mirror.view(-1, 1, 1, 1) < 0, x.flip(3), x)
    side = (SMALLEST_AREA + (1 - SMALLEST_AREA) * draw[1]).sqrt()
    zero = torch.zeros_like(side)
    middle_x, middle_y = ((2 * d - 1) * (1 - side) for d in draw[2:])
    moves = torch.stack(
        [
            torch.stack([side * mirror, zero, middle_x], 1),
            torch.stack([zero, side, middle_y], 1),
        ],
        1,
    )
    grid = functional.affine_grid(moves, list(x.shape), align_corners=False)
    cropped = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return cropped.contiguous(memory_format=torch.channels_last)
