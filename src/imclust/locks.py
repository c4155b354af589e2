"""One process at a time: advisory locks that go with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imclust.checks import Refusal


@contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for this process, after whoever holds it now."""
    with path.open("a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


@contextmanager
def held(path: Path, what: str, do: str) -> Iterator[None]:
    """Hold the lock file `path` for this process.

    Args:
        path: made if need be; holds the number of the process at work.
        what: what must be done by one run at a time, such as `data/x must be written`.
        do: the rest of the sentence for whoever comes second.

    Raises:
        Refusal: another process holds it.
    """
    with path.open("a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            f.seek(0)
            raise Refusal(
                f"{what} by one run at a time; got a second one while process "
                f"{f.read().strip() or '?'} is at work on it; {do}."
            ) from None
        f.truncate(0)
        f.write(str(os.getpid()))
        f.flush()
        yield
