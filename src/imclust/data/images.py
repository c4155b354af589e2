"""Images: where they lie (the index), and how stored bytes become pixels."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from imclust.core.errors import InputError
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.records import read_csv, write_csv
from imclust.data.bit_depth import eight_bits, with_exif
from imclust.data.containers import member_bytes, member_size
from imclust.data.find_images import image_suffixes

if TYPE_CHECKING:
    from PIL import Image

Item = TypeVar("Item")
T = TypeVar("T")
READERS = max(4, min(os.cpu_count() or 1, 16))  # threads; what they call lets go of the lock
JPEG_END = b"\xff\xd9"
BIG = 40_000_000  # pixels: 120 MB decoded
MOST_PIXELS = 150_000_000  # of an image that is decoded whole: 600 MB in Pillow
MOST_JPEG_PIXELS = 20_000 * 20_000  # JPEGs are decoded smaller than they are
MOST_BYTES = 1 << 29  # of a stored file
_big = threading.Lock()


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image of a challenge.

    Parameters
    ----------
    id : str
        Unique name; what the submission calls it.
    split : str
        `train` (to cluster), `val` (for scoring only, never trained on) or `known` (an individual
        whose identity the task gives away).
    source : str
        File that holds it: an image, a zip archive, a tar, a Parquet table or a `.npy` array.
    member : str
        Name inside the archive, `column/row` in the table, row number in the array, or empty.
    width, height : int
        Pixels as stored; 0 when it cannot be read.
    digest : str
        Of the stored bytes; equal digests are exact duplicates.
    problem : str
        Empty, or why it cannot be read (then it was set aside by the user's wish).
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
    """Write `index.csv`; the split comes first, so that a shell script can ask for it.

    Parameters
    ----------
    folder : Path
        Of the artefact that is being made.
    rows : sequence of ImageRow
        In submission order.

    Examples
    --------
    >>> save_index(Path("run"), [ImageRow("a", "train", "photos/dune/00.png", "")])
    >>> Path("run/index.csv").read_text().splitlines()[1]
    'train,a,photos/dune/00.png,,0,0,,'
    """
    columns = ("split", "id", "source", "member", "width", "height", "digest", "problem")
    table = ([asdict(r)[c] for c in columns] for r in rows)
    write_csv(folder / "index.csv", columns, table)


def load_index(folder: Path) -> list[ImageRow]:
    """The rows of an `index` artefact, in submission order.

    Raises
    ------
    InputError
        A source file has gone since.

    Examples
    --------
    >>> rows = load_index(Path("raw/index"))
    >>> len(rows), rows[0].id, rows[0].width, rows[0].height
    (24, 'dune/00.png', 32, 32)
    """
    read_manifest(folder, "index")
    table = read_csv(artifact_file(folder, "index.csv"))
    rows = [
        ImageRow(**{**r, "width": int(r["width"]), "height": int(r["height"])})  # type: ignore[arg-type]
        for r in table
    ]
    for source in sorted({r.source for r in rows}):
        if not Path(source).is_file():
            raise InputError(f"{source} must still be there; it has gone; run download again.")
    return rows


def at_whole_paths(rows: Sequence[ImageRow]) -> list[ImageRow]:
    """Rows whose files are named from the root on, for processes that run in other folders.

    Examples
    --------
    >>> at_whole_paths([ImageRow("a", "train", "/photos/a.png", "")])[0].source
    '/photos/a.png'
    """
    return [replace(row, source=str(Path(row.source).absolute())) for row in rows]


def read_bytes(row: ImageRow) -> bytes:
    """The stored bytes of an image that lies in a file or an archive.

    Raises
    ------
    ValueError, KeyError
        There are more than MOST_BYTES, or the archive has no such member.
    OSError
        The file has gone or may not be read.

    Examples
    --------
    >>> read_bytes(ImageRow("a", "train", "photos/dune/00.png", ""))[:4]
    b'\\x89PNG'
    """
    if stored_bytes(row) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB stored")
    if row.member:
        return member_bytes(row.source, row.member)
    return Path(row.source).read_bytes()


def unchanged_bytes(row: ImageRow) -> bytes:
    """The stored bytes of an image, which must be those that were indexed.

    Raises
    ------
    ValueError
        They are others.

    Examples
    --------
    >>> unchanged_bytes(load_index(Path("raw/index"))[0])[:4]
    b'\\x89PNG'
    """
    data = read_bytes(row)
    refuse_changed(row, data)
    return data


def refuse_changed(row: ImageRow, data: bytes) -> None:
    """Refuse stored bytes that are not those of the index.

    Raises
    ------
    ValueError
        They are others.

    Examples
    --------
    >>> row = ImageRow("a", "train", "a.png", "", digest=bytes_digest(b"four"))
    >>> refuse_changed(row, b"four")
    >>> refuse_changed(row, b"five")
    Traceback (most recent call last):
        ...
    ValueError: other bytes than were indexed
    """
    if row.digest and bytes_digest(data) != row.digest:
        raise ValueError("other bytes than were indexed")


def bytes_digest(data: bytes) -> str:
    """What an index calls stored bytes: 16 hexadecimal digits.

    Examples
    --------
    >>> bytes_digest(b"an image")
    'a5df3fde7b200c3f'
    """
    return hashlib.sha256(data).hexdigest()[:16]


def stored_bytes(row: ImageRow) -> int:
    """Size of the stored file; 0 for a row of an array, where all are of one size.

    Examples
    --------
    >>> _ = Path("a.png").write_bytes(b"four")
    >>> stored_bytes(ImageRow("a", "train", "a.png", ""))
    4
    """
    if row.source.endswith(".npy"):
        return 0
    if row.member:
        return member_size(row.source, row.member)
    return Path(row.source).stat().st_size


def decode(data: bytes, reduction: Callable[[int, int], int] | None = None) -> np.ndarray:
    """Any image file as upright 8-bit RGB: (height, width, 3) uint8.

    Grey is repeated, palettes are looked up, transparency is laid over white, 16 bit is scaled
    (not clipped) to 8, EXIF rotation is applied, an animation gives its first frame. Plain JPEGs
    go through OpenCV, which is 1.2 to 3 times as fast as Pillow; everything else through Pillow.

    Parameters
    ----------
    data : bytes
        The stored bytes.
    reduction : Callable[[int, int], int] | None, optional
        (width, height) -> 1, 2, 4 or 8, by how much a JPEG may be made smaller in its own frequency
        domain, which is many times faster than decoding all of it.

    Raises
    ------
    ValueError
        Not an image, or truncated.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 3)).save(file, "PNG")
    >>> decode(file.getvalue()).shape
    (3, 4, 3)
    """
    image = open_image(data)
    with _one_at_a_time(image.width * image.height):
        if image.format == "JPEG":
            by = reduction(*image.size) if reduction else 1
            if image.mode in {"RGB", "L"} and data.rstrip(b"\0\r\n ").endswith(JPEG_END):
                fast = _decode_jpeg(data, by)
                if fast is not None:
                    return fast
            image.draft("RGB", (-(-image.width // by), -(-image.height // by)))
        return _upright_rgb(image)


def keeping(side: int) -> Callable[[int, int], int]:
    """A `reduction` for `decode`: as small as leaves the longer side `side` pixels.

    Examples
    --------
    >>> keeping(256)(4000, 3000), keeping(256)(300, 200)
    (8, 1)
    """
    return lambda *size: next((by for by in (8, 4, 2) if max(size) >= by * side), 1)


def open_image(data: bytes) -> Image.Image:
    """The header alone: format, mode and size are known, the pixels are not decoded yet.

    Raises
    ------
    ValueError
        Not an image.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 3)).save(file, "PNG")
    >>> open_image(file.getvalue()).size
    (4, 3)
    """
    from PIL import Image, UnidentifiedImageError

    image_suffixes()  # has every format known
    Image.MAX_IMAGE_PIXELS = None  # `refuse_large` is asked instead
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ValueError(
            "a web page" if data.lstrip()[:1] == b"<" else "not an image" if data else "empty file"
        ) from None
    except (OSError, SyntaxError, EOFError, ValueError) as e:
        raise ValueError(f"truncated or damaged ({e})") from None


@contextmanager
def _one_at_a_time(pixels: int) -> Iterator[None]:
    """Images over BIG pixels are decoded one after another, so that memory holds one of them."""
    if pixels < BIG:
        yield
    else:
        with _big:
            yield


def _decode_jpeg(data: bytes, by: int) -> np.ndarray | None:
    """A plain JPEG, upright, `by` times smaller; None when OpenCV cannot."""
    import cv2

    cv2.setNumThreads(1)  # images are decoded side by side already
    flag = cv2.IMREAD_COLOR if by == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{by}")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _upright_rgb(image: Image.Image) -> np.ndarray:
    """What Pillow opened, decoded, as (height, width, 3) uint8."""
    from PIL import Image, ImageOps

    try:
        image.load()
    except (OSError, SyntaxError, EOFError, ValueError) as e:
        raise ValueError(f"truncated or damaged ({e})") from None
    while image.width * image.height > BIG and image.mode in {"L", "RGB", "RGBA", "CMYK"}:
        image = image.reduce(2)  # before it is copied
    deep = eight_bits(image)
    image = ImageOps.exif_transpose(image if deep is None else with_exif(deep[0], image))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        image = Image.alpha_composite(white, over)
    return np.asarray(image.convert("RGB"))


def refuse_large(image: Image.Image, max_pixels: int = MOST_PIXELS) -> None:
    """Refuse an image whose decoding would take too much memory.

    Parameters
    ----------
    image : PIL.Image.Image
        Opened, not decoded.
    max_pixels : int
        Width times height of an image that is decoded whole. JPEGs are decoded smaller than
        they are and may have 400 million.

    Raises
    ------
    ValueError
        It has more.

    Examples
    --------
    >>> from PIL import Image
    >>> refuse_large(Image.new("RGB", (40, 40)))
    """
    most = max(max_pixels, MOST_JPEG_PIXELS) if image.format == "JPEG" else max_pixels
    pixels = image.width * image.height
    if pixels > most:
        raise ValueError(f"{image.width} x {image.height} pixels, more than --max-pixels {most}")


def in_threads(do: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
    """Like `map`, on a few threads, in order, never far ahead of the consumer.

    Examples
    --------
    >>> list(in_threads(str, [1, 2]))
    ['1', '2']
    """
    source = iter(items)
    with ThreadPoolExecutor(READERS) as pool:
        while block := list(islice(source, 256)):
            yield from pool.map(do, block)


def indexed(index: Path) -> list[tuple[ImageRow, str]]:
    """Rows of an index of a folder or zip, each with the path of its file below that.

    Unlike `load_index`, for answers that may outlive the images.

    Examples
    --------
    >>> [file for _, file in indexed(Path("raw/index"))][:2]
    ['dune/00.png', 'dune/01.png']
    """
    data = Path(read_manifest(index, "index")["config"].get("data_dir", ""))
    return [
        (row, _file(row, data.resolve()))
        for row in map(_image, read_csv(artifact_file(index, "index.csv")))
    ]


def _image(row: dict[str, str]) -> ImageRow:
    fields: dict[str, Any] = {**row, "width": int(row["width"]), "height": int(row["height"])}
    return ImageRow(**fields)


def _file(row: ImageRow, data: Path) -> str:
    source = Path(row.source)
    if source.suffix == ".npy" or not source.is_relative_to(data):
        return row.id
    inside = source.relative_to(data).as_posix() if source != data else ""
    return "/".join(filter(None, (inside, row.member)))
