"""What the user sees while it runs: plain lines, progress bars on a terminal, JSONL step logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_bars: ContextVar[Callable[..., Any] | None] = ContextVar("bars", default=None)
_lines: ContextVar[Callable[[str], None] | None] = ContextVar("lines", default=None)


def say(text: str) -> None:
    """One line to the user, at once; inside `shown_by`, to whoever shows the run as a whole.

    Examples
    --------
    >>> say("120 images")
    120 images
    """
    hear = _lines.get()
    if hear is None:
        print(text, flush=True)
    else:
        hear(text)


def progress(items: Iterable[Any] | None, what: str, **settings: Any) -> Any:
    """A tqdm bar with rate and ETA on stderr; silent when stderr is no terminal.

    Inside `shown_by`, a bar of whoever shows the run as a whole. `settings` go to tqdm (`total`,
    `initial`, `unit`).

    Examples
    --------
    >>> sum(progress(range(4), "add"))
    6
    """
    from tqdm import tqdm

    make = _bars.get()
    if make is not None:
        return make(items, what, **settings)
    return tqdm(items, desc=what, disable=None, file=sys.stderr, **settings)


@contextmanager
def shown_by(make: Callable[..., Any] | None, hear: Callable[[str], None] | None) -> Iterator[None]:
    """Inside the block, `progress(items, what, ...)` is `make(items, what, ...)`, a tqdm, and
    `say(text)` is `hear(text)`; None for either: as without the block.

    Examples
    --------
    >>> lines = []
    >>> with shown_by(None, lines.append):
    ...     say("120 images")
    >>> lines
    ['120 images']
    """
    bars, lines = _bars.set(make), _lines.set(hear)
    try:
        yield
    finally:
        _bars.reset(bars)
        _lines.reset(lines)


@contextmanager
def silent() -> Iterator[None]:
    """Inside the block nothing is said, and bars are not drawn.

    Examples
    --------
    >>> with silent():
    ...     say("nobody hears this")
    """

    def no_bar(items: Iterable[Any] | None, what: str, **settings: Any) -> Any:
        from tqdm import tqdm

        return tqdm(items, disable=True, **settings)

    with shown_by(no_bar, lambda text: None):
        yield


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     write_jsonl(Path(place) / "a.jsonl", [{"step": 1}, {"step": 2}])
    ...     read_jsonl(Path(place) / "a.jsonl")
    [{'step': 1}, {'step': 2}]
    """
    path.write_text("".join(json.dumps(r) + "\n" for r in records))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The records that `write_jsonl` wrote.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     path = Path(place) / "a.jsonl"
    ...     write_jsonl(path, [{"loss": 0.5}])
    ...     read_jsonl(path)
    [{'loss': 0.5}]
    """
    return [json.loads(line) for line in path.read_text().splitlines()]
