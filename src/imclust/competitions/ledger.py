"""The ledger of submissions: `submissions/log.csv`, one row a file, plain enough for a spreadsheet.

Every change is made under a lock, on the newest rows, and put in place in one step: neither two
processes nor a kill lose a row. A log that was damaged or edited out of shape is never overwritten.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from imclust.core.errors import InputError, input_error, masked
from imclust.core.files import replaced_file
from imclust.core.locks import wait_lock

LOG = Path("submissions/log.csv")
STATES = ("written", "sending", "sent", "scored", "failed", "unknown")
NUMBERS = ("label_free", "validation", "public", "private", "rank")
Key = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class Row:
    """One file that was, or may be, sent. Every value is text as in the table; "" is not known.

    Parameters
    ----------
    challenge : str
        Its name here.
    run : str
        Name of the run.
    submission : str
        Folder of the artefact, as seen from the log's folder where both lie together.
    file : str
        Name of the file.
    sha256 : str
        Its digest.
    config : str
        Digest of the settings of everything that the file was made from.
    encoder, head : str
        Their names and flags.
    k : str
        Number of clusters.
    git : str
        Commit that wrote it.
    track : str
        `scratch` or `open`.
    label_free : str
        Accuracy as estimated without labels, else agreement between seeds.
    validation : str
        Accuracy of this very file against the labels that are at hand; where its labels are other
        names than those, of the grouping under the best naming.
    state : str
        One of `STATES`.
    board : str
        Where it was sent to, SERVICE:CHALLENGE.
    ref : str
        The service's number of it.
    public, private, rank : str
        What the service says.
    written, sent, scored : str
        When, in UTC.
    message : str
        The grader's words.
    """

    challenge: str
    run: str = ""
    submission: str = ""
    file: str = ""
    sha256: str = ""
    config: str = ""
    encoder: str = ""
    head: str = ""
    k: str = ""
    git: str = ""
    track: str = ""
    label_free: str = ""
    validation: str = ""
    state: str = "written"
    board: str = ""
    ref: str = ""
    public: str = ""
    private: str = ""
    rank: str = ""
    written: str = ""
    sent: str = ""
    scored: str = ""
    message: str = ""

    @property
    def key(self) -> Key:
        """What tells rows apart: place, run, file, bytes, and which sending it was."""
        return (self.place, self.submission, self.file, self.sha256, self.sent, self.ref)

    @property
    def place(self) -> str:
        """Where it competes: the board, or the challenge as long as it was sent nowhere."""
        data_set = Path(self.submission).parent.name
        own = data_set.startswith(f"{self.challenge}-")
        return self.board or (data_set if own else self.challenge)

    def number(self, name: str) -> float | None:
        """The value of one of `NUMBERS`; None when it is not known."""
        text = getattr(self, name)
        return float(text) if text else None


COLUMNS = tuple(f.name for f in fields(Row))


def read(path: Path) -> list[Row]:
    """The rows of a log, oldest first; none where no log is yet.

    Raises
    ------
    InputError
        It is damaged, or was edited so that rows cannot be told.

    Examples
    --------
    >>> [(row.run, row.file, row.state) for row in read(Path("submissions/log.csv"))]
    [('first', 'submission.csv', 'written'), ('first', 'submission_inverted.csv', 'written')]
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except IsADirectoryError:
        raise input_error("--log", "a file", f"{path}, a folder", "name a file in it") from None
    except UnicodeDecodeError:
        raise _damaged(path, "bytes that are no text") from None
    if not text.endswith("\n"):
        raise _damaged(path, "a last line that is cut off" if text else "an empty file")
    try:
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as e:
        raise _damaged(path, f"a table that cannot be read ({e})") from None
    if tuple(header) != COLUMNS:
        raise _damaged(path, "other columns")
    rows = [_row(path, n, line) for n, line in enumerate(lines, 2) if line]
    keys = [row.key for row in rows]
    twice = next((k for n, k in enumerate(keys) if k in keys[:n]), None)
    if twice is not None:
        raise _damaged(path, f"{twice[2]} of {twice[0]} twice with the same bytes and times")
    return rows


