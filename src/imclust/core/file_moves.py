"""Bringing files to places where nothing is, so that a kill or a full disk loses none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from imclust.core.errors import InputError, input_error
from imclust.core.manifest import file_digest

LETTERS = 16  # of a digest, as an index of images keeps it


def short_file_digest(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's sha256: what an index calls its bytes.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a")
    >>> _ = file.write_bytes(b"")
    >>> short_file_digest(file)
    'e3b0c44298fc1c14'
    """
    return file_digest(path)[:LETTERS]


def bring_file(source: Path, to: Path, partial: Path, digest: str) -> None:
    """Move a file to where nothing is: a second name for it, then the first one is taken away.

    Where the file system has no second names, or is another one: a copy that is compared first.
    A kill leaves the file at its old place, at the new one, or at both.

    Parameters
    ----------
    source : Path
        The file; no link.
    to : Path
        In a folder that exists.
    partial : Path
        Where a copy is made, on the disk of `to`.
    digest : str
        That of `short_file_digest`.

    Raises
    ------
    InputError
        Something is at `to`, or the copy holds other bytes; the file is where it was.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     old, new, work = (Path(place) / name for name in ("old", "new", "work"))
    ...     _ = old.write_text("a")
    ...     bring_file(old, new, work, short_file_digest(old))
    ...     old.exists(), new.read_text()
    (False, 'a')
    """
    try:
        os.link(source, to)
    except FileExistsError:
        raise _taken(to) from None
    except OSError:
        copy_file(source, to, partial, digest)
    os.unlink(source)


def copy_file(source: Path, to: Path, partial: Path, digest: str) -> None:
    """Copy a file with its times and rights to where nothing is; parameters as for `bring_file`.

    Raises
    ------
    InputError
        Something is at `to`, or the copy holds other bytes than `digest` says.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     old, new, work = (Path(place) / name for name in ("old", "new", "work"))
    ...     _ = old.write_text("a")
    ...     copy_file(old, new, work, short_file_digest(old))
    ...     old.read_text(), new.read_text()
    ('a', 'a')
    """

    def make(fresh: Path) -> None:
        shutil.copyfile(source, fresh)
        shutil.copystat(source, fresh)

    put_file(make, to, partial, digest)


def put_file(make: Callable[[Path], object], to: Path, partial: Path, digest: str) -> None:
    """Write a file under another name, compare it, and give it its name where nothing has that.

    Parameters
    ----------
    make : callable
        Writes the file that it is given.
    to, partial, digest : Path, Path, str
        As for `bring_file`; what is at `partial` is of an interrupted call and is taken away.

    Raises
    ------
    InputError
        Something is at `to`, or what was written has another digest.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     to, work, digest = Path(place) / "to", Path(place) / "work", "ca978112ca1bbdca"
    ...     put_file(lambda fresh: fresh.write_text("a"), to, work, digest)
    ...     to.read_text()
    'a'
    """
    partial.unlink(missing_ok=True)
    try:
        make(partial)
        with partial.open("rb") as f:
            os.fsync(f.fileno())
        if short_file_digest(partial) != digest:
            raise InputError(
                f"{to} must hold what was looked at; got other bytes: the file has changed, or "
                "was not written whole; run the same command again."
            )
        try:
            os.link(partial, to)
        except FileExistsError:
            raise _taken(to) from None
        except OSError:  # no second names on this disk
            if os.path.lexists(to):
                raise _taken(to) from None
            os.rename(partial, to)
    finally:
        partial.unlink(missing_ok=True)


def _taken(to: Path) -> InputError:
    return input_error(str(to), "free", "a file of somebody's", "move or rename it")
