"""`parquet`: tables with the bytes of an image in every row, such as Hugging Face's data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, in_sample_order
from imclust.competitions.challenges._columns import refuse_repeated
from imclust.core.errors import input_error
from imclust.data.containers import PARQUET, parquet_file
from imclust.data.images import ImageRow


@dataclass(frozen=True)
class ParquetConfig(LocalData):
    """A folder of .parquet files, or one of them. You say how many clusters: K=<n>."""

    image_column: str = ""
    """Column with the bytes of the images, or of Hugging Face's `{bytes, path}`; the only one of
    this kind unless given."""
    id_column: str = ""
    """Column of the ids; unless given `id` where there is one, else files and rows are counted."""
    label_column: str = ""
    """Column of true classes, for scoring only; rows where it is empty are not scored."""


@CHALLENGES.register("parquet", ParquetConfig, paper="huggingface.co/docs/datasets, image column")
def parquet(cfg: ParquetConfig, files: Path) -> Challenge:
    """Images stay in their tables.

    Raises
    ------
    InputError
        No Parquet table, a column that is not there, several that may hold the images, an id
        twice, fewer than two rows.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from pyarrow.parquet import write_table
    >>> images = [Path(f"photos/{kind}/00.png").read_bytes() for kind in ("dune", "lake")]
    >>> write_table(pa.table({"id": ["a", "b"], "image": images}), "photos.parquet")
    >>> [row.id for row in parquet(ParquetConfig(Path("photos.parquet")), Path("files")).rows]
    ['a', 'b']
    """
    data = cfg.data_dir.resolve()
    found = [data] if data.is_file() else sorted(data.rglob(f"*{PARQUET}"))
    rows: list[ImageRow] = []
    labels: dict[str, str] = {}
    for number, path in enumerate(found):
        table = parquet_file(str(path))
        names = table.schema_arrow.names
        column = cfg.image_column or _image_column(path, table.schema_arrow)
        _refuse_missing(path, names, column, "--image-column")
        ids = _ids(cfg, path, table, f"{number}-" if len(found) > 1 else "")
        rows += [ImageRow(i, "train", str(path), f"{column}/{n}") for n, i in enumerate(ids)]
        if cfg.label_column:
            _refuse_missing(path, names, cfg.label_column, "--label-column")
            classes = _texts(table, cfg.label_column)
            labels |= {i: c for i, c in zip(ids, classes, strict=True) if c}
    if len(rows) < 2:
        got = f"{len(rows)} in {cfg.data_dir}"
        raise input_error("rows of Parquet tables", "two at least", got, "check the path")
    refuse_repeated([row.id for row in rows], "ids of the tables", "give another --id-column")
    return in_sample_order(cfg, files, Challenge(rows, labels))


def _image_column(path: Path, schema: Any) -> str:
    """The only column of bytes."""
    import pyarrow as pa

    def holds_bytes(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return "bytes" in [kind.field(i).name for i in range(kind.num_fields)]
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [field.name for field in schema if holds_bytes(field.type)]
    if len(found) != 1:
        got = f"{' and '.join(found)}" if found else f"none among {', '.join(schema.names)}"
        do = "name one with --image-column" if found else "take tables that hold the images"
        raise input_error(f"columns of bytes of {path}", "one", got, do)
    return found[0]


def _refuse_missing(path: Path, names: list[str], column: str, flag: str) -> None:
    if column not in names:
        allowed = f"one of its columns ({', '.join(names)})"
        raise input_error(f"{flag} of {path}", allowed, column, "choose one")


def _ids(cfg: ParquetConfig, path: Path, table: Any, before: str) -> list[str]:
    names = table.schema_arrow.names
    if cfg.id_column:
        _refuse_missing(path, names, cfg.id_column, "--id-column")
    column = cfg.id_column or ("id" if "id" in names else "")
    if not column:
        return [f"{before}{n}" for n in range(table.metadata.num_rows)]
    ids = _texts(table, column)
    if "" in ids:
        got = f"row {ids.index('')} of {path} without one"
        raise input_error(f"column {column}", "an id in every row", got, "give another --id-column")
    return ids


def _texts(table: Any, column: str) -> list[str]:
    """A column as texts; empty where nothing stands."""
    cells = table.read(columns=[column]).column(column).to_pylist()
    return ["" if cell is None else str(cell).strip() for cell in cells]
