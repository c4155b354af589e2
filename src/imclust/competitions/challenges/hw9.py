"""`hw9`: NTU ML2020 homework 9, scenery or not, from Google Drive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, Home
from imclust.competitions.challenges._fetching import gathered
from imclust.competitions.challenges.arrays import from_folder
from imclust.core.errors import input_error

SHAPES = {"trainX.npy": (8500, 32, 32, 3), "valX.npy": (500, 32, 32, 3), "valY.npy": (500,)}


@dataclass(frozen=True)
class HW9Config:
    """Scenery (plants count) or not: 8500 + 500 images of 32x32. Its rules forbid outside data."""

    home: ClassVar[Home] = Home(
        board="kaggle:ml2020spring-hw9",
        files={
            "trainX.npy": "drive:1BZb2AqOHHaad7Mo82St1qTBaXo_xtcUc",
            "valX.npy": "drive:152NKCpj8S_zuIx3bQy0NN5oqpvBjdPIq",
            "valY.npy": "drive:1_hRGsFtm5KEazUg2ZvPZcuNScGF-ANh4",
        },
        track="scratch",
        mib=27,
    )
    has_validation: ClassVar[bool] = True


@CHALLENGES.register("hw9", HW9Config, paper="NTU Machine Learning 2020 spring, homework 9")
def hw9(cfg: HW9Config, files: Path) -> Challenge:
    """The three files of the homework, fetched once and checked by shape, type and content.

    Examples
    --------
    >>> hw9(HW9Config(), Path("data/raw/hw9/files"))  # doctest: +SKIP
    """
    gathered(cfg.home, files, {name: partial(_shaped, shape) for name, shape in SHAPES.items()})
    challenge = from_folder(files, files)
    if set(challenge.labels.values()) != {"0", "1"}:
        raise input_error(
            "valY.npy", "labels 0 and 1", set(challenge.labels.values()), "fetch again"
        )
    return challenge


def _shaped(shape: tuple[int, ...], path: Path) -> None:
    """Refuse an array of another shape than the homework's."""
    from imclust.core.npy import open_npy

    got = open_npy(path).shape
    if got != shape:
        raise input_error(path.name, f"of shape {list(shape)}", list(got), "fetch it again")
