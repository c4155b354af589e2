"""Parquet: a row an image with its place on the map, for Embedding Atlas, DuckDB, pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from imclust.core.errors import input_error
from imclust.core.files import replaced_file
from imclust.core.records import Features
from imclust.data.images import ImageRow, in_threads
from imclust.data.small_jpeg import small_jpeg
from imclust.report.exports import EXPORTS, label_names
from imclust.report.finished_run import FinishedRun

SIDES = range(513)  # pixels
QUALITY = 80  # of the small pictures' JPEG
BLOCK = 1000  # images that are written together


@dataclass(frozen=True)
class ParquetConfig:
    """A table: id, path, file, cluster, label, confidence, x, y, image, ..."""

    side: int = 128
    """Of the small pictures in the column `image`, in pixels, 512 at most; 0 leaves them out.
    Embedding Atlas shows these: it is a page, which may not open files."""

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            do = "take 128, or 0 for none"
            raise input_error("--side", f"from 0 to {SIDES[-1]} pixels", self.side, do)


@EXPORTS.register("parquet", ParquetConfig, paper="apple.github.io/embedding-atlas/tool.html")
def parquet(run: FinishedRun, out: Path, cfg: ParquetConfig) -> str:
    """One file; `x` and `y` are there where the run has a map, small pictures unless not wanted.

    Examples
    --------
    >>> from pyarrow.parquet import read_table
    >>> parquet(FinishedRun.load(Path("run")), Path("clusters.parquet"), ParquetConfig())
    'embedding-atlas clusters.parquet --disable-projection --text label --image image'
    >>> read_table("clusters.parquet").column_names[:4]
    ['id', 'path', 'file', 'cluster']
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        do = "pip install 'imclust[parquet]'"
        raise input_error("pyarrow", "installed to write Parquet", "none", do) from None
    rows, images = run.clustering.rows, run.clustering.images
    labels = label_names(run.clustering)
    columns: dict[str, Any] = {
        "id": [image.id for image in images],
        "path": [f"{i.source}/{i.member}" if i.member else i.source for i in images],
        "file": [row.file for row in rows],
        "cluster": pa.array([row.cluster for row in rows], pa.int32()),
        "label": [labels[row.cluster] for row in rows],
        "confidence": pa.array([row.confidence for row in rows], pa.float32()),
        "runner_up": pa.array([row.runner_up for row in rows], pa.int32()),
        "distance": pa.array([row.distance for row in rows], pa.float32()),
    }
    if run.embedding is not None:
        xy = Features.load(run.embedding).at(np.array(columns["id"]))
        columns |= {"x": pa.array(xy[:, 0]), "y": pa.array(xy[:, 1])}
    table = pa.table(columns)
    schema, kind = table.schema, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pictures = cfg.side > 0 and not any(i.source.endswith(".npy") for i in images)
    if pictures:
        schema = schema.append(pa.field("image", kind))
    with replaced_file(out) as fresh, ParquetWriter(fresh, schema) as to:
        for a in range(0, len(images), BLOCK):
            block = table.slice(a, BLOCK)
            if pictures:
                found = in_threads(lambda row: _picture(row, cfg.side), images[a : a + BLOCK])
                block = block.append_column("image", pa.array(list(found), kind))
            to.write_table(block)
    place = " --x x --y y" if run.embedding is not None else " --disable-projection"
    shown = " --image image" if pictures else ""
    return f"embedding-atlas {quote(str(out))}{place} --text label{shown}"


def _picture(row: ImageRow, side: int) -> dict[str, Any] | None:
    """As Hugging Face's data sets hold one; none of a file that has gone or changed."""
    try:
        return {"bytes": small_jpeg(row, side, QUALITY), "path": None}
    except (OSError, ValueError, KeyError):
        return None
