"""`folder`: a folder or zip of images, in the order of sample_submission.csv where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, image_files
from imclust.competitions.submission import SAMPLE, read_sample
from imclust.core.checks import in_range
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.data.images import ImageRow


@dataclass(frozen=True)
class FolderConfig(LocalData):
    """Images in a folder (also nested) or a zip. You say how many clusters: K=<n>."""

    least: int = 2
    """So many images must be there; 1 will do where they are placed among others."""

    def __post_init__(self) -> None:
        in_range("folder", "least", self.least, 1, float("inf"))


@CHALLENGES.register("folder", FolderConfig, paper="anybody's images")
def folder(cfg: LocalData, files: Path) -> Challenge:
    """Ids are those of sample_submission.csv, which also fixes order and header.

    A sample's id may be an image's path, name, or either without its suffix. Without a sample,
    ids are the paths below the folder.
    """
    data = cfg.data_dir.resolve()
    least = cfg.least if isinstance(cfg, FolderConfig) else 2
    found = image_files(data, least)
    path = (data if data.is_dir() else data.parent) / SAMPLE
    if not path.is_file():
        return Challenge([image_row(image_name(data, f), f) for f in found], least=least)
    sample = read_sample(path)
    by_id = find(sample.ids, data, found, f"id of {SAMPLE}")
    if len(found) > len(by_id):
        say(f"{len(found) - len(by_id)} of {len(found)} images are not in {SAMPLE}: left out")
    rows = [image_row(i, by_id[i]) for i in sample.ids]
    return Challenge(rows, columns=sample.names, sample=path, least=least)


def find(
    ids: Sequence[str], data: Path, found: list[tuple[Path, str]], what: str
) -> dict[str, tuple[Path, str]]:
    """The one image of each id: its path, its name, or either without its suffix.

    Args:
        ids: unique. data: folder or zip that holds them. found: `image_files` of it.
        what: an id is, for the sentence.

    Raises:
        Refusal: an id that is no image's, or more than one's.
    """
    spellings: dict[str, list[tuple[Path, str]]] = {}
    for f in found:
        path = PurePosixPath(image_name(data, f))
        for spelling in {str(path), path.name, str(path.with_suffix("")), path.stem}:
            spellings.setdefault(spelling, []).append(f)
    missing = [i for i in ids if i not in spellings]
    if missing:
        raise input_error(
            f"every {what}",
            "the name of an image",
            f"{len(missing)} without one, first {missing[0]!r}",
            "check that DATA_DIR holds all images",
        )
    doubtful = [i for i in ids if len(spellings[i]) > 1]
    if doubtful:
        a, b = (image_name(data, f) for f in spellings[doubtful[0]][:2])
        raise input_error(
            f"every {what}",
            "the name of one image",
            f"{doubtful[0]!r}, which fits {a} and {b}",
            "remove one of them",
        )
    return {i: spellings[i][0] for i in ids}


def image_name(data: Path, f: tuple[Path, str]) -> str:
    """The path of an image below the data, with forward slashes."""
    return f[1] or f[0].relative_to(data).as_posix()


def image_row(image_id: str, f: tuple[Path, str]) -> ImageRow:
    """An image to cluster, not inspected yet."""
    return ImageRow(image_id, "train", str(f[0]), f[1])
