"""`digits`: scikit-learn's 1797 handwritten digits, embedded, ten classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, Home, array_rows
from imclust.competitions.downloads import save_array


@dataclass(frozen=True)
class DigitsConfig:
    """Handwritten digits, 8x8, K = 10; every label is known and used for scoring only."""

    home: ClassVar[Home] = Home(track="scratch")


@CHALLENGES.register("digits", DigitsConfig, paper="Alpaydin and Kaynak 1998, UCI digits")
def digits(cfg: DigitsConfig, files: Path) -> Challenge:
    """The 1797 images, grey levels 0..16 stretched to 0..255.

    Examples
    --------
    >>> challenge = digits(DigitsConfig(), Path("files"))
    >>> len(challenge.rows), challenge.n_clusters, challenge.labels["0"]
    (1797, 10, '0')
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images * (255 / 16) + 0.5).astype(np.uint8)
    path = save_array(files / "trainX.npy", images)
    labels = {str(i): str(y) for i, y in enumerate(data.target)}
    return Challenge(array_rows(path, "train"), labels, n_clusters=10)
