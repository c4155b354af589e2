"""Random changes of a batch of images, on its device: one draw an image, no loop over images.

Every number is drawn on the CPU, so that a seed means the same on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from imclust.core.checks import in_range

AugmentationName = Literal["none", "flip", "crop"]
JITTERED = 0.8  # share of images whose colours change (Chen et al. 2020, appendix A)
BLURRED = 0.5  # share of images that are blurred, where blur is on (the same)
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))  # luma first
KERNEL = (1, 4, 6, 4, 1)  # binomial, standard deviation one pixel
PLAIN = 12  # of 255: what counts as the same colour
BORDER = 0.8  # share of the border's pixels that make it plain


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image. The default is nothing.

    Parameters
    ----------
    flip : bool
        Mirrored left to right with probability 1/2.
    area : float
        Least share of the area that a crop keeps, in (0, 1]; the crop lies anywhere inside and is
        scaled back (Inception's random resized crop, Szegedy et al. 2015).
    aspect : float
        Most stretch of a crop, width over height or the reverse, at least 1.
    turn : float
        Most degrees of a rotation, to either side.
    jitter : float
        Most relative change of brightness, contrast and saturation, each, in [0, 1).
    hue : float
        Most turn of the hue, in rounds, in [0, 0.5].
    grey : float
        Share of images that lose their colour.
    blur : float
        Most weight, in [0, 1], of an image blurred by one pixel a 32 of its side; half of the
        images are blurred.
    """

    flip: bool = False
    area: float = 1.0
    aspect: float = 1.0
    turn: float = 0.0
    jitter: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"area": (0.01, 1), "aspect": (1, 10), "turn": (0, 180), "jitter": (0, 0.99)}
        bounds |= {"hue": (0, 0.5), "grey": (0, 1), "blur": (0, 1)}
        for name, (low, high) in bounds.items():
            in_range("augmentation", name, getattr(self, name), low, high)

    @property
    def moves(self) -> bool:
        """Whether pixels come from other places than their own or their mirror image's."""
        return self.area < 1 or self.aspect > 1 or self.turn > 0

    @property
    def colours(self) -> bool:
        """Whether it changes colours."""
        return self.jitter > 0 or self.hue > 0 or self.grey > 0


NOTHING = Augmentation()
PRESETS: dict[AugmentationName, Augmentation] = {
    "none": NOTHING,
    "flip": Augmentation(flip=True),
    "crop": Augmentation(flip=True, area=0.4),
}
# What self-supervised encoders of photographs are taught to overlook (Chen et al. 2020, for small
# images: no blur).
PHOTOGRAPHS = Augmentation(flip=True, area=0.2, aspect=4 / 3, jitter=0.8, hue=0.2, grey=0.2)
# Of figures upon a plain ground, as digits and clothes: the whole outline counts, and which way it
# points.
FIGURES = Augmentation(area=0.5, aspect=4 / 3, turn=10, jitter=0.4)


def suited(images: Tensor) -> Augmentation:
    """FIGURES where most images have no colour, or a border of one colour; else PHOTOGRAPHS.

    Parameters
    ----------
    images : Tensor
        (n, s, s, 3) uint8.

    Examples
    --------
    >>> suited(torch.zeros(4, 8, 8, 3, dtype=torch.uint8)) == FIGURES
    True
    """
    edge = torch.cat([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], 1).float()
    usual = edge.median(1, keepdim=True).values
    plain = ((edge - usual).abs().amax(2) <= PLAIN).float().mean(1) >= BORDER
    colourless = (images.amax(3) - images.amin(3)).flatten(1).amax(1) <= PLAIN
    return FIGURES if float((plain | colourless).float().mean()) > 0.5 else PHOTOGRAPHS


def augment(x: Tensor, what: Augmentation, generator: torch.Generator) -> Tensor:
    """Change a batch at random.

    Parameters
    ----------
    x : Tensor
        (b, 3, s, s) float32 RGB in [0, 1].
    what : Augmentation
        May happen.
    generator : torch.Generator
        Of the CPU; decides everything.

    Returns
    -------
    Tensor
        The same shape, range and device.

    Examples
    --------
    >>> x = torch.arange(48.0).view(4, 3, 2, 2) / 48
    >>> y = augment(x, Augmentation(flip=True), torch.Generator().manual_seed(0))
    >>> (y == x.flip(3)).flatten(1).all(1)  # the images that were mirrored
    tensor([ True, False,  True,  True])
    """
    if what == NOTHING:
        return x
    draws = Draws(len(x), generator, x.device)
    mirror = draws.chance(0.5) if what.flip else draws.zeros()
    if what.moves:
        x = functional.grid_sample(
            x, _grid(x, what, mirror, draws), padding_mode="reflection", align_corners=False
        )
    elif what.flip:
        x = torch.where(mirror.view(-1, 1, 1, 1) > 0, x.flip(3), x)
    if what.colours:
        x = _recoloured(x, what, draws)
    if what.blur:
        x = _blurred(x, draws.chance(BLURRED) * draws.between(0, what.blur))
    return x.contiguous(memory_format=torch.channels_last)


