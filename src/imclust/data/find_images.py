"""Finding images by what they are, in folders, linked folders and zips; the rest is counted."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO

from imclust.core.errors import input_error
from imclust.core.files import LITTER
from imclust.core.wording import counted

# Formats whose files are no single picture, or need other programs to be drawn.
NO_PICTURES = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
# Folders that file servers and systems fill with thumbnails and bins of their own.
SYSTEM_FOLDERS = frozenset({"@eadir", "#recycle", "__macosx", "$recycle.bin", "lost+found"})
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MISNAMED = "with a name that is not in UTF-8 (rename it)"
PLAIN = frozenset({".csv", ".json", ".md", ".npy", ".npz", ".txt", ".tsv", ".xml", ".zip"})


@dataclass
class FoundImages:
    """What a folder or zip holds.

    Parameters
    ----------
    images : list[tuple[Path, str]]
        (file, member) of every image, sorted by path; the member is empty but for archives.
    left_out : Counter[str]
        How many files of each kind are none that can be read, such as ``text``.
    misnamed : list[str]
        Files whose names are not in UTF-8, with escapes for those bytes, such as ``caf\\xe9.jpg``.
    """

    images: list[tuple[Path, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    misnamed: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """``480 images found, 3 files left out: 2 .heic, 1 .txt``."""
        n, rest = len(self.images), self.left_out.total()
        found = f"{counted(n, 'image')} found"
        if not rest:
            return found
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.left_out.items()))
        return f"{found}, {counted(rest, 'file')} left out: {kinds}"


def find_images(data: Path) -> FoundImages:
    """Every file below a folder, or in a zip, that Pillow can read as an image, by its content.

    Linked folders are followed once each. Hidden files and folders, and those that file servers
    keep for themselves (``@eaDir``), are not looked at. Names that are not in UTF-8 are left out. A
    folder without images of its own is searched for zip archives.

    Parameters
    ----------
    data : Path
        A folder or a zip archive.

    Raises
    ------
    InputError
        An archive is damaged, encrypted, or has two members of one name.

    Examples
    --------
    >>> import tempfile
    >>> find_images(Path(tempfile.mkdtemp())).sentence()
    '0 images found'
    """
    found = FoundImages()
    if data.is_file():
        if data.suffix.lower() in image_suffixes():
            allowed, do = "a folder or a zip archive of images", "name the folder that it lies in"
            raise input_error(str(data), allowed, "a single picture", do)
        _search_zip(data, found)
        return found
    files = sorted(_files(data, found))
    for path in files:
        kind = _kind_of_file(path)
        if kind:
            found.left_out[kind] += 1
        else:
            found.images.append((path, ""))
        if kind == MISNAMED:
            found.misnamed.append(
                os.fsencode(path.relative_to(data)).decode("utf-8", "backslashreplace")
            )
    if not found.images:
        for path in files:
            if zipfile.is_zipfile(path):
                found.left_out[_by_suffix(path.name)] -= 1
                _search_zip(path, found)
    found.left_out += Counter()  # without the kinds of which none is left
    return found


@cache
def image_suffixes() -> frozenset[str]:
    """Endings, such as ``.jpg``, of the formats that can be read.

    Examples
    --------
    >>> ".jpg" in image_suffixes()
    True
    """
    from PIL import Image

    _register_heif()
    Image.init()
    readable = set(Image.OPEN) - NO_PICTURES
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in readable)


@cache
def _register_heif() -> bool:
    """Whether the package that reads HEIC is installed; Pillow knows it from then on."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _files(data: Path, found: FoundImages) -> Iterator[Path]:
    """Every file below a folder, links followed, each folder once."""
    seen: set[str] = set()
    for top, folders, names in os.walk(data, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            found.left_out["linked folder that was searched already"] += 1
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _ignored(name))
        yield from (Path(top, name) for name in names if not _ignored(name))


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS or name in LITTER


def _kind_of_file(path: Path) -> str:
    """As `_kind`; tables are in UTF-8 and could not hold a name that is not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return MISNAMED
    return _kind(path.name, path.open) if path.is_file() else "broken link"


def _kind(name: str, opened: object) -> str:
    """Empty for an image; else what kind of file it is.

    A name that ends as images do is believed: whether it can be read is looked at later, and
    said. Others are looked into.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in image_suffixes():
        return ""
    if suffix in PLAIN:
        return _by_suffix(name)
    with opened("rb") as file:  # type: ignore[operator]
        return "" if _is_image(file) else _unread(name, file)


def _is_image(file: IO[bytes]) -> bool:
    from PIL import Image

    image_suffixes()  # has every format known
    try:
        with Image.open(file) as image:
            return image.format not in NO_PICTURES
    except Image.DecompressionBombError:
        return True
    except Exception:  # formats raise what they like at files that are none of theirs
        return False


def _unread(name: str, file: IO[bytes]) -> str:
    file.seek(0)
    head = file.read(64)
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return "HEIC (pip install 'imclust[heic]' reads it)"
    return _by_suffix(name)


def _by_suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower() or "without a suffix"


def _search_zip(path: Path, found: FoundImages) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename and not m.is_dir()]
            names = [m.filename for m in members]
            if len(set(names)) != len(names):
                allowed, do = "an archive of distinct names", "pack it again"
                raise input_error(str(path), allowed, "duplicate names", do)
            for member in sorted(members, key=lambda m: m.filename):
                parts = PurePosixPath(member.filename).parts
                if not parts or any(map(_ignored, parts)):
                    continue
                kind = _kind(member.filename, lambda _, m=member: archive.open(m))
                if kind:
                    found.left_out[kind] += 1
                else:
                    found.images.append((path, member.filename))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as e:
        allowed, do = "a folder or a zip archive that can be read", "download or pack it again"
        got = f"a damaged one ({e})" if isinstance(e, zipfile.BadZipFile) else str(e)
        raise input_error(str(path), allowed, got, do) from None
