"""Keypoints of an image, and how many of two images' agree on one geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from imclust.core.log import progress
from imclust.data.geometry import Geometry, agreeing
from imclust.data.images import ImageRow, decode, unchanged_bytes
from imclust.data.loader import Preprocessing, pixels

RATIO = 0.85  # Lowe 2004 has 0.8; the geometry weeds out what is wrong
TINY = 1e-12


@dataclass(frozen=True)
class Keypoints:
    """Of one image.

    Parameters
    ----------
    xy : np.ndarray
        (k, 2) float32, pixels of the scaled image.
    descriptors : np.ndarray
        (k, d) float16, rows of length 1: 100 kB an image for 400 of 128 numbers.
    size : tuple of int
        Width and height of the scaled image.
    """

    xy: np.ndarray
    descriptors: np.ndarray
    size: tuple[int, int] = (0, 0)


Match: TypeAlias = "Callable[[Keypoints, Keypoints], np.ndarray]"


def find_keypoints(image: np.ndarray, side: int = 320, most: int = 400) -> Keypoints:
    """SIFT keypoints (Lowe 2004) with RootSIFT descriptors (Arandjelovic and Zisserman 2012).

    Parameters
    ----------
    image : np.ndarray
        (h, w, 3) uint8 RGB.
    side : int
        Its longer side is scaled to this, up or down: small crops have few keypoints otherwise.
    most : int
        The strongest are kept.

    Returns
    -------
    Keypoints
        Empty for an image without structure.

    Examples
    --------
    >>> len(find_keypoints(np.zeros((40, 40, 3), np.uint8)).xy)
    0
    """
    import cv2

    grey = scaled_to(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), side)
    # Contrast limited equalisation: two photographs of one thing rarely have the same light.
    grey = cv2.createCLAHE(2.0, (8, 8)).apply(grey)
    sift = cv2.SIFT_create(nfeatures=most, contrastThreshold=0.02)  # type: ignore[attr-defined]
    size = grey.shape[1], grey.shape[0]
    points, found = sift.detectAndCompute(grey, None)
    if found is None:
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, 128), np.float16), size)
    xy = np.array([p.pt for p in points], np.float32)[:most]
    found = found[:most] / np.maximum(found[:most].sum(1, keepdims=True), TINY)
    return Keypoints(xy, np.sqrt(found).astype(np.float16), size)


def scaled_to(image: np.ndarray, side: int) -> np.ndarray:
    """An image (h, w) or (h, w, 3) uint8 with its longer side scaled to `side` pixels.

    Examples
    --------
    >>> scaled_to(np.zeros((20, 40, 3), np.uint8), 100).shape
    (50, 100, 3)
    """
    import cv2

    scale = side / max(image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)


def mutual_matches(a: Keypoints, b: Keypoints, ratio: float = RATIO) -> np.ndarray:
    """Pairs of keypoints that are each other's nearest and pass Lowe's ratio test: (m, 2) int64.

    Parameters
    ----------
    a, b : Keypoints
        Of two images.
    ratio : float
        Most of the distance to the nearest over that to the second nearest, in (0, 1].

    Examples
    --------
    >>> eye = np.eye(3, 128, dtype=np.float32)
    >>> points = Keypoints(np.zeros((3, 2), np.float32), eye)
    >>> mutual_matches(points, points).tolist()
    [[0, 0], [1, 1], [2, 2]]
    """
    if len(a.xy) < 2 or len(b.xy) < 2:
        return np.empty((0, 2), np.int64)
    likeness = a.descriptors.astype(np.float32) @ b.descriptors.astype(np.float32).T
    rows = np.arange(len(likeness))
    best = likeness.argmax(1)
    top = likeness[rows, best]
    back = likeness.argmax(0)
    likeness[rows, best] = -1
    # Rows have length 1: the squared distance is 2 - 2 x product.
    passes = 1 - top <= ratio**2 * (1 - likeness.max(1))
    good = np.flatnonzero((back[best] == rows) & passes)
    return np.stack([good, best[good]], 1)


def verified_matches(
    a: Keypoints,
    b: Keypoints,
    match: Match = mutual_matches,
    geometry: Geometry = "homography",
) -> tuple[int, int]:
    """How many keypoints match, and how many of these agree on one geometry.

    Parameters
    ----------
    a, b : Keypoints
        Of two images.
    match : callable
        The two -> their matches (m, 2) int64.
    geometry : {'homography', 'fundamental'}
        As for `agreeing`.

    Returns
    -------
    matches, inliers : int
        The second is 0 where too few match, or no geometry is found.

    Examples
    --------
    >>> empty = Keypoints(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    >>> verified_matches(empty, empty)
    (0, 0)
    """
    pairs = match(a, b)
    return len(pairs), int(agreeing(a.xy[pairs[:, 0]], b.xy[pairs[:, 1]], geometry).sum())


def match_pairs(
    keypoints: list[Keypoints],
    pairs: np.ndarray,
    store: Path,
    threads: int,
    every: int = 200,
    verify: Callable[[Keypoints, Keypoints], tuple[int, int]] = verified_matches,
) -> np.ndarray:
    """Matches and inliers of many pairs: (m, 2) int32. What a killed run wrote is not done again.

    Parameters
    ----------
    keypoints : list of Keypoints
        Of every image.
    pairs : np.ndarray
        (m, 2) int64, the same at every start.
    store : Path
        A file that results are appended to as they come; removed at the end.
    threads : int
        Pairs at a time; OpenCV and NumPy let go of Python's lock.
    every : int
        Pairs between two writes.
    verify : callable
        Two images' keypoints -> matches and inliers.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    >>> found = [find_keypoints(image), find_keypoints(image[:, ::-1])]
    >>> match_pairs(found, np.array([[0, 0], [0, 1]]), Path("matches"), threads=1).shape
    (2, 2)
    """
    from concurrent.futures import ThreadPoolExecutor

    done = np.fromfile(store, np.int32) if store.is_file() else np.empty(0, np.int32)
    done = done[: len(done) // 2 * 2].reshape(-1, 2)  # a kill may have cut the last one
    with store.open("wb") as file, ThreadPoolExecutor(threads) as pool:
        done.tofile(file)
        with progress(None, "match", total=len(pairs), initial=len(done), unit="pair") as bar:
            for a in range(len(done), len(pairs), every):
                part = pairs[a : a + every].tolist()
                found = pool.map(lambda p: verify(keypoints[p[0]], keypoints[p[1]]), part)
                np.array(list(found), np.int32).tofile(file)
                file.flush()
                bar.update(len(part))
    result = np.fromfile(store, np.int32).reshape(-1, 2)
    store.unlink()
    return result


def index_keypoints(
    rows: Sequence[ImageRow], side: int, find: Callable[[np.ndarray], Keypoints], threads: int
) -> list[Keypoints]:
    """Keypoints of the images of an index, in order.

    Parameters
    ----------
    rows : sequence of ImageRow
        The images.
    side : int
        That images in arrays are scaled to; files are given to `find` as they are.
    find : callable
        An image (h, w, 3) uint8 -> its keypoints.
    threads : int
        Images at a time.

    Examples
    --------
    >>> from imclust.data.images import load_index
    >>> found = index_keypoints(load_index(Path("raw/index"))[:2], 96, find_keypoints, threads=1)
    >>> [k.descriptors.shape[1] for k in found]
    [128, 128]
    """
    from concurrent.futures import ThreadPoolExecutor

    def found(row: ImageRow) -> Keypoints:
        if row.source.endswith(".npy"):
            return find(pixels(row, Preprocessing(side)))
        return find(decode(unchanged_bytes(row)))

    with ThreadPoolExecutor(threads) as pool:
        return list(progress(pool.map(found, rows), "keypoints", total=len(rows), unit="image"))
