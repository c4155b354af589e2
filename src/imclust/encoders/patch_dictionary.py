"""`patch-dictionary`: how near each part of an image is to the usual patches of all images.

Coates, Ng and Lee 2011: patches of even contrast, whitened, against the centres of k-means, by
"triangle" activations, summed over the quarters of the image. A single layer learned in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imclust.core.checks import in_range
from imclust.encoders import ENCODERS
from imclust.encoders._fixed import FixedEncoder, cells

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 6  # of a patch, in pixels
STRIDE = 2  # of the patches that are looked at
PATCHES = 40_000  # that the dictionary is learned from at most
EACH = 100  # of an image, at most
CONTRAST = 10 / 255**2  # added to a patch's variance, of pixels in [0, 1]
RIDGE = 0.1  # added to the variance of every direction before whitening
GRID = 2  # cells a side
ROUNDS = 20  # of k-means: more changes nothing


@dataclass(frozen=True)
class PatchDictionaryConfig:
    """Whitened patches against a dictionary that k-means learns from the images to cluster."""

    size: int = 32
    """Side of the square that images are scaled to, in pixels, 8 to 512."""
    words: int = 400
    """Patches in the dictionary, 2 to 10000."""

    def __post_init__(self) -> None:
        in_range("patch-dictionary", "words", self.words, 2, 10_000)


@ENCODERS.register("patch-dictionary", PatchDictionaryConfig, paper="Coates, Ng and Lee 2011")
class PatchDictionary(FixedEncoder):
    """Triangle activations of every word in each quarter.

    Parameters
    ----------
    cfg : PatchDictionaryConfig
        Settings.
    """

    learns_at_once = True

    def __init__(self, cfg: PatchDictionaryConfig) -> None:
        super().__init__(cfg.size)
        self.words = cfg.words

    def network(self) -> nn.Module:
        """A dictionary of random words, until `learn` replaces them."""
        import torch
        from torch import nn

        dims, made = 3 * SIDE**2, nn.Module()
        made.register_buffer("mean", torch.zeros(dims))
        made.register_buffer("whitening", torch.eye(dims))
        made.register_buffer("words", torch.randn(self.words, dims))
        return made

    def learn(self, network: nn.Module, images: np.ndarray, seed: int) -> None:
        """The whitening and the words of random patches of images (n, s, s, 3) uint8."""
        import torch

        count = max(min(PATCHES, EACH * len(images)), self.words)
        rows = even_contrast(random_patches(images, count, seed))
        mean = rows.mean(0)
        turn = whitening(rows - mean)
        words = k_means((rows - mean) @ turn, self.words, seed)
        for name, value in (("mean", mean), ("whitening", turn), ("words", words)):
            getattr(network, name).copy_(torch.from_numpy(np.asarray(value, np.float32)))

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 4 * words)."""
        from torch.nn import functional

        b, side = len(x), (x.shape[-1] - SIDE) // STRIDE + 1
        rows = functional.unfold(x.contiguous(), SIDE, stride=STRIDE).transpose(1, 2)  # (b, p, d)
        rows = rows - rows.mean(2, keepdim=True)
        rows = rows / (rows.square().mean(2, keepdim=True) + CONTRAST).sqrt()
        mean, turn, words = (network.get_buffer(n) for n in ("mean", "whitening", "words"))
        rows = ((rows - mean) @ turn).flatten(0, 1)
        square = rows.square().sum(1, keepdim=True) + words.square().sum(1) - 2 * rows @ words.T
        far = square.clamp_min(0).sqrt()
        near = (far.mean(1, keepdim=True) - far).clamp_min(0)
        return cells(near.view(b, side, side, -1).permute(0, 3, 1, 2), (GRID,))


def random_patches(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Patches (count, 3 * SIDE ** 2) float32 in [0, 1], channel by channel, of random places in
    random images.

    Parameters
    ----------
    images : ndarray of shape (n, s, s, 3), uint8
        What they are cut from.
    count : int
        How many.
    seed : int
        Of the places.

    Examples
    --------
    >>> random_patches(np.zeros((2, 32, 32, 3), np.uint8), 5, seed=0).shape
    (5, 108)
    """
    rng = np.random.default_rng(seed)
    which = rng.integers(len(images), size=count)
    tops, lefts = rng.integers(images.shape[1] - SIDE + 1, size=(2, count))
    cut = np.stack([
        images[i, a : a + SIDE, b : b + SIDE] for i, a, b in zip(which, tops, lefts, strict=True)
    ])  # fmt: skip
    return cut.transpose(0, 3, 1, 2).reshape(count, -1).astype(np.float32) / 255


def even_contrast(rows: np.ndarray) -> np.ndarray:
    """Patches (n, d) less their mean, over their spread.

    Examples
    --------
    >>> even_contrast(np.array([[0.0, 1.0], [0.0, 0.1]], np.float32)).round(1)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.sqrt(np.square(rows).mean(1, keepdims=True) + np.float32(CONTRAST))


def whitening(rows: np.ndarray) -> np.ndarray:
    """The symmetric matrix (d, d) float64 that gives centred rows (n, d) about the same spread in
    every direction (ZCA).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 2)) * [5, 1]
    >>> white = (x - x.mean(0)) @ whitening(x - x.mean(0))
    >>> white.std(0).round(1)
    array([1., 1.])
    """
    values, vectors = np.linalg.eigh(np.cov(rows.T.astype(np.float64), bias=True))
    return (vectors / np.sqrt(np.maximum(values, 0) + RIDGE)) @ vectors.T


def k_means(rows: np.ndarray, words: int, seed: int) -> np.ndarray:
    """Centres (words, d) of rows (n, d); rows that are all the same give the same centre again.

    Examples
    --------
    >>> k_means(np.array([[0.0], [0.1], [5.0], [5.1]], np.float32), 2, seed=0).shape
    (2, 1)
    """
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct patches than words
        solver = KMeans(words, init="random", n_init=1, max_iter=ROUNDS, random_state=seed)
        return solver.fit(np.ascontiguousarray(rows, np.float32)).cluster_centers_
