"""One process at a time: locks that go with the process, however it ends."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imclust.core.errors import InputError


@contextmanager
def wait_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for this process, after whoever holds it now.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place, wait_lock(Path(place) / "lock"):
    ...     pass  # alone
    """
    from filelock import FileLock

    with FileLock(path):
        yield


@contextmanager
def try_lock(path: Path, what: str, do: str) -> Iterator[None]:
    """Hold the lock file `path` for this process.

    Parameters
    ----------
    path : Path
        Made if need be.
    what : str
        What must be done by one run at a time, such as ``data/x must be written``.
    do : str
        The rest of the sentence for whoever comes second.

    Raises
    ------
    InputError
        Another process holds it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     with try_lock(Path(place) / "lock", "the run must be done", "wait for it"):
    ...         pass  # alone
    """
    from filelock import FileLock, Timeout  # 20 ms that no `--help` needs

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{what} by one run at a time; got a second one while another process is at work on "
            f"it; {do}."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def temporary_lock(folder: Path, what: str, do: str) -> Iterator[None]:
    """Hold a lock that stands for a folder in which no lock file may be left.

    Parameters
    ----------
    folder : Path
        Absolute; need not exist.
    what, do : str
        As for `try_lock`.

    Examples
    --------
    >>> with temporary_lock(Path("/photos"), "the photos must be sorted", "wait for it"):
    ...     pass  # alone
    """
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    with try_lock(Path(tempfile.gettempdir(), f"imclust-{name}.lock"), what, do):
        yield
