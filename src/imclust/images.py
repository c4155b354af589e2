"""Images: where they lie (the index), how they are decoded, how they become network input."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imclust.artifacts import read_manifest
from imclust.checks import Refusal
from imclust.log import progress
from imclust.records import read_csv, write_csv

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
READERS = 4


@dataclass(frozen=True)
class ImageRow:
    """One image of a challenge.

    Args:
        id: unique name; what the submission calls it.
        split: `train` (to cluster) or `val` (for scoring only, never trained on).
        source: file that holds it: an image, a zip archive or a `.npy` array.
        member: name inside the archive, row number inside the array, or empty.
        width, height: pixels as stored; 0 when it cannot be read.
        digest: of the stored bytes; equal digests are exact duplicates.
        problem: empty, or why it cannot be read (then it was set aside by the user's wish).
    """

    id: str
    split: str
    source: str
    member: str
    width: int = 0
    height: int = 0
    digest: str = ""
    problem: str = ""


def save_index(folder: Path, rows: Sequence[ImageRow]) -> None:
    """Write `index.csv`; the split comes first, so that a shell script can ask for it."""
    columns = ("split", "id", "source", "member", "width", "height", "digest", "problem")
    table = ([asdict(r)[c] for c in columns] for r in rows)
    write_csv(folder / "index.csv", columns, table)


def load_index(folder: Path) -> list[ImageRow]:
    """The rows of an `index` artefact, in submission order.

    Raises:
        Refusal: a source file has gone since.
    """
    read_manifest(folder, "index")
    table = read_csv(folder / "index.csv")
    rows = [
        ImageRow(**{**r, "width": int(r["width"]), "height": int(r["height"])})  # type: ignore[arg-type]
        for r in table
    ]
    for source in sorted({r.source for r in rows}):
        if not Path(source).is_file():
            raise Refusal(f"{source} must still be there; it has gone; run download again.")
    return rows


@dataclass(frozen=True)
class Preprocessing:
    """From stored pixels to network input; travels inside the weights file.

    Args:
        size: side of the square input in pixels.
        mean, std: per channel, on the 0..1 scale; 0.5 and 0.5 give the range -1..1.
        fit: `crop` scales the shorter side to `size` and cuts the centre square.
    """

    size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fit: Literal["crop"] = "crop"


def read_bytes(row: ImageRow) -> bytes:
    """The stored bytes of an image that lies in a file or an archive."""
    if row.member:
        with _archive(row.source).open(row.member) as f:
            return f.read()
    return Path(row.source).read_bytes()


@lru_cache(maxsize=8)
def _archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(maxsize=8)
def _array(path: str) -> np.ndarray:
    from imclust.npy import open_npy

    return open_npy(Path(path))


def pixels(row: ImageRow, size: int) -> np.ndarray:
    """One image as (size, size, 3) uint8 RGB: shorter side scaled to `size`, centre square.

    Raises:
        ValueError: it cannot be decoded; the text says why.
    """
    import numpy as np
    from PIL import Image

    if row.source.endswith(".npy"):
        stored = np.array(_array(row.source)[int(row.member)])
        rgb = Image.fromarray(as_rgb(stored))
    else:
        rgb = decode(read_bytes(row), at_least=size)
    return np.asarray(centre_square(rgb, size))


def as_rgb(stored: np.ndarray) -> np.ndarray:
    """A stored array row, (h, w), (h, w, 1) or (h, w, 3) uint8, as (h, w, 3)."""
    import numpy as np

    if stored.ndim == 2:
        stored = stored[..., None]
    return np.ascontiguousarray(np.broadcast_to(stored, (*stored.shape[:2], 3)))


def decode(data: bytes, at_least: int = 0) -> Image.Image:
    """Any image file as upright 8-bit RGB.

    Grey is repeated, palettes are looked up, transparency is laid over white, 16 bit is scaled
    (not clipped) to 8, EXIF rotation is applied. JPEGs are decoded at the smallest of their
    built-in scales that still has twice `at_least` pixels a side, which is many times faster.

    Raises:
        ValueError: not an image, or truncated.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        if at_least:
            image.draft("RGB", (2 * at_least, 2 * at_least))
        image.load()
    except UnidentifiedImageError:
        raise ValueError(
            "a web page" if data.lstrip()[:1] == b"<" else "not an image" if data else "empty file"
        ) from None
    except Image.DecompressionBombError:
        raise ValueError("more pixels than any photograph has") from None
    except (OSError, SyntaxError, EOFError) as e:
        raise ValueError(f"truncated or damaged ({e})") from None
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image, np.float64)
        top = 65535 if image.mode.startswith("I") else max(float(deep.max()), 1e-12)
        image = Image.fromarray(np.clip(deep * 255 / top + 0.5, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return image.convert("RGB")


def centre_square(image: Image.Image, size: int) -> Image.Image:
    """The centre square scaled to `size`, antialiased; an image of that size stays as it is."""
    from PIL import Image

    w, h = image.size
    if (w, h) == (size, size):
        return image
    side = min(w, h)
    left, top = (w - side) / 2, (h - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def inspect(rows: Iterable[ImageRow], total: int) -> list[ImageRow]:
    """Decode every image once: fills in size and digest, or the problem."""

    def look(row: ImageRow) -> ImageRow:
        try:
            data = read_bytes(row)
            image = decode(data, at_least=32)
            digest = hashlib.sha256(data).hexdigest()[:16]
        except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as e:
            return replace(row, problem=str(e))
        return replace(row, width=image.width, height=image.height, digest=digest)

    return list(progress(_in_threads(look, rows), "inspect", total=total, unit="img"))


def _in_threads(do: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Like `map`, on a few threads, in order, never far ahead of the consumer."""
    source = iter(items)
    with ThreadPoolExecutor(READERS) as pool:
        while block := list(islice(source, 256)):
            yield from pool.map(do, block)


def pixel_batches(
    rows: Sequence[ImageRow], size: int, batch: int, what: str
) -> Iterator[np.ndarray]:
    """Batches (b, size, size, 3) uint8 in row order, decoded on a few threads, with progress."""
    import numpy as np

    def read(row: ImageRow) -> np.ndarray:
        try:
            return pixels(row, size)
        except ValueError as e:
            raise Refusal(
                f"{row.source} {row.member} must be a readable image; got {e}; "
                "it was readable before, so run download again."
            ) from e

    stream = iter(progress(_in_threads(read, rows), what, total=len(rows), unit="img"))
    while block := list(islice(stream, batch)):
        yield np.stack(block)


def all_pixels(rows: Sequence[ImageRow], size: int, what: str) -> np.ndarray:
    """Every image in memory: (n, size, size, 3) uint8."""
    import numpy as np

    out = np.empty((len(rows), size, size, 3), np.uint8)
    at = 0
    for block in pixel_batches(rows, size, 256, what):
        out[at : at + len(block)] = block
        at += len(block)
    return out


def to_input(block: np.ndarray, preprocessing: Preprocessing, device: str) -> Any:
    """uint8 (b, s, s, 3) -> float32 tensor (b, 3, s, s), channels-last, normalised, on `device`.

    With mean and std 0.5 this is x / 255 * 2 - 1.
    """
    import torch

    x = torch.from_numpy(block).to(device, non_blocking=True).permute(0, 3, 1, 2)
    mean, std = (
        torch.tensor(v, device=device).view(1, 3, 1, 1)
        for v in (preprocessing.mean, preprocessing.std)
    )
    return ((x.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
