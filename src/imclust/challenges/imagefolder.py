"""`imagefolder`: a tree with one folder a class; the names are labels, for scoring only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclust.challenges import CHALLENGES
from imclust.challenges._base import Challenge, LocalData, image_files
from imclust.checks import refusal
from imclust.images import ImageRow


@dataclass(frozen=True)
class ImageFolderConfig(LocalData):
    """A folder (or zip) of class folders. K is their number unless you say otherwise."""


@CHALLENGES.register("imagefolder", ImageFolderConfig, paper="torchvision's ImageFolder layout")
def imagefolder(cfg: ImageFolderConfig, files: Path) -> Challenge:
    """The class is the folder that an image lies in directly.

    The number of folders is what such a task states (its K); the names reach scoring only.
    """
    data = cfg.data_dir.resolve()
    rows, labels = [], {}
    for source, member in image_files(data):
        path = PurePosixPath(member or source.relative_to(data).as_posix())
        if len(path.parts) < 2:
            raise refusal(
                f"image {path}", "in a class folder", "at the top", "use CHALLENGE=folder instead"
            )
        rows.append(ImageRow(str(path), "train", str(source), member))
        labels[str(path)] = path.parent.name
    return Challenge(rows, labels, n_clusters=len(set(labels.values())))
