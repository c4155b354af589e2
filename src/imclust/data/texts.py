"""Texts: rows of csv tables, as the index of a `texts` challenge points at them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from imclust.core.errors import input_error
from imclust.data.images import ImageRow, refuse_changed

COLUMN = "text"  # of the tables that an index points at


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a csv table, all rows as wide as the header; blank lines are left out.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte-order mark; quotes as in RFC 4180.

    Raises
    ------
    InputError
        It is a web page, binary, empty, or quotes and commas do not add up.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     path = Path(place) / "texts.csv"
    ...     _ = path.write_text('id,text\\na,"one, two"\\n')
    ...     read_table(path)
    (['id', 'text'], [['a', 'one, two']])
    """
    # A document may be longer than csv's limit of 131072 characters a field.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            if f.read(512).lstrip().startswith("<"):
                raise _no_table(path, "a web page", "download it again")
            f.seek(0)
            reader = csv.reader(f, strict=True)
            rows = [(reader.line_num, fields) for fields in reader]
    except UnicodeDecodeError:
        raise _no_table(path, "other bytes", "save it again as csv in UTF-8") from None
    except csv.Error as e:
        raise _no_table(path, str(e), "save it again with quotes around texts") from None
    finally:
        csv.field_size_limit(limit)
    rows = [(line, fields) for line, fields in rows if fields]
    if not rows:
        raise _no_table(path, "an empty file", "download it again")
    header = [name.strip() for name in rows[0][1]]
    for line, fields in rows[1:]:
        if len(fields) != len(header):
            got = f"{len(fields)} fields at line {line} under {len(header)} columns"
            raise _no_table(path, got, "put texts that hold commas in double quotes")
    return header, [fields for _, fields in rows[1:]]


def _no_table(path: Path, got: str, do: str) -> Exception:
    return input_error(str(path), "a csv table in UTF-8 with a header", got, do)


def read_texts(rows: Sequence[ImageRow]) -> list[str]:
    """The text of every row: number `member` of the column `text` of the table `source`.

    Raises
    ------
    InputError
        A text is not the one that was indexed.

    Examples
    --------
    >>> _ = Path("texts.csv").write_text("id,text\\na,a dune\\nb,a lake\\n")
    >>> read_texts([ImageRow("b", "train", "texts.csv", "1")])
    ['a lake']
    """
    columns: dict[str, list[str]] = {}
    for source in {r.source for r in rows}:
        header, table = read_table(Path(source))
        at = header.index(COLUMN)
        columns[source] = [fields[at] for fields in table]
    texts = [columns[r.source][int(r.member)] for r in rows]
    for row, text in zip(rows, texts, strict=True):
        try:
            refuse_changed(row, text.encode())
        except ValueError as e:
            got = f"{e} under id {row.id!r}"
            allowed, do = "the texts that were indexed", "run download again"
            raise input_error(row.source, allowed, got, do) from None
    return texts