def record(path: Path, row: Row) -> Row:
    """Insert a row, or bring the one of the same key up to date; returns it as it now stands.

    What is "" in `row` keeps its old value, and `written` takes back no later state. A row that
    names no board belongs to every row of the same file of the same run; one that names a board
    takes the place of a row that names none.

    Parameters
    ----------
    path : Path
        The log; made if need be.
    row : Row
        What is known.

    Raises
    ------
    InputError
        The log is damaged.

    Examples
    --------
    >>> _ = record(Path("log.csv"), Row("hw9", file="a.csv", sha256=64 * "0"))
    >>> row = Row("hw9", file="a.csv", sha256=64 * "0", validation="0.9")
    >>> record(Path("log.csv"), row).validation
    '0.9'
    >>> len(read(Path("log.csv")))
    1
    """
    with _held(path):
        rows = read(path)
        before = list(rows)
        at = _same(rows, row)
        for n in at:
            rows[n] = _merged(rows[n], row)
        if not at:
            rows.append(_clean(row))
        if rows != before:
            _write(path, rows)
        return rows[at[0]] if at else rows[-1]


def begin(path: Path, row: Row, sent: str) -> Row:
    """Enter that a file is being sent, before it is; returns its row.

    It takes the place of the row that says no more than that the file was written. Whatever was
    sent before keeps its own row.

    Parameters
    ----------
    row : Row
        With its board.
    sent : str
        When, fine enough to tell two sendings apart.

    Examples
    --------
    >>> row = Row("hw9", file="a.csv", sha256=64 * "0", board="kaggle:dunes")
    >>> begin(Path("begun.csv"), row, "2026-01-01T00:00:00.000Z").state
    'sending'
    """
    with _held(path):
        rows = read(path)
        fresh = replace(row, state="sending", sent=sent, ref="", public="", message="")
        free = [n for n in _alike(rows, row) if not rows[n].board]
        if free:
            rows[free[0]] = _merged(rows[free[0]], fresh)
        else:
            rows.append(_clean(fresh))
        _write(path, rows)
        return rows[free[0]] if free else rows[-1]


def sendings(path: Path, board: str, sha256: str) -> list[Row]:
    """Every time that these bytes were sent to a board, or may have been, oldest first.

    Parameters
    ----------
    path : Path
        The log.
    board : str
        SERVICE:CHALLENGE.
    sha256 : str
        Of the file.

    Examples
    --------
    >>> row = Row("hw9", file="a.csv", sha256=64 * "0", board="kaggle:dunes")
    >>> _ = begin(Path("sent.csv"), row, "2026-01-01T00:00:00.000Z")
    >>> [row.sent for row in sendings(Path("sent.csv"), "kaggle:dunes", 64 * "0")]
    ['2026-01-01T00:00:00.000Z']
    """
    rows = [r for r in read(path) if r.board == board and r.sha256 == sha256 and r.sent]
    return sorted(rows, key=lambda r: r.sent)


def change(path: Path, key: Key, **values: str) -> Row:
    """Set columns of the row of that key, also to ""; returns it as it now stands.

    Parameters
    ----------
    path : Path
        The log.
    key : tuple of str
        Of the row, see `Row.key`.
    **values : str
        Column -> text.

    Raises
    ------
    InputError
        The log is damaged, or has no such row.

    Examples
    --------
    >>> row = record(Path("own.csv"), Row("hw9", file="a.csv", sha256=64 * "0"))
    >>> change(Path("own.csv"), row.key, public="0.75", state="scored").public
    '0.75'
    """
    with _held(path):
        rows = read(path)
        at = next((n for n, row in enumerate(rows) if row.key == key), None)
        if at is None:
            got = f"none of {key[2]} for {key[0]} with digest {key[3][:12]}"
            raise input_error(
                f"a row of {path}", "there before it is changed", got, "record it first"
            )
        rows[at] = _clean(replace(rows[at], **values))
        _write(path, rows)
        return rows[at]


def folder_of(row: Row, log: Path) -> Path:
    """Where the submission of a row lies, as seen from here.

    Examples
    --------
    >>> folder_of(Row("hw9", submission="first"), Path("submissions/log.csv")).as_posix()
    'submissions/first'
    """
    return Path(os.path.normpath(log.parent / row.submission))


