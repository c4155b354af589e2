"""How far views of photographs may differ in colour: as far as images do that are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imclust.encoders import ENCODERS

if TYPE_CHECKING:
    from imclust.data.augment import Augmentation

SPACES = ("pixels", "power-spectrum", "colour", "hog")  # a millisecond an image, all of them
SAMPLE = 2000  # images that are compared; what is asked for is a median
NEAR = 10  # neighbours of each
BLOCK = 256  # images at a time


def alike_in_colour(images: np.ndarray) -> Augmentation:
    """Views whose colours differ as those of images and their neighbours do.

    Neighbours are those where pixels, spectrum, colours and edges lie side by side.

    Parameters
    ----------
    images : ndarray of shape (n, s, s, 3), uint8
        The images; at most SAMPLE of them, evenly spaced, are looked at.

    Returns
    -------
    Augmentation
        What `colour_rule` says; PHOTOGRAPHS where an image is alone.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    >>> 0 < alike_in_colour(images).jitter < 0.1  # noise is alike in brightness
    True
    """
    from imclust.clustering.neighbors import nearest_neighbors
    from imclust.data.augment import PHOTOGRAPHS
    from imclust.data.colour_rule import colour_rule
    from imclust.training.pseudo_labels import joint_rows

    few = images[np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round().astype(int)]
    if len(few) < 2:
        return PHOTOGRAPHS
    rows = joint_rows([space for name in SPACES for space in _spaces(name, few)])
    near = nearest_neighbors(rows, rows, min(NEAR, len(few) - 1), same=True)[0]
    return colour_rule(few, near)


def _spaces(name: str, images: np.ndarray) -> list[np.ndarray]:
    """The spaces (n, d) of an encoder that has nothing to train."""
    import torch

    from imclust.data.loader import square, to_input

    entry = ENCODERS[name]
    encoder = entry.method(entry.config())
    pre = encoder.preprocessing
    small = np.stack([square(image, pre, image.shape[0]) for image in images])
    with torch.inference_mode():
        network = encoder.network()
        if encoder.learns_at_once:
            encoder.learn(network, small, 0)
        blocks = (small[a : a + BLOCK] for a in range(0, len(small), BLOCK))
        codes = [encoder.encode(network, to_input(b, pre, "cpu")).numpy() for b in blocks]
    z = np.concatenate(codes)
    ends = np.cumsum(encoder.parts(network) or [z.shape[1]])
    return np.split(z, ends[:-1], axis=1)
