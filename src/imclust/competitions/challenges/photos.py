"""`photos`: the embedded two-class challenge, made from the two photographs scikit-learn ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, Home, array_rows
from imclust.competitions.downloads import save_array
from imclust.core.checks import in_range, valid_seed

SIDE, SIZE, VAL_LEFT = 96, 32, 480


@dataclass(frozen=True)
class PhotosConfig:
    """Which of two photographs was a crop taken from? 2000 to cluster, 500 for validation."""

    home: ClassVar[Home] = Home(track="scratch")
    has_validation: ClassVar[bool] = True

    seed: int = 0
    """Places and order of the crops."""

    n_images: int = 2000
    """Crops to cluster, at least 8; there are a quarter as many more for validation."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        in_range("photos", "n_images", self.n_images, 8, 1_000_000)


@CHALLENGES.register("photos", PhotosConfig, paper="china.jpg and flower.jpg of scikit-learn")
def photos(cfg: PhotosConfig, files: Path) -> Challenge:
    """Crops of side 96, scaled to 32x32x3 uint8.

    Training crops come from the columns left of 480 and validation crops from those right of it,
    so the two share no pixel. Half of each set is from either photograph, in random order.

    Examples
    --------
    >>> challenge = photos(PhotosConfig(), Path("files"))
    >>> len(challenge.rows), len(challenge.labels)  # to cluster and for validation; of the latter
    (2500, 500)
    """
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(cfg.seed)
    pictures = load_sample_images().images
    files.mkdir(parents=True, exist_ok=True)
    labels: dict[str, str] = {}
    rows = []
    for split, columns, each in (
        ("train", slice(0, VAL_LEFT), cfg.n_images // 2),
        ("val", slice(VAL_LEFT, None), cfg.n_images // 8),
    ):
        x = np.concatenate([_crops(p[:, columns], each, rng) for p in pictures])
        order = rng.permutation(len(x))
        rows += array_rows(save_array(files / f"{split}X.npy", x[order]), split)
        if split == "val":
            truth = np.repeat([0, 1], each)[order]
            labels = {f"val-{i}": str(y) for i, y in enumerate(truth)}
    return Challenge(rows, labels, n_clusters=2)


def _crops(picture: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 -> (n, 32, 32, 3) uint8: each output pixel is the mean of 3 x 3."""

    h, w = picture.shape[:2]
    tops, lefts = rng.integers(0, h - SIDE + 1, n), rng.integers(0, w - SIDE + 1, n)
    crops = np.stack(
        [picture[t : t + SIDE, e : e + SIDE] for t, e in zip(tops, lefts, strict=True)]
    )
    step = SIDE // SIZE
    blocks = crops.reshape(n, SIZE, step, SIZE, step, 3).mean((2, 4))
    return (blocks + 0.5).astype(np.uint8)
