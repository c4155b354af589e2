"""Answers in the formats of other programs: one file a format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from imclust.core.errors import input_error
from imclust.core.registry import Registry
from imclust.report.finished_run import FinishedRun
from imclust.report.results import FolderAssignment

# (run, where to write, config) -> one sentence on how it is opened. What is written is a file or a
# folder by the format's own rules; nothing is there before.
Exporter: TypeAlias = Callable[[FinishedRun, Path, Any], str]
EXPORTS: Registry[Exporter] = Registry("export format", "imclust.report.exports")


def label_names(clustering: FolderAssignment) -> list[str]:
    """What every cluster is called in another program: its name, `cluster 3` without one.

    No two are equal: names that several clusters have are told apart by their numbers.

    Examples
    --------
    >>> label_names(FolderAssignment([], [], [], ["sea", "", "sea"]))
    ['sea (cluster 0)', 'cluster 1', 'sea (cluster 2)']
    """
    often = Counter(clustering.names)
    found = []
    for c, name in enumerate(clustering.names):
        plain = f"cluster {c}"
        found.append(plain if not name else name if often[name] == 1 else f"{name} ({plain})")
    if len(set(found)) < len(found):  # somebody called one `cluster 3`
        found = [f"{name} ({c})" for c, name in enumerate(found)]
    return found


def image_files(run: FinishedRun, what: str) -> list[Path]:
    """The file of every image of a run, in the order of its rows.

    Parameters
    ----------
    run : FinishedRun
        Whose images.
    what : str
        That needs them, for refusals.

    Raises
    ------
    InputError
        One has gone, or they lie in an archive or an array: `what` needs files.

    Examples
    --------
    >>> files = image_files(FinishedRun.load(Path("run")), "FiftyOne")
    >>> len(files), files[0].name
    (24, '00.png')
    """
    for image in run.clustering.images:
        if image.member:
            do = "unpack them and cluster the folder, or take coco or parquet"
            raise input_error(f"images for {what}", "files of their own",
                              f"images in {image.source}", do)  # fmt: skip
        if not Path(image.source).is_file():
            do = "bring it back, or run cluster-folder again"
            raise input_error(f"images for {what}", "there", f"none at {image.source}", do)
    return [Path(image.source) for image in run.clustering.images]
