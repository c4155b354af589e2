"""The file that a leaderboard wants: its sample as a template whose labels are to be filled in."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Literal
from unicodedata import category

from imclust.competitions.table_cells import (
    BOM,
    DELIMITERS,
    cell_spans,
    cell_text,
    opened,
    split,
)
from imclust.core.errors import input_error
from imclust.core.wording import counted

SAMPLE = "sample_submission.csv"
LABEL_NAMES = (
    *("label", "cluster", "clusterid", "class", "category", "prediction", "predicted", "target"),
    *("identity", "labels", "answer", "same", "matches", "scene"),
)
ID_NAMES = ("id", "imageid", "image", "filename", "file", "name", "rowid", "index")
Form = Literal["labels", "matches", "lines", "members", "indicators"]
"""Id and label; id and the ids of its cluster; a label a line; a column of ids, or one of 0 and 1,
a cluster."""


@dataclass(frozen=True)
class SampleFormat:
    """How a sample submission is read, where its text does not tell.

    Parameters
    ----------
    header : bool
        Whether its first line names the columns.
    label_column : str, optional
        Name of the column of labels.
    form : str, optional
        One of `Form`; None to be told from the text.
    outliers : str, optional
        What images alone in their cluster are called, all alike.
    """

    header: bool = True
    label_column: str | None = None
    form: Form | None = None
    outliers: str | None = None


PLAIN = SampleFormat()  # nothing is said of it


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
    form : str
        One of `Form`. Of `lines`, ids are row numbers until an index gives them. Of `members`,
        `labels` are the names of the columns, `before` and `after` are empty. Of `indicators`, a
        label is all cells but the id's.
    outliers : str, optional
        What images alone in their cluster are called, all alike.
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
    form: Form = "labels"
    outliers: str | None = None

    @property
    def names(self) -> tuple[str, str]:
        """Names of the columns of ids and labels."""
        return self.columns[self.id_column], self.columns[self.label_column]

    @property
    def values(self) -> tuple[str, ...]:
        """Distinct labels in the sample, in natural order: numbers as numbers.

        Columns that are clusters stay in their order; lists of matches are no labels.
        """
        if self.form == "matches":
            return ()
        if self.form in ("members", "indicators"):
            named = self.columns if self.form == "members" else self.columns[1:]
            return tuple(c for c in named if c != self.outliers)
        return natural({v for v in self.labels if v and v != self.outliers})


def natural(values: Iterable[str]) -> tuple[str, ...]:
    """Sorted: as numbers where all are numbers, else as texts.

    Examples
    --------
    >>> natural(["10", "9"])
    ('9', '10')
    """
    texts = sorted(values)
    numbers = as_numbers(texts)
    return tuple(sorted(texts, key=float)) if numbers else tuple(texts)


def as_numbers(values: Sequence[str]) -> list[float]:
    """All values as finite numbers; none of them if one is none.

    Examples
    --------
    >>> as_numbers(["1", "2.5"]), as_numbers(["1", "cat"])
    ([1.0, 2.5], [])
    """
    try:
        numbers = [float(v) for v in values]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def plain_sample(ids: Sequence[str], columns: tuple[str, str]) -> Sample:
    """What a challenge without a sample wants: two columns, commas, `\\n`.

    Examples
    --------
    >>> render(plain_sample(["a", "b"], ("id", "label")), ["0", "1"])
    b'id,label\\na,0\\nb,1\\n'
    """
    before = tuple(f"{_cell(i, ',')},".encode() for i in ids)
    header = ",".join(_cell(c, ",") for c in columns).encode()
    empty = ("",) * len(ids)
    return Sample(
        header, b"\n", ",", "utf-8", columns, 0, 1, tuple(ids), empty, before, (b"\n",) * len(ids)
    )


def with_header(sample: Sample, text: str) -> Sample:
    """The sample under another header, everything else unchanged.

    Parameters
    ----------
    sample : Sample
        The template.
    text : str
        The first line, without its end.

    Raises
    ------
    InputError
        It does not name as many columns.

    Examples
    --------
    >>> sample = with_header(plain_sample(["a"], ("id", "label")), "image,class")
    >>> render(sample, ["0"])
    b'image,class\\na,0\\n'
    """
    columns = tuple(c.strip() for c in split(text, sample.delimiter))
    if len(columns) != len(sample.columns) or not all(columns) or {"\n", "\r"} & set(text):
        names = sample.delimiter.join(sample.columns)
        allowed = f"one line of {len(sample.columns)} names with {DELIMITERS[sample.delimiter]}"
        raise input_error("--header", allowed, repr(text), f"write for example {names!r}")
    mark = BOM if sample.header.startswith(BOM) else b""
    return replace(sample, header=mark + _encoded(text, sample), columns=columns)


def render(sample: Sample, labels: Sequence[str]) -> bytes:
    """The submission.

    Parameters
    ----------
    sample : Sample
        The template.
    labels : sequence of str
        (n,) in the order of the sample's ids, as they stand in a cell.

    Raises
    ------
    InputError
        A label that the sample's encoding cannot write.

    Examples
    --------
    >>> _ = Path("sample.csv").write_bytes(b"id;label\\r\\na;0\\r\\nb;0\\r\\n")
    >>> render(read_sample(Path("sample.csv")), ["1", "2"])
    b'id;label\\r\\na;1\\r\\nb;2\\r\\n'
    """
    if len(labels) != len(sample.ids):
        raise ValueError(f"{counted(len(labels), 'label')} for {counted(len(sample.ids), 'id')}")
    if sample.form == "members":
        return _columns_of_members(sample, labels)
    whole = sample.form == "indicators"  # cells with what stands between them
    bare = {v: _encoded(v if whole else _cell(v, sample.delimiter), sample) for v in set(labels)}
    quoted = {v: _encoded(v.replace('"', '""'), sample) for v in bare}
    rows = (
        b + (quoted if b.endswith(b'"') else bare)[v] + a
        for b, v, a in zip(sample.before, labels, sample.after, strict=True)
    )
    top = (sample.header, sample.line_end) if sample.has_header else ()
    return b"".join((*top, *rows))


def _columns_of_members(sample: Sample, labels: Sequence[str]) -> bytes:
    """A column a cluster, its ids below its name, in the sample's order; short columns end empty.

    Names are the sample's where these will do, quoted as its first cell is.
    """
    names = sample.columns
    if not set(labels) <= set(names):
        names = tuple(dict.fromkeys(labels))
    members: dict[str, list[str]] = {name: [] for name in names}
    for image, name in zip(sample.ids, labels, strict=True):
        members[name].append(image)
    quoted = sample.before[0] == b'"'

    def line(cells: Iterable[str]) -> bytes:
        d = sample.delimiter
        texts = (f'"{c.replace(chr(34), chr(34) * 2)}"' if quoted else _cell(c, d) for c in cells)
        return _encoded(d.join(texts), sample)

    rows = [line(row) for row in zip_longest(*members.values(), fillvalue="")]
    top = sample.header if names == sample.columns else line(names)
    mark = BOM if sample.header.startswith(BOM) and names != sample.columns else b""
    lines = [mark + top, *rows] if sample.has_header else rows
    top = b"" if sample.has_header else sample.header
    return top + sample.line_end.join(lines) + sample.after[0]


def _encoded(text: str, sample: Sample) -> bytes:
    try:
        return text.encode(sample.encoding)
    except UnicodeEncodeError:
        allowed = f"of letters that {sample.encoding} has, the sample's encoding"
        raise input_error("header and labels", allowed, repr(text), "take another name") from None


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

    Examples
    --------
    >>> _ = Path("sample.csv").write_text("ImageID,label\\nb,0\\na,0\\n")
    >>> sample = read_sample(Path("sample.csv"))
    >>> sample.ids, sample.names, sample.values
    (('b', 'a'), ('ImageID', 'label'), ('0',))
    """
    data, encoding, start, delimiter = opened(path)
    table = cell_spans(data, start, delimiter.encode())
    spans, end = next(table)
    columns = tuple(cell_text(data, *span, encoding)[2] for span in spans)
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
        table, header, end = cell_spans(data, start, delimiter.encode()), b"", 0
        columns = ("id", *(f"column {n}" for n in range(2, len(columns))), "label")
    wide = form.form == "indicators"
    at_id, at_label = (0, 1) if wide else _places(path, columns, form.label_column)
    ids, labels, before, after = [], [], [], []
    known: dict[str, str] = {}  # one object for all equal labels
    spaced = False
    for number, (row, stop) in enumerate(table, 1):
        if row == [(row[0][0],) * 2]:  # a blank line goes with the next row
            continue
        if len(row) != len(columns):
            got = f"{len(row)} in row {number}"
            raise input_error(str(path), f"of {len(columns)} cells a row", got, "check that row")
        ids.append(cell_text(data, *row[at_id], encoding)[2])
        a, b, label = cell_text(data, *row[at_label], encoding)
        if wide:
            a, b = row[1][0], row[-1][1]
            label = data[a:b].decode(encoding)
        labels.append(known.setdefault(label, label))
        before.append(data[end:a])
        cells = [data[slice(*row[n])] for n in (at_id, at_label)]
        spaced = spaced or any(c.strip() != c for c in cells)
        after.append(data[b:stop])
        end = stop
    if not ids:
        raise input_error(str(path), "of at least one row", "a header alone", "download it again")
    unique_ids(path, ids)
    after[-1] += data[end:]
    return Sample(
        header, line_end, delimiter, encoding, columns, at_id, at_label,
        tuple(ids), tuple(labels), tuple(before), tuple(after), spaced, form.header,
        form.form or "labels", form.outliers,
    )  # fmt: skip


def unique_ids(path: Path, ids: Sequence[str]) -> None:
    """Refuse ids of a sample that are there twice.

    Examples
    --------
    >>> unique_ids(Path("sample.csv"), ["a", "b"])
    """
    repeated = [i for i, n in Counter(ids).items() if n > 1]
    if repeated:
        got, do = f"{repeated[0]!r} more than once", "download it again"
        raise input_error(f"ids of {path.name}", "unique", got, do)


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


def _cell(text: str, delimiter: str) -> str:
    """A text as a cell, in quotes where it needs them."""
    if any(c in text for c in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text
