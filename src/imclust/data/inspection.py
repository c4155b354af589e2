"""Images looked at once before anything else: can they be read, how large are they, which bytes."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from imclust.core.log import progress, say
from imclust.core.wording import counted
from imclust.data.bit_depth import depth_sentence
from imclust.data.images import (
    MOST_PIXELS,
    ImageRow,
    bytes_digest,
    decode,
    in_threads,
    open_image,
    read_bytes,
    refuse_large,
)


def inspect(rows: Iterable[ImageRow], total: int, max_pixels: int = MOST_PIXELS) -> list[ImageRow]:
    """Decode every image once: fills in size and digest, or the problem.

    Parameters
    ----------
    rows : iterable of ImageRow
        Not inspected yet.
    total : int
        How many there are, for the progress bar.
    max_pixels : int
        As for `imclust.data.images.refuse_large`.

    Examples
    --------
    >>> there = ImageRow("a", "train", "photos/dune/00.png", "")
    >>> odd = ImageRow("b", "train", "raw/index/index.csv", "")
    >>> [(row.width, row.problem) for row in inspect([there, odd], 2)]
    [(32, ''), (0, 'not an image')]
    """
    found, depths = look_at(rows, total, max_pixels)
    say_depths(depths)
    return found


def look_at(
    rows: Iterable[ImageRow], total: int, max_pixels: int
) -> tuple[list[ImageRow], Counter[str]]:
    """What `inspect` fills in, and what is to be said of bit depths with how many images it is of.

    Parameters
    ----------
    rows : iterable of ImageRow
        Not inspected yet.
    total : int
        How many there are, for the progress bar.
    max_pixels : int
        As for `imclust.data.images.refuse_large`.

    Examples
    --------
    >>> rows, depths = look_at([ImageRow("a", "train", "photos/dune/00.png", "")], 1, MOST_PIXELS)
    >>> rows[0].height, depths
    (32, Counter())
    """
    depths: list[str] = []

    def look(row: ImageRow) -> ImageRow:
        try:
            data = read_bytes(row)
            image = open_image(data)
            refuse_large(image, max_pixels)
            decode(data, smallest)
            if said := depth_sentence(image):
                depths.append(said)
            width, height = image.size
            digest = bytes_digest(data)
        except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as e:
            return replace(row, problem=str(e))
        except PermissionError:
            return replace(row, problem="no permission to read it")
        return replace(row, width=width, height=height, digest=digest)

    found = list(progress(in_threads(look, rows), "inspect", total=total, unit="img"))
    return found, Counter(depths)


def say_depths(depths: Mapping[str, int]) -> None:
    """Tell of images whose numbers are scaled, how many of each kind there are.

    Examples
    --------
    >>> say_depths({"16 bit deep": 2})
    2 images are 16 bit deep
    """
    for said, count in sorted(depths.items()):
        say(f"{counted(count, 'image')} {'is' if count == 1 else 'are'} {said}")


def smallest(width: int, height: int) -> int:
    """The reduction for a look at whether an image can be read at all.

    Examples
    --------
    >>> smallest(640, 480), smallest(32, 32)
    (8, 1)
    """
    return 8 if min(width, height) >= 64 else 1
