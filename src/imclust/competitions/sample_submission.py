"""The file that a leaderboard wants: its sample as a template whose labels are to be filled in."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import category

from imclust.core.errors import input_error

SAMPLE = "sample_submission.csv"
BOM = b"\xef\xbb\xbf"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LABEL_NAMES = (
    *("label", "cluster", "clusterid", "class", "category", "prediction", "predicted", "target"),
    *("identity", "labels", "answer", "same"),
)
ID_NAMES = ("id", "imageid", "image", "filename", "file", "name", "rowid", "index")
PIECE = 1 << 20  # no line is read further at once: csv refuses such a cell anyway


@dataclass(frozen=True)
class SampleFormat:
    """How a sample submission is read, where its text does not tell.

    Parameters
    ----------
    header : bool
        Whether its first line names the columns.
    label_column : str, optional
        Name of the column of labels.
    """

    header: bool = True
    label_column: str | None = None


@dataclass(frozen=True)
class Sample:
    """A submission with holes where the labels go; everything else is the sample's own bytes.

    Parameters
    ----------
    header : bytes
        Its first line, byte for byte, byte-order mark included, without the line end.
    line_end : bytes
        B"\\n", b"\\r\\n" or b"\\r".
    delimiter : str
        Between cells.
    encoding : str
        Utf-8, or latin-1 where it is not.
    columns : tuple[str, ...]
        Names, stripped.
    id_column, label_column : int
        Their places among them.
    ids : tuple[str, ...]
        (n,) unique, in order.
    labels : tuple[str, ...]
        (n,) as the sample has them, placeholders mostly.
    before, after : tuple[bytes, ...]
        (n,) bytes of every row on either side of its label; they hold quotes, line ends, further
        columns and whether the file ends in a line end.
    spaced : bool
        There are spaces around ids or labels, which then say nothing.
    has_header : bool
        Whether the first line names the columns; else `header` is empty.
    """

    header: bytes
    line_end: bytes
    delimiter: str
    encoding: str
    columns: tuple[str, ...]
    id_column: int
    label_column: int
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    spaced: bool = False
    has_header: bool = True

    @property
    def names(self) -> tuple[str, str]:
        """Names of the columns of ids and labels."""
        return self.columns[self.id_column], self.columns[self.label_column]

    @property
    def values(self) -> tuple[str, ...]:
        """Distinct labels in the sample, in natural order: numbers as numbers."""
        return natural({v for v in self.labels if v})


def natural(values: Iterable[str]) -> tuple[str, ...]:
    """Sorted: as numbers where all are numbers, else as texts."""
    texts = sorted(values)
    numbers = _numbers(texts)
    return tuple(sorted(texts, key=float)) if numbers else tuple(texts)


def _numbers(values: Sequence[str]) -> list[float]:
    """All values as finite numbers; none of them if one is none."""
    try:
        numbers = [float(v) for v in values]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _is_name(value: str) -> bool:
    """Whether a label is a word rather than a number, finite or not."""
    try:
        float(value)
    except ValueError:
        return True
    return False


def vocabulary(sample: Sample, n_clusters: int) -> tuple[str, ...]:
    """The label of every cluster: (n_clusters,) distinct texts.

    The sample's own labels where it has as many, and the first K where they are words; 1..K where
    it counts up to K from 1; else 0..K-1, as floats where the sample has floats.

    Raises
    ------
    InputError
        The sample has several words as labels, but fewer than clusters.
    """
    values = sample.values
    if len(values) == n_clusters:
        return values
    numbers = _numbers(values)
    if len(values) > 1 and all(map(_is_name, values)):
        if len(values) < n_clusters:
            got = f"{len(values)}: {', '.join(values[:12])}"
            do = f"set K to at most {len(values)}"
            raise input_error("labels of the sample", f"as many as {n_clusters} clusters", got, do)
        return values[:n_clusters]
    first = 1 if numbers and min(numbers) >= 1 and max(numbers) == n_clusters else 0
    end = ".0" if numbers and any("." in v for v in values) else ""
    return tuple(f"{n}{end}" for n in range(first, first + n_clusters))


def plain_sample(ids: Sequence[str], columns: tuple[str, str]) -> Sample:
    """What a challenge without a sample wants: two columns, commas, `\\n`."""
    before = tuple(f"{_cell(i, ',')},".encode() for i in ids)
    header = ",".join(_cell(c, ",") for c in columns).encode()
    empty = ("",) * len(ids)
    return Sample(
        header, b"\n", ",", "utf-8", columns, 0, 1, tuple(ids), empty, before, (b"\n",) * len(ids)
    )


def with_header(sample: Sample, text: str) -> Sample:
    """The sample under another header, everything else unchanged.

    Raises
    ------
    InputError
        It does not name as many columns.
    """
    columns = tuple(c.strip() for c in split(text, sample.delimiter))
    if len(columns) != len(sample.columns) or not all(columns) or {"\n", "\r"} & set(text):
        names = sample.delimiter.join(sample.columns)
        allowed = f"one line of {len(sample.columns)} names with {DELIMITERS[sample.delimiter]}"
        raise input_error("--header", allowed, repr(text), f"write for example {names!r}")
    mark = BOM if sample.header.startswith(BOM) else b""
    return replace(sample, header=mark + _encoded(text, sample), columns=columns)


def render(sample: Sample, labels: Sequence[str]) -> bytes:
    """The submission. `labels`: (n,) in the order of the sample's ids.

    Raises
    ------
    InputError
        A label that the sample's encoding cannot write.
    """
    if len(labels) != len(sample.ids):
        raise ValueError(f"{len(labels)} labels for {len(sample.ids)} ids")
    bare = {v: _encoded(_cell(v, sample.delimiter), sample) for v in set(labels)}
    quoted = {v: _encoded(v.replace('"', '""'), sample) for v in bare}
    rows = (
        b + (quoted if b.endswith(b'"') else bare)[v] + a
        for b, v, a in zip(sample.before, labels, sample.after, strict=True)
    )
    top = (sample.header, sample.line_end) if sample.has_header else ()
    return b"".join((*top, *rows))


def _encoded(text: str, sample: Sample) -> bytes:
    try:
        return text.encode(sample.encoding)
    except UnicodeEncodeError:
        allowed = f"of letters that {sample.encoding} has, the sample's encoding"
        raise input_error("header and labels", allowed, repr(text), "take another name") from None


def write(path: Path, sample: Sample, labels: Sequence[str]) -> None:
    """Write the submission to a file."""
    path.write_bytes(render(sample, labels))


def read_sample(path: Path, form: SampleFormat = SampleFormat()) -> Sample:
    """The template in a sample_submission.csv.

    Parameters
    ----------
    path : Path
        The table.
    form : SampleFormat
        How it is read.

    Raises
    ------
    InputError
        It is no table of at least two columns and one row with unique ids, or it does not tell
        which column holds the label.
    """
    if not path.is_file():
        raise input_error(str(path), "a sample submission", "nothing there", "check the path")
    data = path.read_bytes()
    if problem := no_table(data):
        raise input_error(str(path), "a CSV table", problem, "download it again")
    encoding = _encoding(data)
    start = len(BOM) if data.startswith(BOM) else 0
    delimiter = delimiter_of(data[start : start + PIECE].decode(encoding, "replace"))
    table = _rows(data, start, delimiter.encode())
    spans, end = next(table)
    columns = tuple(_text(data, *span, encoding)[2] for span in spans)
    if len(columns) < 2:
        raise input_error(
            str(path), "of at least two columns, id and label", list(columns), "check it"
        )
    if odd := [c for c in columns if any(category(letter) in {"Cc", "Cf"} for letter in c)]:
        allowed, do = "without control characters and marks in them", "download it again"
        raise input_error(f"names of the columns of {path.name}", allowed, repr(odd[0]), do)
    header = data[: spans[-1][1]]
    line_end = data[len(header) : end] or b"\n"
    if not form.header:
        table, header, end = _rows(data, start, delimiter.encode()), b"", start
        columns = ("id", *(f"column {n}" for n in range(2, len(columns))), "label")
    at_id, at_label = _places(path, columns, form.label_column)
    ids, labels, before, after = [], [], [], []
    known: dict[str, str] = {}  # one object for all equal labels
    spaced = False
    for number, (row, stop) in enumerate(table, 1):
        if row == [(row[0][0],) * 2]:  # a blank line goes with the next row
            continue
        if len(row) != len(columns):
            got = f"{len(row)} in row {number}"
            raise input_error(str(path), f"of {len(columns)} cells a row", got, "check that row")
        ids.append(_text(data, *row[at_id], encoding)[2])
        a, b, label = _text(data, *row[at_label], encoding)
        labels.append(known.setdefault(label, label))
        before.append(data[end:a])
        cells = [data[slice(*row[n])] for n in (at_id, at_label)]
        spaced = spaced or any(c.strip() != c for c in cells)
        after.append(data[b:stop])
        end = stop
    if not ids:
        raise input_error(str(path), "of at least one row", "a header alone", "download it again")
    _unique(path, ids)
    after[-1] += data[end:]
    return Sample(
        header, line_end, delimiter, encoding, columns, at_id, at_label,
        tuple(ids), tuple(labels), tuple(before), tuple(after), spaced, form.header,
    )  # fmt: skip


def _unique(path: Path, ids: list[str]) -> None:
    repeated = [i for i, n in Counter(ids).items() if n > 1]
    if repeated:
        got, do = f"{repeated[0]!r} more than once", "download it again"
        raise input_error(f"ids of {path.name}", "unique", got, do)


def _encoding(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def delimiter_of(text: str) -> str:
    """What stands most often between the names of the first line."""
    line = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", text, maxsplit=1)[0])
    return max(DELIMITERS, key=line.count)


def _places(path: Path, columns: tuple[str, ...], wanted: str | None) -> tuple[int, int]:
    """Of ids and labels: the columns of such names; of two columns, the first and the second."""
    names = [re.sub(r"[^a-z]", "", c.lower()) for c in columns]
    if wanted is not None:
        if wanted not in columns:
            do = "name one of them"
            raise input_error("--submission-column", ", ".join(columns), wanted, do)
        label = columns.index(wanted)
    else:
        label = next((names.index(n) for n in LABEL_NAMES if n in names), len(names) - 1)
        if len(columns) > 2 and names[label] not in LABEL_NAMES:
            got = f"{len(columns)} columns that may be it: {', '.join(columns[:8])}"
            do = "name it with --submission-column (CHALLENGE_FLAGS='--submission-column NAME')"
            raise input_error(f"the label in {path}", "one column", got, do)
    others = [i for i in range(len(names)) if i != label]
    return next((i for i in others if names[i] in ID_NAMES), others[0]), label


def _rows(data: bytes, start: int, delimiter: bytes) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Every row as the spans of its cells, and where the next one begins."""
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


def _text(data: bytes, a: int, b: int, encoding: str) -> tuple[int, int, str]:
    """What a cell says, without quotes and the spaces around, and where that stands."""
    raw = data[a:b]
    if len(raw) > 1 and raw[:1] == raw[-1:] == b'"':
        return a + 1, b - 1, raw[1:-1].replace(b'""', b'"').decode(encoding)
    left = len(raw) - len(raw.lstrip(b" "))
    text = raw.strip(b" ")
    return a + left, a + left + len(text), text.decode(encoding)


def _cell(text: str, delimiter: str) -> str:
    """A text as a cell, in quotes where it needs them."""
    if any(c in text for c in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


def split(line: str, delimiter: str) -> list[str]:
    """The cells of one line."""
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def no_table(head: bytes) -> str:
    """What a file is instead of a table, by its first bytes; "" if it may be one."""
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
