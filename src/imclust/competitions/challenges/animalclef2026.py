"""`animalclef2026`: individuals of four species, a Kaggle competition of 230 teams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, Home
from imclust.competitions.challenges._fetching import gathered, unpacked
from imclust.competitions.challenges.individuals import IndividualsConfig, individuals


@dataclass(frozen=True)
class AnimalClef2026Config:
    """Lynxes, salamanders, turtles and lizards: who is who, K unknown; scored by ARI."""

    home: ClassVar[Home] = Home(board="kaggle:animal-clef-2026", mib=8000)
    by_pairs: ClassVar[bool] = True


@CHALLENGES.register(
    "animalclef2026", AnimalClef2026Config, paper="AnimalCLEF 2026, Kaggle animal-clef-2026"
)
def animalclef2026(cfg: AnimalClef2026Config, files: Path) -> Challenge:
    """All files of the competition, fetched once, unpacked, and read as `individuals`.

    Examples
    --------
    >>> animalclef2026(AnimalClef2026Config(), Path("data/raw/clef/files"))  # doctest: +SKIP
    """
    gathered(cfg.home, files)
    unpacked(files)
    return individuals(IndividualsConfig(files), files)