class Draws:
    """Random numbers, one an image: made on the CPU, given on the images' device.

    Parameters
    ----------
    n : int
        images.
    generator : torch.Generator
        Of the CPU.
    device : torch.device
        Of the numbers.
    """

    def __init__(self, n: int, generator: torch.Generator, device: torch.device) -> None:
        self._n, self._generator, self._device = n, generator, device

    def between(self, low: float, high: float) -> Tensor:
        """(n,) float32, uniform."""
        drawn = torch.rand(self._n, generator=self._generator)
        return (low + (high - low) * drawn).to(self._device)

    def chance(self, share: float) -> Tensor:
        """(n,) float32: one with probability `share`, else zero."""
        return (self.between(0, 1) < share).float()

    def zeros(self) -> Tensor:
        """(n,) float32."""
        return torch.zeros(self._n, device=self._device)


def _grid(x: Tensor, what: Augmentation, mirror: Tensor, draws: Draws) -> Tensor:
    """Where every pixel comes from: crop, mirror and rotation in one affine map."""
    area = draws.between(what.area, 1)
    stretch = draws.between(-math.log(what.aspect), math.log(what.aspect)).exp()
    width, height = (area * stretch).sqrt().clamp_max(1), (area / stretch).sqrt().clamp_max(1)
    middle_x = draws.between(-1, 1) * (1 - width)
    middle_y = draws.between(-1, 1) * (1 - height)
    angle = draws.between(-math.radians(what.turn), math.radians(what.turn))
    cos, sin, side = angle.cos(), angle.sin(), width * (1 - 2 * mirror)
    rows = [[side * cos, -height * sin, middle_x], [side * sin, height * cos, middle_y]]
    maps = torch.stack([torch.stack(row, 1) for row in rows], 1)
    return functional.affine_grid(maps, list(x.shape), align_corners=False)


def _recoloured(x: Tensor, what: Augmentation, draws: Draws) -> Tensor:
    """Brightness, contrast, saturation and hue as one 3 x 3 matrix and one offset an image.

    Hue turns, and saturation scales, the two colour axes of YIQ; contrast scales towards the
    image's mean luma.
    """
    on, j = draws.chance(JITTERED), what.jitter
    bright, contrast, vivid = (1 + on * draws.between(-j, j) for _ in range(3))
    angle = on * draws.between(-what.hue, what.hue) * (2 * math.pi)
    vivid = vivid * (1 - draws.chance(what.grey))
    to_yiq = torch.tensor(YIQ, device=x.device)
    one, zero = torch.ones_like(on), torch.zeros_like(on)
    cos, sin = vivid * angle.cos(), vivid * angle.sin()
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    matrix = torch.linalg.inv(to_yiq) @ turn @ to_yiq * (bright * contrast).view(-1, 1, 1)
    luma = (x.mean((2, 3)) @ to_yiq[0]) * bright
    mixed = torch.einsum("bij,bjhw->bihw", matrix, x)
    return (mixed + ((1 - contrast) * luma).view(-1, 1, 1, 1)).clamp_(0, 1)


def _blurred(x: Tensor, weight: Tensor) -> Tensor:
    """A mixture of every image and its binomial blur; `weight` (b,) of the blur."""
    taps = torch.tensor(KERNEL, dtype=x.dtype, device=x.device) / sum(KERNEL)
    by = max(1, x.shape[-1] // 32)
    soft = functional.pad(x, (2 * by,) * 4, mode="reflect")
    for shape in ((1, 5), (5, 1)):
        kernel = taps.view(1, 1, *shape).repeat(3, 1, 1, 1)
        soft = functional.conv2d(soft, kernel, groups=3, dilation=by)
    return x + weight.view(-1, 1, 1, 1) * (soft - x)


def described(what: Augmentation) -> str:
    """What it does, for people: `flip, area 0.4`; `nothing`.

    Examples
    --------
    >>> described(Augmentation(flip=True))
    'flip'
    """
    values = {f.name: getattr(what, f.name) for f in fields(what)}
    told = [
        name if value is True else f"{name} {value:.3g}"
        for name, value in values.items()
        if value != getattr(NOTHING, name)
    ]
    return ", ".join(told) or "nothing"
