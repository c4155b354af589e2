"""`export`: the assignment of a finished run in the format of another program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.wording import counted
from imclust.report.exports import EXPORTS
from imclust.report.finished_run import FinishedRun


@dataclass(frozen=True)
class Export:
    """Write the clusters of a run for another program: folders, COCO, Label Studio, ..."""

    format: Annotated[Any, EXPORTS]
    """Which one, with its own flags."""
    run: tyro.conf.Positional[Path]
    """The folder of a finished run; `cluster-folder` says it at its end."""
    out: Path
    """The file or folder that is written; it must be free."""


def run(cfg: Export) -> None:
    """Read a run, write a file or folder.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("export run --out clusters.json coco".split())  # doctest: +ELLIPSIS
    24 images in 2 clusters: clusters.json
    open it: pycocotools.coco.COCO('clusters.json'); the images lie below ...photos
    0
    """
    out = cfg.out.expanduser()
    if os.path.lexists(out):
        raise input_error(f"--out {out}", "free", "something there", "choose another name")
    if not out.absolute().parent.is_dir():
        got = f"{out.absolute().parent}, which does not exist"
        raise input_error("the place of --out", "a folder that is there", got, "make it first")
    found = FinishedRun.load(cfg.run)
    if out.resolve().is_relative_to(found.data):
        do = "choose another place: what is exported must not be found as new images"
        raise input_error("--out", "outside of the images", out.resolve(), do)
    how = EXPORTS.for_config(cfg.format).method(found, out, cfg.format)
    images = counted(len(found.clustering.rows), "image")
    clusters = len({row.cluster for row in found.clustering.rows})
    say(f"{images} in {counted(clusters, 'cluster')}: {out}")
    say(f"open it: {how}")
