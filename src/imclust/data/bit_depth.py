"""Images of more than eight bits a channel, as eight: by the range that their numbers use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

UNSIGNED = 1  # a TIFF's SampleFormat of whole numbers that are not negative
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339  # tags of TIFF


def eight_bits(image: Image.Image) -> tuple[Image.Image, str] | None:
    """A decoded image of 16 or 32 bit or floats as 8 bit grey; None where it has 8 bits already.

    Whole numbers from 0 are scaled by the smallest number of bits that holds them (at least 8),
    so that the 12 bits of a camera in a file of 16 keep their 4096 levels; floats from 0 to 1 and
    from -1 to 1 by these ranges; everything else from its least to its largest number. Infinite
    numbers count as the largest or least of the others, those that are none (NaN) as the least.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded.

    Returns
    -------
    tuple of PIL.Image.Image and str, or None
        The image in mode ``L``, and the range that became 0 to 255.

    Examples
    --------
    >>> from PIL import Image
    >>> deep = Image.fromarray(np.array([[0, 4095]], np.uint16))
    >>> np.asarray(eight_bits(deep)[0])
    array([[  0, 255]], dtype=uint8)
    """
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return None
    values = np.asarray(image)
    if image.mode == "I" and _is_uint32(image):
        values = values.astype(np.int64) & 0xFFFFFFFF
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = _range(low, high, whole=image.mode.startswith("I"))
    numbers = np.nan_to_num(numbers, nan=low, posinf=high, neginf=low)
    scaled = (numbers - low) * (255 / max(high - low, 1e-300))
    grey = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey), f"{low:g} to {high:g}"


def depth_sentence(image: Image.Image) -> str:
    """What to say of an image of more than eight bits; empty for others.

    Examples
    --------
    >>> from PIL import Image
    >>> depth_sentence(Image.new("RGB", (4, 4)))
    ''
    """
    found = eight_bits(image)
    return "" if found is None else f"of more than 8 bits: {found[1]} becomes 0 to 255"


def with_exif(image: Image.Image, original: Image.Image) -> Image.Image:
    """The image with the other's Exif data, which says how it was turned.

    Examples
    --------
    >>> from PIL import Image
    >>> camera = Image.new("RGB", (4, 4))
    >>> camera.getexif()[274] = 6  # held upright
    >>> with_exif(Image.new("L", (4, 4)), camera).getexif()[274]
    6
    """
    image.info["exif"] = original.getexif().tobytes()
    return image


def _range(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """The numbers that become black and white."""
    if whole and low >= 0:
        bits = max(8, int(high).bit_length())
        return 0.0, float(2**bits - 1)
    if not whole and low >= 0:
        return 0.0, 1.0 if high <= 1 else 255.0 if high <= 255 else high
    return (-1.0, 1.0) if not whole and low >= -1 and high <= 1 else (low, high)


def _is_uint32(image: Image.Image) -> bool:
    """Whether Pillow reads unsigned numbers of 32 bits as signed ones."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return False
    unsigned = tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED
    return bool(unsigned and tags.get(BITS_PER_SAMPLE, (0,))[0] == 32)
