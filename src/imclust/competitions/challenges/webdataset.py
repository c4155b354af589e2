"""`webdataset`: tars of images, the files of one sample side by side under one name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, in_sample_order
from imclust.core.errors import input_error
from imclust.data.containers import TAR, member_bytes, tar_members
from imclust.data.find_images import image_suffixes
from imclust.data.images import ImageRow


@dataclass(frozen=True)
class WebDatasetConfig(LocalData):
    """A folder of .tar files, or one of them. You say how many clusters: K=<n>."""

    label_suffix: str = "cls"
    """What ends the name of a sample's file that holds its true class, for scoring only."""


@CHALLENGES.register(
    "webdataset", WebDatasetConfig, paper="github.com/webdataset/webdataset, the tar format"
)
def webdataset(cfg: WebDatasetConfig, files: Path) -> Challenge:
    """Images stay in their tars. The id is the sample's name; where several tars have one of the
    same name, that of the tar stands before it.

    Raises
    ------
    InputError
        No tar, a packed one, a sample of two images, fewer than two images.

    Examples
    --------
    >>> import tarfile
    >>> with tarfile.open("photos.tar", "w") as tar:
    ...     for kind in ("dune", "lake"):
    ...         tar.add(f"photos/{kind}/00.png", f"{kind}.png")
    >>> [row.id for row in webdataset(WebDatasetConfig(Path("photos.tar")), Path("files")).rows]
    ['dune', 'lake']
    """
    samples: list[tuple[Path, str, str, str]] = []  # tar, name, its image, its class
    for path in _tars(cfg.data_dir.resolve()):
        samples += _samples(path, cfg.label_suffix)
    if len(samples) < 2:
        got = f"{len(samples)} in {cfg.data_dir}"
        raise input_error("images in tars", "two at least", got, "check the path")
    names = [name for _, name, _, _ in samples]
    apart = len(set(names)) == len(names)
    rows, labels = [], {}
    for tar, name, image, label in samples:
        row = ImageRow(name if apart else f"{tar.stem}/{name}", "train", str(tar), image)
        rows.append(row)
        if label:
            labels[row.id] = label
    return in_sample_order(cfg, files, Challenge(rows, labels))


def _tars(data: Path) -> list[Path]:
    found = [data] if data.is_file() else sorted(p for p in data.rglob("*") if p.is_file())
    packed = [p.name for p in found if ".tar." in p.name.lower() or p.suffix.lower() == ".tgz"]
    if packed:
        do = "unpack them first (gunzip): images are read where they lie"
        raise input_error("tars", "not packed", ", ".join(packed[:3]), do)
    return [p for p in found if p.suffix.lower() == TAR]


def _samples(path: Path, label_suffix: str) -> list[tuple[Path, str, str, str]]:
    """The samples of a tar in its order; a name ends at the first dot behind the last slash."""
    members = tar_members(str(path))
    images: dict[str, str] = {}
    classes: dict[str, str] = {}
    for member in members:
        file = PurePosixPath(member)
        stem, _, ending = file.name.partition(".")
        name = (file.parent / stem).as_posix()
        if "." + ending.rpartition(".")[2].lower() in image_suffixes():
            if name in images:
                got = f"{images[name]} and {member} in {path}"
                raise input_error(f"sample {name}", "of one image", got, "keep one of them")
            images[name] = member
        elif ending == label_suffix:
            classes[name] = member_bytes(str(path), member).decode(errors="replace").strip()
    return [(path, name, image, classes.get(name, "")) for name, image in images.items()]
