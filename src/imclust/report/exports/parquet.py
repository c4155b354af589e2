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
from imclust.report.exports import EXPORTS, label_names
from imclust.report.finished_run import FinishedRun


@dataclass(frozen=True)
class ParquetConfig:
    """A table: id, path, file, cluster, label, confidence, x, y, ..."""


@EXPORTS.register("parquet", ParquetConfig, paper="apple.github.io/embedding-atlas/tool.html")
def parquet(run: FinishedRun, out: Path, cfg: ParquetConfig) -> str:
    """One file; `x` and `y` are there where the run has a map.

    Examples
    --------
    >>> from pyarrow.parquet import read_table
    >>> parquet(FinishedRun.load(Path("run")), Path("clusters.parquet"), ParquetConfig())
    'embedding-atlas clusters.parquet --text label --image path'
    >>> read_table("clusters.parquet").column_names[:4]
    ['id', 'path', 'file', 'cluster']
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import write_table
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
    with replaced_file(out) as fresh:
        write_table(pa.table(columns), fresh)
    place = " --x x --y y" if run.embedding is not None else ""
    return f"embedding-atlas {quote(str(out))}{place} --text label --image path"
