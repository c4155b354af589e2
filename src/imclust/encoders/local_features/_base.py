"""What every kind of local features offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from imclust.data.keypoints import Keypoints


@dataclass(frozen=True)
class LocalConfig:
    """Settings that all kinds share.

    Parameters
    ----------
    side : int
        Longer side in pixels that images are scaled to, up or down.
    most : int
        Keypoints of an image that are kept, the strongest.
    weights : Path, optional
        A folder with the files that a network needs.
    device : str
        As of `pick_device`.
    """

    side: int = 320
    most: int = 400
    weights: Path | None = None
    device: str = "auto"


class LocalFeatures:
    """Keypoints of an image, and which of two images' match.

    Parameters
    ----------
    cfg : LocalConfig
        Settings.
    """

    track: ClassVar[str] = "scratch"
    """`open` where weights were learned from other images."""
    threaded: ClassVar[bool] = True
    """Whether several images and pairs at a time are faster: not where each takes all cores."""

    def __init__(self, cfg: LocalConfig) -> None:
        self.cfg = cfg

    def digests(self) -> dict[str, str]:
        """Name -> digest of the files that decide what is found; none for what learns nothing.

        Raises
        ------
        InputError
            One is not there and not to be had.
        """
        return {}

    def find(self, image: np.ndarray) -> Keypoints:
        """Keypoints of an image (h, w, 3) uint8 RGB."""
        raise NotImplementedError

    def match(self, a: Keypoints, b: Keypoints) -> np.ndarray:
        """Pairs (m, 2) int64 of keypoints of two images that show one thing, each used once."""
        raise NotImplementedError
