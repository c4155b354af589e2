"""Checks of tables that name images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from imclust.core.errors import input_error


def refuse_repeated(ids: Sequence[str], what: str, do: str) -> None:
    """Refuse ids of which two are the same.

    Parameters
    ----------
    ids : sequence of str
        As given.
    what, do : str
        They are, and what to do about it, for the sentence.

    Examples
    --------
    >>> refuse_repeated(["a", "b"], "ids", "rename one")
    """
    repeated = [i for i, count in Counter(ids).items() if count > 1]
    if repeated:
        raise input_error(what, "unique", f"{repeated[0]!r} more than once", do)


def column(
    data: Path, header: list[str], table: list[list[str]], name: str, flag: str
) -> list[str]:
    """The cells of a column of a csv table, without the spaces about them.

    Parameters
    ----------
    data : Path
        The table's file, for the sentence.
    header, table : list
        As `read_table` gives them.
    name : str
        Of the column.
    flag : str
        That names it, for the sentence.

    Raises
    ------
    InputError
        There is no such column.

    Examples
    --------
    >>> column(Path("a.csv"), ["id"], [[" 7 "]], "id", "--id-column")
    ['7']
    """
    if name not in header:
        allowed = f"one of its columns ({', '.join(header)})"
        raise input_error(f"{flag} of {data}", allowed, name, "choose one")
    at = header.index(name)
    return [cells[at].strip() for cells in table]
