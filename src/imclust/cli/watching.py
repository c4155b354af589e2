"""A folder is watched: whenever its files have come to rest, it is visited again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from imclust.core.errors import InputError
from imclust.core.log import say

EVERY = 1.0  # seconds between two looks at the folder
Listing = frozenset[tuple[str, int, int]]


def listing(data: Path) -> Listing:
    """Every file below a folder, hidden ones left out, with its size and time of change.

    Examples
    --------
    >>> import tempfile
    >>> listing(Path(tempfile.mkdtemp()))
    frozenset()
    """
    found = set()
    for path in data.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(data).parts):
            continue
        try:
            at = path.stat()
        except OSError:  # it went while it was looked for
            continue
        if path.is_file():
            found.add((str(path), at.st_size, at.st_mtime_ns))
    return frozenset(found)


def watch(
    data: Path, visit: Callable[[], None], rest: Callable[[float], None] = time.sleep
) -> None:
    """Visit a folder, and again after every change to its files, until it is interrupted.

    A change counts once two looks at the folder, EVERY seconds apart, find the same files of the
    same sizes and times: a file that is being written delays the visit. What a program leaves
    half-written for longer cannot be read then, is set aside, and read when it changes again. When
    a visit takes place decides no cluster: where a picture goes depends on those that were
    clustered and on the set of those that came since.

    Parameters
    ----------
    data : Path
        The folder.
    visit : Callable[[], None]
        One visit; what it refuses is said, and the next change awaited.
    rest : Callable[[float], None], optional
        Waits so many seconds.

    Raises
    ------
    InputError
        The first visit is refused.

    Examples
    --------
    >>> def stop(seconds):  # in place of waiting
    ...     raise KeyboardInterrupt
    >>> watch(Path("photos"), lambda: say("visited"), stop)
    visited
    watching photos for further pictures; Ctrl-C ends it
    photos is no longer watched; the same command goes on from here.
    """
    seen = listing(data)
    visit()
    _waiting(data)
    before = seen
    while True:
        try:
            rest(EVERY)
        except KeyboardInterrupt:
            say(f"{data} is no longer watched; the same command goes on from here.")
            return
        now = listing(data)
        still, before = now == before, now
        if now == seen or not still:
            continue
        seen = now
        try:
            visit()
        except InputError as e:
            say(str(e))
        _waiting(data)


def _waiting(data: Path) -> None:
    say(f"watching {data} for further pictures; Ctrl-C ends it")
