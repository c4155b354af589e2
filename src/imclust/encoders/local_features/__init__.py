"""Local features: keypoints of images, and which of two images' match. One file each."""

from imclust.core.registry import Registry
from imclust.encoders.local_features._base import LocalFeatures

LOCAL_FEATURES: Registry[type[LocalFeatures]] = Registry(
    "local features", "imclust.encoders.local_features"
)
