"""Files that hold many images: zip archives, tars of WebDataset, Parquet tables.

A member is a name in a zip or tar, and `column/row` in a Parquet table.
"""

from __future__ import annotations

import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from imclust.core.errors import input_error
from imclust.core.file_signatures import kept_for_file

TAR, PARQUET = ".tar", ".parquet"
KEPT_GROUPS = 4  # row groups of Parquet tables that are held at once
_reading = threading.Lock()


def member_bytes(source: str, member: str) -> bytes:
    """The stored bytes of an image inside of another file.

    Parameters
    ----------
    source : str
        Path of a `.tar`, a `.parquet`, or a zip of any name.
    member : str
        Which of its images.

    Raises
    ------
    ValueError, KeyError
        There is none.

    Examples
    --------
    >>> with zipfile.ZipFile("images.zip", "w") as z:
    ...     z.writestr("a.png", b"four")
    >>> member_bytes("images.zip", "a.png")
    b'four'
    """
    suffix = Path(source).suffix.lower()
    if suffix == TAR:
        offset, size = tar_members(source)[member]
        with open(source, "rb") as file:
            file.seek(offset)
            return file.read(size)
    if suffix == PARQUET:
        return _parquet_cell(source, member)
    with _zip(source).open(member) as file:
        return file.read()


def member_size(source: str, member: str) -> int:
    """How many bytes `member_bytes` gives, without reading them where the container says it.

    Parameters
    ----------
    source, member : str
        As for `member_bytes`.

    Examples
    --------
    >>> with zipfile.ZipFile("images.zip", "w") as z:
    ...     z.writestr("a.png", b"four")
    >>> member_size("images.zip", "a.png")
    4
    """
    suffix = Path(source).suffix.lower()
    if suffix == TAR:
        return tar_members(source)[member][1]
    if suffix == PARQUET:
        return len(_parquet_cell(source, member))
    return _zip(source).getinfo(member).file_size


@kept_for_file(8)
def _zip(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@kept_for_file(8)
def tar_members(path: str) -> dict[str, tuple[int, int]]:
    """Name of every file in a tar -> where its bytes begin, and how many there are.

    Raises
    ------
    InputError
        It is no tar, is packed, or holds two files of one name.

    Examples
    --------
    >>> with tarfile.open("images.tar", "w") as archive:
    ...     archive.add("photos/dune/00.png", "00.png")
    >>> list(tar_members("images.tar"))
    ['00.png']
    """
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                if not entry.isfile():
                    continue
                if entry.name in found:
                    got = f"{entry.name} twice"
                    raise input_error(path, "a tar of distinct names", got, "pack it again")
                found[entry.name] = (entry.offset_data, entry.size)
    except (tarfile.TarError, EOFError, OSError) as e:
        allowed = "a tar that is not packed, whole"
        raise input_error(path, allowed, str(e) or type(e).__name__, "unpack it first") from None
    return found


def parquet_file(path: str) -> Any:
    """The table at `path`, opened; its rows are not read.

    Raises
    ------
    InputError
        pyarrow is not installed, or this is no Parquet table.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from pyarrow.parquet import write_table
    >>> write_table(pa.table({"image": [b"four"], "label": ["dune"]}), "images.parquet")
    >>> parquet_file("images.parquet").schema_arrow.names
    ['image', 'label']
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        do = "pip install 'imclust[parquet]'"
        raise input_error("pyarrow", "installed to read Parquet", "none", do) from None
    try:
        return ParquetFile(path)
    except (ArrowException, OSError) as e:
        got = str(e).strip().splitlines()[0].rstrip(".")
        raise input_error(path, "a Parquet table", got, "download or write it again") from None


def _parquet_cell(source: str, member: str) -> bytes:
    column, _, row = member.rpartition("/")
    group, place = _row_groups(source)[int(row)]
    with _reading:
        value = _group(source, group, column)[place]
    if value is None:
        raise ValueError("no bytes stored")
    return bytes(value)


@kept_for_file(8)
def _row_groups(path: str) -> list[tuple[int, int]]:
    """Of every row of a Parquet table its row group, and its place there."""
    facts = parquet_file(path).metadata
    sizes = [facts.row_group(g).num_rows for g in range(facts.num_row_groups)]
    return [(g, i) for g, size in enumerate(sizes) for i in range(size)]


@kept_for_file(KEPT_GROUPS)
def _group(path: str, group: int, column: str) -> list[bytes | None]:
    """A column of bytes in one row group; of Hugging Face's `{bytes, path}` the bytes."""
    cells = parquet_file(path).read_row_group(group, columns=[column]).column(column).to_pylist()
    return [cell.get("bytes") if isinstance(cell, dict) else cell for cell in cells]
