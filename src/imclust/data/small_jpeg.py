"""Images made small, as new JPEG files that hold nothing but pixels."""

from __future__ import annotations

from io import BytesIO

from imclust.data.images import ImageRow, decode, keeping, unchanged_bytes


def small_jpeg(row: ImageRow, side: int, quality: int) -> bytes:
    """An indexed image at most `side` pixels wide and high, without place, date or camera.

    Parameters
    ----------
    row : ImageRow
        The image.
    side : int
        Pixels; smaller images stay as large as they are.
    quality : int
        Of the JPEG, 1 to 95.

    Raises
    ------
    ValueError, KeyError
        Its stored bytes are not those that were indexed, or no image.
    OSError
        The file has gone or may not be read.

    Examples
    --------
    >>> from imclust.data.images import load_index
    >>> from pathlib import Path
    >>> small_jpeg(load_index(Path("raw/index"))[0], 32, 80)[:3]
    b'\\xff\\xd8\\xff'
    """
    from PIL import Image

    image = Image.fromarray(decode(unchanged_bytes(row), keeping(side)))
    image.thumbnail((side, side))
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
