"""Thumbnails in sheets, as small as the page's budget asks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imclust.data.images import ImageRow
from imclust.data.loader import Preprocessing, all_pixels

# Side in pixels by number of images: few are shown large, many must fit into one page.
SIDES = ((1000, 128), (2500, 96), (6000, 64), (12_000, 48), (30_000, 36), (60_000, 28))
LEAST = 24
BUDGET = 28_000_000  # bytes of all sheets; base64 makes four thirds of it
QUALITIES = (80, 65, 50, 35, 20)
SHEET = 2048  # pixels of a sheet's side, at most


@dataclass(frozen=True)
class Sheets:
    """Square thumbnails, row by row.

    Parameters
    ----------
    side : int
        Of one, in pixels.
    columns : int
        Of them in a row of a sheet.
    per : int
        Of them in a sheet.
    images : list[str]
        The sheets as base64 of WebP files.
    """

    side: int
    columns: int
    per: int
    images: list[str]


def side_for(rows: Sequence[ImageRow], most: int | None = None) -> int:
    """Side of the thumbnails of so many images: never more than the images themselves have.

    Parameters
    ----------
    rows : sequence of ImageRow
        The images.
    most : int, optional
        Of a side, in pixels, instead of what their number allows.

    Examples
    --------
    >>> side_for([ImageRow("a", "train", "a.png", "", 640, 480)])
    128
    """
    n = len(rows)
    side = next((side for top, side in SIDES if n <= top), LEAST) if most is None else most
    stored = max((min(r.width, r.height) for r in rows), default=0)
    return min(side, stored) if stored else side


def sheets_of(rows: Sequence[ImageRow], side: int, what: str, budget: int = BUDGET) -> Sheets:
    """Thumbnails of all rows in at most `budget` bytes: coarser first, then smaller.

    Parameters
    ----------
    rows : Sequence[ImageRow]
        Images, in order.
    side : int
        Wished, in pixels.
    what : str
        Name of the progress bar.

    Raises
    ------
    InputError
        An image can no longer be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from imclust.data.images import load_index
    >>> sheets = sheets_of(load_index(Path("raw/index")), 16, "read")
    >>> sheets.side, len(sheets.images)
    (16, 1)
    """
    thumbs = all_pixels(rows, Preprocessing(side), what)
    while True:
        for quality in QUALITIES:
            made = _encoded(thumbs, quality, budget)
            if made is not None:
                return made
        if thumbs.shape[1] <= 4:
            raise AssertionError(f"{len(rows)} thumbnails of 4 px exceed {budget} bytes")
        thumbs = thumbs[:, ::2, ::2]


def _encoded(thumbs: np.ndarray, quality: int, budget: int) -> Sheets | None:
    """Sheets of thumbs (n, s, s, 3) uint8; None when they take more than the budget."""
    side = thumbs.shape[1]
    columns = min(max(1, SHEET // side), 32)
    per = columns * columns
    files, size = [], 0
    for a in range(0, len(thumbs), per):
        files.append(_sheet(thumbs[a : a + per], columns, quality))
        size += len(files[-1])
        if size > budget:
            return None
    return Sheets(side, columns, per, [base64.b64encode(f).decode() for f in files])


def _sheet(thumbs: np.ndarray, columns: int, quality: int) -> bytes:
    from PIL import Image

    n, side = thumbs.shape[:2]
    lines = -(-n // columns)
    whole = np.zeros((lines * columns, side, side, 3), np.uint8)
    whole[:n] = thumbs
    grid = whole.reshape(lines, columns, side, side, 3).swapaxes(1, 2)
    out = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(grid.reshape(lines * side, columns * side, 3)))
    picture.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()
