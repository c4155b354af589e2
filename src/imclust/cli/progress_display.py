"""A run as a whole while it goes: its steps, the rate of the one at work, the time that is left.

On a terminal a list that is drawn in place (rich); elsewhere plain lines, a few a minute.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imclust.core.log import say, shown_by

if TYPE_CHECKING:
    from rich.console import RenderableType

TRUST = 1.0  # seconds of work after which the pace measured counts as much as the one expected
FASTEST = 0.5  # of what is expected: tiny pictures are encoded faster, and clustered as slowly
OVERDUE = 0.15  # share of the time it has taken that a late step is expected to go on
OVER = ("done", "up to date", "left out")  # states
EVERY = 15.0  # seconds between lines about a step off a terminal


@dataclass
class Part:
    """One step on the list.

    Parameters
    ----------
    title : str
        What the user reads.
    expected : float
        Seconds on the machine that was measured.
    bar : str
        The name of the progress bar that covers most of the step, if one does.
    state : str
        `waiting`, `at work`, `done`, `up to date` or `left out`.
    took : float
        Seconds, when over.
    by_rate : float
        Seconds at the last rate of the bar that covers it, when over; 0 where there was none.
    by_clock : bool
        The step was given this time, so the pace of the machine changes nothing of it.
    """

    title: str
    expected: float
    bar: str = ""
    state: str = "waiting"
    took: float = 0.0
    by_rate: float = 0.0
    by_clock: bool = False


@dataclass(frozen=True)
class Count:
    """How far a progress bar is. rate: a second, 0 before it is known. total: 0 if unknown. note:
    what whoever drives the bar adds, such as shards, nodes and retries."""

    what: str
    n: float
    total: float
    rate: float
    unit: str
    note: str = ""

    @property
    def left(self) -> float | None:
        """Seconds, None while nobody can tell."""
        return (self.total - self.n) / self.rate if self.rate and self.total else None

    def text(self) -> str:
        """`encode 210/3000 img, 7 %, 250 img/s`."""
        note = f", {self.note}" if self.note else ""
        if not self.total:
            return f"{self.what} {self.n:.0f} {self.unit}{note}"
        done = f"{self.what} {self.n:.0f}/{self.total:.0f} {self.unit}, {self.n / self.total:.0%}"
        return done + (f", {self.rate:.3g} {self.unit}/s" if self.rate else "") + note


def pace(parts: list[Part], count: Count | None = None) -> float:
    """Seconds that this machine takes for each that was expected, FASTEST or more, drawn to 1 while
    little was measured.

    A part that a bar covers counts by the rate of that, also while it is at work: how long a
    network takes to load says little of how fast it goes.

    Parameters
    ----------
    parts : list[Part]
        In order, at most one at work.
    count : Count | None, optional
        Where the bar of that one is.

    Examples
    --------
    >>> pace([])
    1.0
    >>> bar = Count("encode", 20, 100, 20, "img")
    >>> round(pace([Part("latents", 8.0, "encode", "at work")], bar), 2)
    0.67
    """
    paced = [part for part in parts if not part.by_clock]
    told = [(p.expected, p.by_rate or p.took) for p in paced if p.state == "done"]
    told += [
        (p.expected, by_rate)
        for p in paced
        if p.state == "at work" and (by_rate := _by_rate(p, count))
    ]
    took, expected = sum(took for _, took in told), sum(expected for expected, _ in told)
    return max(FASTEST, (TRUST + took) / (TRUST + expected))


def _by_rate(part: Part, count: Count | None) -> float:
    """Seconds of a whole part at the rate of the bar that covers it, 0 where that is not known."""
    covers = count is not None and count.what == part.bar and count.rate
    return count.total / count.rate if count is not None and covers else 0.0


def seconds_left(parts: list[Part], elapsed: float, count: Count | None = None) -> float:
    """Seconds until all parts are over.

    What is expected of each, times the pace of this machine. The part at work is measured by its
    bar, where that covers it.

    Parameters
    ----------
    parts : list[Part]
        In order, at most one at work.
    elapsed : float
        Seconds since that one began.
    count : Count | None, optional
        Where its bar is.

    Examples
    --------
    >>> seconds_left([], 0.0)
    0.0
    """
    by = pace(parts, count)
    left = 0.0
    for part in parts:
        expected = part.expected if part.by_clock else by * part.expected
        if part.state == "waiting":
            left += expected
        elif part.state == "at work":
            known = count.left if count is not None and count.what == part.bar else None
            late = max(expected - elapsed, OVERDUE * elapsed)
            left += late if known is None else known
    return left


def format_duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `1 h 05 min`.

    Examples
    --------
    >>> format_duration(42), format_duration(200), format_duration(3900)
    ('42 s', '3 min 20 s', '1 h 05 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02} min"


class Display:
    """Shows the parts of a run. Use as a context manager, and `step` for each part in turn.

    `words` puts what the stages say into the reader's words, or leaves it out.
    """

    def __init__(self, parts: list[Part], words: Callable[[str], str] = str) -> None:
        self.parts = parts
        self._words = words
        self._began = self._start = time.monotonic()
        self._count: Count | None = None
        self._told = 0.0
        self._quiet = False
        self._live: Any = None

    def __enter__(self) -> Display:
        """Start to draw, on a terminal."""
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stderr, force_jupyter=False)
        if sys.stderr.isatty() and not console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._drawn,
                console=console,
                redirect_stdout=sys.stdout.isatty(),  # lines go above the list, unless to a file
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the list as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextmanager
    def step(self, title: str, *, quiet: bool = False) -> Iterator[Callable[[], None]]:
        """The block does the part of that title; it calls what it gets if nothing was to do.

        Parameters
        ----------
        quiet : bool, optional
            Keep the lines that it says to itself.
        """
        part = next((p for p in self.parts if p.title == title), None)
        if part is None:  # it turned out on the way
            part = Part(title, 0.0)
            self.parts.append(part)
        part.state, self._start, self._count, self._quiet = "at work", time.monotonic(), None, quiet
        self._told = self._start
        idle = False

        def nothing() -> None:
            nonlocal idle
            idle = True

        with self._heartbeat(title), shown_by(self._bar, self._hear):
            yield nothing
        part.took, part.by_rate = time.monotonic() - self._start, _by_rate(part, self._count)
        part.state = "up to date" if idle else "done"
        if self._live is None:
            self._line(f"{title}: {'up to date' if idle else format_duration(part.took)}")

    def leave_out(self, title: str, why: str) -> None:
        """The part of that title is not done."""
        part = next((p for p in self.parts if p.title == title), None)
        if part is not None:
            part.state = "left out"
        say_plainly(f"{title}: left out, for {why}")

    @contextmanager
    def _heartbeat(self, title: str) -> Iterator[None]:
        """Off a terminal, a line every `EVERY` seconds for as long as the block is at work."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(max(0.05, self._told + EVERY - time.monotonic())):
                if time.monotonic() - self._told >= EVERY:
                    self._told = time.monotonic()
                    at = self._count.text() if self._count is not None else "at work"
                    spent = format_duration(time.monotonic() - self._start)
                    self._line(f"{title}: {spent}, {at}")

        if self._live is not None:
            yield
            return
        watch = threading.Thread(target=beat, daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()

    def _hear(self, text: str) -> None:
        told = self._words(text)
        if told and not self._quiet and not text.endswith("is up to date"):
            say_plainly(f"  {told}")

    def _line(self, text: str) -> None:
        """A line off a terminal: which step of how many, and what is left."""
        over = sum(p.state in OVER for p in self.parts)
        left = seconds_left(self.parts, time.monotonic() - self._start, self._count)
        about = "" if over == len(self.parts) else f"; about {format_duration(left)} left"
        number = over + any(p.state == "at work" for p in self.parts)
        say_plainly(f"[{number}/{len(self.parts)}] {text}{about}")

    def _bar(self, items: Iterable[Any] | None, what: str, **settings: Any) -> Any:
        from tqdm import tqdm

        display = self

        class Bar(tqdm):  # type: ignore[misc]
            """Counts and times as tqdm does; shown on the list."""

            def display(self, msg: str | None = None, pos: int | None = None) -> bool:
                at = self.format_dict
                unit, total = at["unit"].strip(), float(at["total"] or 0)
                rate = at["rate"] or 0.0
                if not rate and at["elapsed"]:
                    rate = (at["n"] - at["initial"]) / at["elapsed"]
                note = at["postfix"] or ""
                display._at(Count(what, float(at["n"]), total, float(rate), unit, note))
                return True

        return Bar(items, desc=what, disable=False, file=io.StringIO(), **settings)

    def _at(self, count: Count) -> None:
        self._count = count

    def _drawn(self) -> RenderableType:
        """The list, as rich draws it."""
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        by = pace(self.parts, self._count)
        table = Table.grid(padding=(0, 1))
        marks = {"waiting": "·", "at work": "▶", "left out": "·", "done": "✓", "up to date": "✓"}
        bar = self._count.text() if self._count else ""
        for part in self.parts:
            details = {
                "waiting": f"about {format_duration(by * part.expected)}",
                "at work": f"{format_duration(now - self._start)}  {bar}",
                "done": format_duration(part.took),
                "up to date": "up to date",
                "left out": "left out",
            }[part.state]
            style = {"waiting": "dim", "at work": "bold"}.get(part.state, "")
            row = (Text(t, style, no_wrap=True) for t in (marks[part.state], part.title, details))
            table.add_row(*row)
        if any(p.state in {"waiting", "at work"} for p in self.parts):
            left = seconds_left(self.parts, now - self._start, self._count)
            text = (
                f"{format_duration(now - self._began)} so far, about {format_duration(left)} left"
            )
        else:
            text = f"{format_duration(now - self._began)} in all"
        table.add_row(Text(""), Text(""), Text(text, "cyan", no_wrap=True))
        return table


def say_plainly(text: str) -> None:
    """A line to the user, whoever listens to `say`.

    Examples
    --------
    >>> say_plainly("120 images")
    120 images
    """
    with shown_by(None, None):
        say(text)
