"""What the weather is in pictures of a landscape, by the colours of their sky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imclust.clustering.scene_names import SCENES
from imclust.core.log import progress
from imclust.data.images import ImageRow, decode, in_threads, keeping, unchanged_bytes
from imclust.encoders.class_head import imagenet_words

# Classes of ImageNet that are landscapes; none is a weather.
LANDSCAPES = (
    "alp", "cliff", "geyser", "lakeside", "promontory", "sandbar", "seashore", "valley", "volcano",
)  # fmt: skip
LIKELIEST = 5  # classes of an image,
LANDSCAPE = 2  # so many of which are LANDSCAPES where it shows one
SIDE = 32  # pixels of the square that a picture is made,
TOP = 11  # of which so many rows from above are sky
SKY = 0.6  # share of these that must have a scene's colour
GREY, COLOURED = 0.1, 0.05  # saturation that so much of a picture has, or it is black and white


def outdoors(logits: np.ndarray) -> np.ndarray:
    """Which images show a landscape: (n,) bool.

    Parameters
    ----------
    logits : np.ndarray
        (n, 1000) float, of a classifier of ImageNet.

    Examples
    --------
    >>> beach, dog = np.zeros((2, 1000))
    >>> beach[[977, 978]], dog[[151, 152]] = 9, 9  # sandbar and seashore; two breeds
    >>> outdoors(np.array([beach, dog])).tolist()
    [True, False]
    """
    top = np.argsort(-logits, axis=1, kind="stable")[:, :LIKELIEST]
    return np.asarray(_landscapes()[top].sum(1) >= LANDSCAPE)


def is_landscape(members: np.ndarray) -> bool:
    """Whether classes (1000,) bool are landscapes, all of them.

    Examples
    --------
    >>> is_landscape(np.arange(1000) == 978), is_landscape(np.arange(1000) >= 978)
    (True, False)
    """
    return bool(_landscapes()[members].all())


def _landscapes() -> np.ndarray:
    """(1000,) bool, the classes that are."""
    words = imagenet_words()
    return np.any(words.members[:, [words.words.index(word) for word in LANDSCAPES]], axis=1)


def scenes_of(rows: Sequence[ImageRow]) -> tuple[np.ndarray, np.ndarray]:
    """Which of SCENES each landscape shows: (n, 3) bool, at most one each; and which could be read
    as they were indexed: (n,) bool.

    Parameters
    ----------
    rows : sequence of ImageRow
        The images.

    Examples
    --------
    >>> from pathlib import Path
    >>> from imclust.data.images import load_index
    >>> shown, read = scenes_of(load_index(Path("raw/index"))[:2])
    >>> shown.shape, read.tolist()
    ((2, 3), [True, True])
    """
    shown, read = np.zeros((len(rows), len(SCENES)), bool), np.zeros(len(rows), bool)
    found = progress(in_threads(_scenes_of_one, rows), "skies", total=len(rows), unit="img")
    for n, each in enumerate(found):
        if each is not None:
            shown[n], read[n] = each, True
    return shown, read


def _scenes_of_one(row: ImageRow) -> np.ndarray | None:
    try:
        return sky_scenes(decode(unchanged_bytes(row), keeping(SIDE)))
    except (OSError, ValueError, KeyError):  # it has gone, or is another picture by now
        return None


def sky_scenes(rgb: np.ndarray) -> np.ndarray:
    """Whether the sky of a landscape is that of each of SCENES: (3,) bool.

    Red to yellow is a sunrise or a sunset; blue is sunshine; grey that is neither night nor blown
    out are clouds, unless the whole picture is black and white. The thresholds were set on Tiny
    ImageNet's landscapes, looked at by eye: of 45 that are in sunshine by them about 40 are, of 43
    under clouds about 30.

    Parameters
    ----------
    rgb : np.ndarray
        (h, w, 3) uint8.

    Examples
    --------
    >>> sky_scenes(np.full((90, 120, 3), (240, 120, 40), np.uint8)).tolist()
    [True, False, False]
    """
    from PIL import Image

    small = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BOX)
    whole = np.asarray(small.convert("HSV"), np.float64) / 255
    if (whole[..., 1] >= GREY).mean() < COLOURED:
        return np.zeros(len(SCENES), bool)
    sky = whole[:TOP]
    hue, saturation, value = sky[..., 0] * 360, sky[..., 1], sky[..., 2]
    warm = ((hue <= 60) | (hue >= 330)) & (saturation >= 0.35) & (value >= 0.3)
    blue = (hue >= 180) & (hue <= 255) & (saturation >= 0.25) & (value >= 0.4)
    grey = (saturation < 0.25) & (value >= 0.25) & (value <= 0.95)
    return np.array([colour.mean() >= SKY for colour in (warm, blue, grey)])
