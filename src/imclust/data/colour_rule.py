"""How far views may differ in colour, by how far images and their like differ.

A view teaches to overlook what it changes. What an image shares with its neighbours is what must
not be overlooked, so views are not changed further than that: the brightness, contrast, saturation
and hue of two views differ by as much as those of an image and its neighbours do, in the median,
and never by more than SimCLR's own values. `benchmarks/objectives.py` compares it with these and
with none.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from imclust.data.augment import PHOTOGRAPHS, YIQ, Augmentation

MEDIAN = 1 - math.sqrt(0.5)  # |u - v| of u, v uniform in [-1, 1], over 2: its median
LEAST = 1 / 255  # what is darker, flatter or greyer has no ratio to another


def colour_facts(images: np.ndarray) -> dict[str, np.ndarray]:
    """What jitter changes, of images (n, s, s, 3) uint8: mean luma, its spread and the mean
    saturation, each (n,) on the scale of 0 to 1, and the mean colour as a complex number, whose
    angle is the hue.

    Examples
    --------
    >>> facts = colour_facts(np.full((2, 4, 4, 3), 255, np.uint8))
    >>> {name: bool(abs(values).max() < 1e-2) for name, values in facts.items()}
    {'brightness': False, 'contrast': True, 'saturation': True, 'colour': True}
    """
    flat = images.reshape(len(images), -1, 3).astype(np.float32) / 255
    luma, i, q = np.moveaxis(flat @ np.array(YIQ, np.float32).T, 2, 0)
    colour = i + 1j * q
    return {
        "brightness": luma.mean(1),
        "contrast": luma.std(1),
        "saturation": np.abs(colour).mean(1),
        "colour": colour.mean(1),
    }


def colour_rule(images: np.ndarray, near: np.ndarray) -> Augmentation:
    """PHOTOGRAPHS with colours no further apart than those of neighbours.

    The least of the three medians of |log ratio| (brightness, contrast, saturation) is matched by
    the jitter, since one number is for all; the median turn by the hue; grey views become as much
    rarer as the jitter becomes weaker.

    Parameters
    ----------
    images : ndarray of shape (n, s, s, 3), uint8
        The images.
    near : ndarray of shape (n, m), int
        Neighbours of each.

    Examples
    --------
    >>> same = np.full((4, 8, 8, 3), [200, 100, 50], np.uint8)
    >>> colour_rule(same, np.array([[1], [0], [3], [2]])).colours
    False
    """
    facts = colour_facts(images)
    colour = facts.pop("colour")
    apart = []
    for values in facts.values():
        log = np.log(np.maximum(values, LEAST))
        apart.append(float(np.median(np.abs(log[near] - log[:, None]))))
    angle = np.angle(colour[near] * colour[:, None].conj()) / (2 * np.pi)
    # Views differ by u - v with u and v uniform in [-j, j], whose size has the median 2 j MEDIAN.
    jitter = round(min(PHOTOGRAPHS.jitter, min(apart) / (2 * MEDIAN)), 4)
    hue = round(min(PHOTOGRAPHS.hue, float(np.median(np.abs(angle))) / (2 * MEDIAN)), 4)
    grey = PHOTOGRAPHS.grey * jitter / PHOTOGRAPHS.jitter
    return replace(PHOTOGRAPHS, jitter=jitter, hue=hue, grey=grey)
