"""`sift`: OpenCV's SIFT with RootSIFT descriptors; nothing to fetch."""

from __future__ import annotations

import numpy as np

from imclust.core.errors import input_error
from imclust.data.keypoints import Keypoints, find_keypoints, mutual_matches
from imclust.encoders.local_features import LOCAL_FEATURES
from imclust.encoders.local_features._base import LocalConfig, LocalFeatures


@LOCAL_FEATURES.register("sift", LocalConfig, paper="Lowe 2004; Arandjelovic and Zisserman 2012")
class Sift(LocalFeatures):
    """SIFT keypoints; those of two images match that are each other's nearest, by a ratio."""

    def __init__(self, cfg: LocalConfig) -> None:
        super().__init__(cfg)
        if cfg.weights is not None:
            do = "leave it out, or name other --local-features"
            raise input_error("--local-weights of sift", "left out", cfg.weights, do)

    def find(self, image: np.ndarray) -> Keypoints:
        """As `find_keypoints`."""
        return find_keypoints(image, self.cfg.side, self.cfg.most)

    def match(self, a: Keypoints, b: Keypoints) -> np.ndarray:
        """As `mutual_matches`."""
        return mutual_matches(a, b)
