"""What is wrong with a picture, told from its pixels: dark, bright, blurred, no photograph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIDE = 256  # pixels of the longer side that measures are taken at
DARK = 0.25  # the brightest twentieth of the pixels is darker than this
BRIGHT = 0.80  # the darkest twentieth is brighter than this
FLAT = 0.06  # standard deviation of the brightness below which there is little to see
BLURRED = 0.004  # share of the contrast that lies in single pixels
LONG = 3.0  # longer over shorter side
SAME = 1  # of 255, by which equal neighbours may differ: JPEG leaves so much
DRAWN = 0.5  # share of pixels equal to both neighbours, of a screenshot, a drawing or a text
FEW = 0.8  # share of the pixels that four of 512 colours cover, of such


class Quality(NamedTuple):
    """Measures of one picture.

    Parameters
    ----------
    low, high : float
        The 5th and 95th percentile of the brightness, in [0, 1].
    contrast : float
        Standard deviation of the brightness.
    detail : float
        Variance of the Laplacian over that of the brightness, of the scaled picture.
    shape : float
        Longer over shorter side, >= 1.
    equal : float
        Share of pixels of the middle that equal their right and their lower neighbour, in [0, 1].
    colours : float
        Share of pixels of the four most frequent of 512 colours, of the middle, in [0, 1].
    """

    low: float
    high: float
    contrast: float
    detail: float
    shape: float
    equal: float
    colours: float


def scaled(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 with a longer side of at most SIDE, each pixel the mean of its area.

    Examples
    --------
    >>> scaled(np.zeros((1000, 500, 3), np.uint8)).shape
    (256, 128, 3)
    """
    import cv2

    by = SIDE / max(rgb.shape[:2])
    if by >= 1:
        return rgb
    size = [max(1, round(by * side)) for side in rgb.shape[1::-1]]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def quality_of(rgb: np.ndarray) -> Quality:
    """Measures of a picture (h, w, 3) uint8.

    Examples
    --------
    >>> quality_of(np.zeros((8, 32, 3), np.uint8)).shape
    4.0
    """
    import cv2

    middle = _middle(rgb)
    rows = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY).astype(np.int16)
    down, right = np.abs(np.diff(rows, axis=0)[:, :-1]), np.abs(np.diff(rows, axis=1)[:-1])
    equal = (down <= SAME) & (right <= SAME)
    coarse = (middle >> 5).astype(np.int64) @ np.array([64, 8, 1])
    counts = np.sort(np.bincount(coarse.ravel(), minlength=512))[::-1]
    grey = cv2.cvtColor(scaled(rgb), cv2.COLOR_RGB2GRAY)
    light = grey.astype(np.float32) / 255
    low, high = np.percentile(light, (5, 95))
    variance = float(light.var())
    edges = cv2.Laplacian(light, cv2.CV_32F)
    height, width = grey.shape
    return Quality(
        float(low),
        float(high),
        variance**0.5,
        float(edges.var()) / max(variance, 1e-6),
        max(width, height) / max(1, min(width, height)),
        float(equal.mean()) if equal.size else 0.0,
        float(counts[:4].sum() / coarse.size),
    )


def _middle(rgb: np.ndarray) -> np.ndarray:
    """The middle of a picture, as it is stored: of texts, letters that are scaled are grey."""
    top, left = (max(0, (side - 2 * SIDE) // 2) for side in rgb.shape[:2])
    return np.ascontiguousarray(rgb[top : top + 2 * SIDE, left : left + 2 * SIDE])


def faults(seen: Quality) -> list[tuple[str, float]]:
    """(what, how much) of everything that is odd about a picture.

    Examples
    --------
    >>> [what for what, _ in faults(quality_of(np.zeros((90, 90, 3), np.uint8)))]
    ['dark']
    """
    found = []
    if seen.high < DARK:
        found.append(("dark", seen.high))
    elif seen.low > BRIGHT:
        found.append(("bright", seen.low))
    elif seen.contrast < FLAT:
        found.append(("low contrast", seen.contrast))
    elif seen.detail < BLURRED:
        found.append(("blurred", seen.detail))
    elif seen.equal > DRAWN and seen.colours > FEW:
        found.append(("screenshot, drawing or text", seen.equal))
    if seen.shape > LONG:
        found.append(("odd shape", seen.shape))
    return found