def best(rows: list[Row]) -> list[Row]:
    """Best first: by private score, then public, validation, label-free; the unknown last.

    Examples
    --------
    >>> rows = [Row("hw9", run="a", public="0.5"), Row("hw9", run="b", public="0.8"), Row("hw9")]
    >>> [row.run for row in best(rows)]
    ['b', 'a', '']
    """

    def order(row: Row) -> tuple[Any, ...]:
        known = [row.number(n) for n in ("private", "public", "validation", "label_free")]
        worth = tuple(float("inf") if v is None else -v for v in known)
        return (*worth, row.sent or row.written, row.file)

    return sorted(rows, key=order)


def gains(rows: list[Row]) -> dict[Key, float]:
    """For every row with a public score, what it added to the best that its board had before.

    The first one of a board added nothing to anything, and is left out.

    Examples
    --------
    >>> row = Row("hw9", run="a", board="kaggle:dunes", public="0.5", sent="2026-01-01")
    >>> better = replace(row, run="b", submission="b", public="0.8", sent="2026-01-02")
    >>> list(gains([row, better]).values())
    [0.3]
    """
    found: dict[Key, float] = {}
    top: dict[str, float] = {}
    scored = [row for row in rows if row.public]
    for row in sorted(scored, key=lambda r: r.sent or r.written):
        score = float(row.public)
        if row.place in top:
            found[row.key] = round(score - top[row.place], 6)
        top[row.place] = max(score, top.get(row.place, score))
    return found


def as_text(value: float | None) -> str:
    """A number for the table; "" for None, and for what is no number to compare.

    Examples
    --------
    >>> as_text(0.5), as_text(None)
    ('0.5', '')
    """
    return "" if value is None or not math.isfinite(value) else str(value)


def _same(rows: list[Row], new: Row) -> list[int]:
    """Numbers of the rows that a new one brings up to date."""
    exact = [n for n, row in enumerate(rows) if row.key == new.key]
    alike = _alike(rows, new)
    if not new.board:
        return alike
    return exact or [n for n in alike if not rows[n].board]


def _alike(rows: list[Row], new: Row) -> list[int]:
    """Numbers of the rows of the same bytes of the same file of the same run."""

    def which(row: Row) -> tuple[str, ...]:
        return (row.challenge, row.submission, row.file, row.sha256)

    return [n for n, row in enumerate(rows) if which(row) == which(new)]


def _merged(old: Row, new: Row) -> Row:
    values = {name: value for name, value in asdict(new).items() if value}
    if new.state == "written":
        values["state"] = old.state
    if new.config and new.config != old.config:  # another run that came to the same bytes
        values |= {"label_free": new.label_free, "validation": new.validation}
    return _clean(replace(old, **values))


def _clean(row: Row) -> Row:
    """A row fit to be written: its message on one line, without credentials.

    Raises
    ------
    InputError
        A value that a reader of the log would not take.
    """
    if wrong := _wrong(row):
        raise input_error(
            f"{wrong} of a row", "as the ledger has it", repr(getattr(row, wrong)), "mend it"
        )
    return replace(row, message=" ".join(masked(row.message).split()))


def _row(path: Path, line: int, values: list[str]) -> Row:
    if len(values) != len(COLUMNS):
        raise _damaged(path, f"{len(values)} values in row {line}")
    row = Row(*values)
    if wrong := _wrong(row):
        raise _damaged(path, f"{wrong} {getattr(row, wrong)!r} in row {line}")
    return row


def _wrong(row: Row) -> str:
    """Name of the first column whose value is none of its kind; "" when all are."""
    wrong = [n for n in NUMBERS if not _is_number(getattr(row, n))]
    wrong += [] if row.state in STATES else ["state"]
    wrong += [] if re.fullmatch(r"[0-9a-f]{64}", row.sha256) else ["sha256"]
    return wrong[0] if wrong else ""


def _is_number(text: str) -> bool:
    return not text or re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text) is not None


def _damaged(path: Path, got: str) -> InputError:
    return input_error(
        f"the ledger {path}",
        f"a table of {len(COLUMNS)} columns, {COLUMNS[0]} to {COLUMNS[-1]}, as it was written",
        got,
        "mend it by hand, or move it away and a new one is begun; nothing in it was touched",
    )


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the log for this process; others wait, and a killed one holds nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wait_lock(path.with_name(f".{path.name}.lock")):
        yield


def _write(path: Path, rows: list[Row]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(asdict(row).values() for row in rows)
    with replaced_file(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as f:
        f.write(text.getvalue())
        f.flush()
        os.fsync(f.fileno())  # what was sent is sent, also after a power cut
