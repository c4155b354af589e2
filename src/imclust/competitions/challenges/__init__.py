"""Challenges: where the images come from and what the leaderboard wants back. One file each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from imclust.competitions.challenges._base import Challenge
from imclust.core.registry import Registry

CHALLENGES: Registry[Callable[[Any, Path], Challenge]] = Registry(
    "challenge", "imclust.competitions.challenges"
)
