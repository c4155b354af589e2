"""placeholder"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Expected:
    """What a file must turn out to be; what is None or "" is not checked.

    Args:
        size: bytes. sha256: hexadecimal.
        check: further check of the content, raises `Refusal`; given the staged path.
    """

    size: int | None = None
    sha256: str = ""
    check: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Limits:
    """Seconds to wait for a connection, for the next bytes, for the whole file; tries of a GET."""

    connect: float = 10
    read: float = 60
    deadline: float = 6 * 3600
    tries: int = 5


def fetch(url: str | Callable[[], str], to: Path, expected: Expected, *,
          headers: Mapping[str, str] | None = None, limits: Limits = Limits()) -> bool: ...


def settle(staged: Path, to: Path, expected: Expected, source: str) -> None: ...


def stage(to: Path): ...


def is_right(to: Path, expected: Expected) -> bool: ...
