"""`online`: any challenge of Kaggle or AIcrowd by its name, whatever its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, Home, LocalData, Track, home_of
from imclust.competitions.challenges._fetching import gathered, unpacked
from imclust.competitions.challenges.arrays import from_folder
from imclust.competitions.challenges.folder import folder
from imclust.competitions.challenges.pairs import CASES, pairs
from imclust.core.log import say


@dataclass(frozen=True)
class OnlineConfig:
    """All files of a challenge by its name there. You say how many clusters: K=<n>."""

    home: ClassVar[Home] = Home()
    has_validation: ClassVar[None] = None  # known when its files are there

    board: str
    """SERVICE:CHALLENGE, such as kaggle:titanic; the challenge may be its whole address."""
    track: Track = "open"
    """What the rules allow: `scratch` forbids pretrained weights."""


@CHALLENGES.register("online", OnlineConfig, paper="anybody's challenge")
def online(cfg: OnlineConfig, files: Path) -> Challenge:
    """Fetched, unpacked, and read as `arrays`, `pairs` or `folder`, by the files that are there.

    Raises
    ------
    ServiceError
        The service did not hand a file out.
    InputError
        No images among them.

    Examples
    --------
    >>> online(OnlineConfig("kaggle:titanic"), Path("data/raw/titanic/files"))  # doctest: +SKIP
    """
    gathered(home_of(cfg), files)
    unpacked(files)
    if array := _first(files, "trainX.npy"):
        say(f"{cfg.board}: read as arrays, from {array.parent}")
        return from_folder(array.parent, files)
    if cases := _first(files, CASES):
        say(f"{cfg.board}: read as pairs, from {cases.parent}")
        return pairs(LocalData(cases.parent), files / "images")
    say(f"{cfg.board}: read as a folder of images")
    return folder(LocalData(files), files)


def _first(files: Path, *patterns: str) -> Path | None:
    """The first file of one of these names, the ones that lie highest first."""
    for pattern in patterns:
        found = [p for p in files.rglob(pattern) if not p.name.startswith(".")]
        if found:
            return min(found, key=lambda p: (len(p.parts), str(p)))
    return None
