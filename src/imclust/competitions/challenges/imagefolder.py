"""`imagefolder`: a tree with one folder a class; the names are labels, for scoring only, but for
those that are published for learning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, image_files
from imclust.core.errors import input_error
from imclust.data.images import ImageRow
from imclust.data.inspection import inspect


@dataclass(frozen=True)
class ImageFolderConfig(LocalData):
    """A folder (or zip) of class folders. K is their number unless you say otherwise."""

    published: float = 0.0
    """Share of every class whose labels are given away for learning (`finetune --published`), at
    least one image each; they are not scored then."""

    def __post_init__(self) -> None:
        if not 0 <= self.published < 1:
            do = "leave some images to score on"
            raise input_error("--published", "a share in [0, 1)", self.published, do)


@CHALLENGES.register("imagefolder", ImageFolderConfig, paper="torchvision's ImageFolder layout")
def imagefolder(cfg: ImageFolderConfig, files: Path) -> Challenge:
    """The class is the folder that an image lies in directly.

    The number of folders is what such a task states (its K); the names reach scoring only.

    Examples
    --------
    >>> challenge = imagefolder(ImageFolderConfig(Path("photos")), Path("files"))
    24 images found, 1 file left out: 1 .csv
    >>> challenge.n_clusters, challenge.labels["lake/00.png"]
    (2, 'lake')
    """
    data = cfg.data_dir.resolve()
    rows, labels = [], {}
    for source, member in image_files(data):
        path = PurePosixPath(member or source.relative_to(data).as_posix())
        if len(path.parts) < 2:
            raise input_error(
                f"image {path}", "in a class folder", "at the top", "use CHALLENGE=folder instead"
            )
        rows.append(ImageRow(str(path), "train", str(source), member))
        labels[str(path)] = path.parent.name
    n_clusters = len(set(labels.values()))
    if not cfg.published:
        return Challenge(rows, labels, n_clusters=n_clusters)
    rows = inspect(rows, len(rows))
    published, held_out = _shares(rows, labels, cfg.published)
    return Challenge(rows, held_out, n_clusters=n_clusters, published=published)


def _shares(
    rows: list[ImageRow], labels: dict[str, str], share: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Labels to learn from, and those to score with: never of the same image, nor of a copy.

    A class of one image gives it away. Which images are published depends on their ids alone.
    """
    classes: dict[str, list[ImageRow]] = {}
    for row in rows:
        if not row.problem:
            classes.setdefault(labels[row.id], []).append(row)
    chosen: set[str] = set()
    digests: set[str] = set()
    for members in classes.values():
        members.sort(key=lambda r: hashlib.sha256(r.id.encode()).digest())
        most = max(1, len(members) - 1)
        mine = members[: min(max(1, round(share * len(members))), most)]
        chosen |= {r.id for r in mine}
        digests |= {r.digest for r in mine}
    published = {r.id: labels[r.id] for r in rows if r.id in chosen}
    held_out = {r.id: labels[r.id] for r in rows if r.digest not in digests}
    return published, held_out
