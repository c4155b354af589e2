"""Tables as Parquet, in shards: for programs that read many rows at once (extra `parquet`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from imclust.core.errors import input_error

ROWS = 1 << 20  # rows of a file


def check_parquet(what: str = "--parquet") -> None:
    """Refuse to write Parquet where the package for it is missing.

    Parameters
    ----------
    what : str, optional
        The setting, as its user knows it.

    Examples
    --------
    >>> check_parquet()  # doctest: +SKIP
    """
    if importlib.util.find_spec("pyarrow") is None:
        do = "pip install 'imclust[parquet]', or leave it out"
        raise input_error(what, "used where pyarrow is installed", "no pyarrow here", do)


def write_shards(
    folder: Path, columns: Mapping[str, np.ndarray | list[str]], rows: int = ROWS
) -> int:
    """Write columns of one length as part-00000.parquet, part-00001.parquet, ... of a new folder.

    Parameters
    ----------
    folder : Path
        Made here; readers take it as one table.
    columns : mapping of str to array or list of str
        Name -> (n,) values.
    rows : int, optional
        Of a file; the last may have fewer.

    Returns
    -------
    int
        How many files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     write_shards(Path(home, "t.parquet"), {"cluster": np.arange(5)}, rows=2)
    3
    """
    import pyarrow as pa
    from pyarrow.parquet import write_table

    folder.mkdir()
    n = len(next(iter(columns.values())))
    starts = range(0, max(n, 1), rows)
    for number, a in enumerate(starts):
        part = pa.table({name: pa.array(of[a : a + rows]) for name, of in columns.items()})
        write_table(part, folder / f"part-{number:05}.parquet")
    return len(starts)
