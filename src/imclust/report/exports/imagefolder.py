"""A folder a cluster: torchvision's ImageFolder, Keras' image_dataset_from_directory, fastai."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from imclust.core.checks import disk_space
from imclust.core.files import new_folder
from imclust.data.images import read_bytes, stored_bytes
from imclust.report.cluster_folders import planned_places
from imclust.report.exports import EXPORTS, image_files
from imclust.report.finished_run import FinishedRun


@dataclass(frozen=True)
class ImageFolderConfig:
    """A folder of images a cluster, as ImageFolder of torchvision reads it."""

    symlinks: bool = False
    """Links to the images instead of copies."""


@EXPORTS.register("imagefolder", ImageFolderConfig, paper="torchvision.datasets.ImageFolder")
def imagefolder(run: FinishedRun, out: Path, cfg: ImageFolderConfig) -> str:
    """Copies of all images, or links to them, below `out`.

    Examples
    --------
    >>> imagefolder(FinishedRun.load(Path("run")), Path("sorted"), ImageFolderConfig())
    "torchvision.datasets.ImageFolder('sorted')"
    >>> sorted(folder.name for folder in Path("sorted").iterdir() if folder.is_dir())
    ['0', '1']
    """
    places = planned_places(run.clustering)
    if cfg.symlinks:
        image_files(run, "links")
    else:
        disk_space(out, sum(map(stored_bytes, run.clustering.images)))
    with new_folder(out) as fresh:
        for at, image in places.items():
            to = fresh / at
            to.parent.mkdir(exist_ok=True)
            if cfg.symlinks:
                os.symlink(image.source, to)
            elif image.member:
                to.write_bytes(read_bytes(image))
            else:
                shutil.copyfile(image.source, to)
    return f"torchvision.datasets.ImageFolder({str(out)!r})"
