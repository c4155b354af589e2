"""Tables of text by their bytes: where every cell stands, and what it says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from imclust.core.errors import input_error

BOM = b"\xef\xbb\xbf"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
PIECE = 1 << 20  # no line is read further at once: csv refuses such a cell anyway


def opened(path: Path) -> tuple[bytes, str, int, str]:
    """A table's bytes, their encoding, where its first line begins, and its delimiter.

    Raises
    ------
    InputError
        It is no table.

    Examples
    --------
    >>> _ = Path("sample.csv").write_text("id;label\\na;0\\n")
    >>> opened(Path("sample.csv"))
    (b'id;label\\na;0\\n', 'utf-8', 0, ';')
    """
    if not path.is_file():
        raise input_error(str(path), "a sample submission", "nothing there", "check the path")
    data = path.read_bytes()
    if problem := no_table(data):
        raise input_error(str(path), "a CSV table", problem, "download it again")
    encoding = _encoding(data)
    start = len(BOM) if data.startswith(BOM) else 0
    return (
        data,
        encoding,
        start,
        delimiter_of(data[start : start + PIECE].decode(encoding, "replace")),
    )


def _encoding(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def delimiter_of(text: str) -> str:
    """What stands most often between the names of the first line.

    Examples
    --------
    >>> delimiter_of("id;label")
    ';'
    """
    line = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text, maxsplit=1)[0])
    return max(DELIMITERS, key=line.count)


def cell_spans(
    data: bytes, start: int, delimiter: bytes
) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Every row as the spans of its cells, and where the next one begins.

    Parameters
    ----------
    data : bytes
        The whole table.
    start : int
        Where its first row begins.
    delimiter : bytes
        Between cells.

    Examples
    --------
    >>> next(iter(cell_spans(b"a,1", 0, b",")))[0]
    [(0, 1), (2, 3)]
    """
    d = re.escape(delimiter)
    cell = re.compile(
        rb'("(?:[^"]|"")*+"|[^' + d + rb"\r\n]*)(" + d + rb"|\r\n|\r|\n|\Z)", re.DOTALL
    )
    row: list[tuple[int, int]] = []
    for m in cell.finditer(data, start):
        row.append(m.span(1))
        if m[2] != delimiter:
            yield row, m.end()
            row = []


def cell_text(data: bytes, a: int, b: int, encoding: str) -> tuple[int, int, str]:
    """What a cell says, without quotes and the spaces around, and where that stands.

    Parameters
    ----------
    data : bytes
        The whole table.
    a, b : int
        Where the cell begins and ends, as `cell_spans` gives it.
    encoding : str
        Of the table.

    Examples
    --------
    >>> cell_text(b" a ", 0, 3, "utf-8")
    (1, 2, 'a')
    """
    raw = data[a:b]
    if len(raw) > 1 and raw[:1] == raw[-1:] == b'"':
        return a + 1, b - 1, raw[1:-1].replace(b'""', b'"').decode(encoding)
    left = len(raw) - len(raw.lstrip(b" "))
    text = raw.strip(b" ")
    return a + left, a + left + len(text), text.decode(encoding)


def split(line: str, delimiter: str) -> list[str]:
    """The cells of one line.

    Examples
    --------
    >>> split('a,"b, c"', ",")
    ['a', 'b, c']
    """
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def no_table(head: bytes) -> str:
    """What a file is instead of a table, by its first bytes; "" if it may be one.

    Examples
    --------
    >>> no_table(b"<!DOCTYPE html>"), no_table(b"id,label")
    ('a web page', '')
    """
    text = head.removeprefix(BOM).lstrip()
    if not text:
        return "an empty file"
    if text.startswith(b"<"):
        return "a web page"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16 instead of UTF-8"
    return "a binary file" if b"\0" in head[:PIECE] else ""
