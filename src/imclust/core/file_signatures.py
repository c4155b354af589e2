"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

NPY, ZIP, GZIP = b"\x93NUMPY", b"PK\x03\x04", b"\x1f\x8b"
MAGIC: dict[str, tuple[bytes, ...]] = {
    ".npy": (NPY,),
    ".npz": (ZIP,),
    ".zip": (ZIP, b"PK\x05\x06"),
    ".gz": (GZIP,),
    ".tgz": (GZIP,),
    ".jpg": (b"\xff\xd8",),
    ".jpeg": (b"\xff\xd8",),
    ".png": (b"\x89PNG",),
}
TEXT = {".csv", ".tsv", ".txt", ".json", ".md"}


def is_web_page(head: bytes) -> bool:
    """Whether a file that begins so is a web page or an XML answer instead of data.

    Examples
    --------
    >>> is_web_page(b"<!DOCTYPE html><html>")
    True
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<error"))


def describe_content(head: bytes) -> str:
    """What a file that begins so seems to be, for the sentence that refuses it.

    Examples
    --------
    >>> describe_content(b"<!DOCTYPE html><html>")
    'a web page (not logged in, rules not accepted, or a download quota)'
    """
    if is_web_page(head) or head.lstrip().startswith(b"<"):
        return "a web page (not logged in, rules not accepted, or a download quota)"
    if head.startswith(ZIP):
        return "a zip archive"
    if head.startswith(NPY):
        return "a .npy array"
    if not head:
        return "an empty file"
    return f"other content, starting with {head[:8]!r}"


def magic_of(name: str) -> tuple[bytes, ...]:
    """First bytes that a file of this name may have; empty where the name promises none.

    Examples
    --------
    >>> magic_of("a.png")
    (b'\x89PNG',)
    """
    return MAGIC.get(Path(name).suffix.lower(), ())


def mismatch(path: Path, name: str) -> str:
    """What is there instead of what the name promises, or "" where the two agree.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The name whose suffix says what it should be.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     path = Path(place) / "x.npy"
    ...     _ = path.write_text("<!DOCTYPE html><html>404</html>")
    ...     mismatch(path, "x.npy").split(" (")[0]
    'a web page'
    """
    with path.open("rb") as f:
        head = f.read(512)
    suffix = Path(name).suffix.lower()
    if not head:
        return describe_content(head)
    if is_web_page(head) and suffix not in {".html", ".xml"}:
        return describe_content(head)
    wanted = magic_of(name)
    if wanted and not head.startswith(wanted):
        return describe_content(head)
    if suffix in TEXT and b"\0" in head:
        return describe_content(head)
    return ""


def kept_for_file(maxsize: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`functools.lru_cache` of a function of a path, for the file that lies there now.

    One that takes its place is opened anew, and so is that of the same relative path once the
    working folder is another: a notebook's process may see both.

    Parameters
    ----------
    maxsize : int
        How many results are kept.

    Examples
    --------
    >>> @kept_for_file(8)
    ... def size(path):
    ...     return Path(path).stat().st_size
    >>> _ = Path("a.txt").write_text("four")
    >>> size("a.txt")
    4
    """

    def keep(make: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize)
        def kept(path: str, state: tuple[int, ...], *more: Any) -> T:
            return make(path, *more)

        @wraps(make)
        def of_file(path: str, *more: Any) -> T:
            try:
                now = os.stat(path)
            except OSError:  # which the function itself has words for
                return make(path, *more)
            state = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
            return kept(os.path.abspath(path), state, *more)

        return of_file

    return keep
