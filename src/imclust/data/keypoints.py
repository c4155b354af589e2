"""Keypoints of an image, and how many of two images' agree on one geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imclust.core.log import progress
from imclust.data.images import ImageRow, decode, unchanged_bytes
from imclust.data.loader import Preprocessing, pixels

RATIO = 0.85  # Lowe 2004 has 0.8; the geometry weeds out what is wrong
LEAST_MATCHES = 5  # four points always have a homography: fewer verify nothing
ERROR = 4.0  # pixels of the scaled image
ROUNDS = 500
GIVEN = 0.999  # confidence at which the search for a geometry may end
TINY = 1e-12


@dataclass(frozen=True)
class Keypoints:
    """Of one image.

    Parameters
    ----------
    xy : np.ndarray
        (k, 2) float32, pixels of the scaled image.
    descriptors : np.ndarray
        (k, 128) float16, rows of length 1 (RootSIFT): 100 kB an image at most.
    """

    xy: np.ndarray
    descriptors: np.ndarray


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

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = side / max(grey.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how)
    # Contrast limited equalisation: two photographs of one thing rarely have the same light.
    grey = cv2.createCLAHE(2.0, (8, 8)).apply(grey)
    sift = cv2.SIFT_create(nfeatures=most, contrastThreshold=0.02)  # type: ignore[attr-defined]
    points, found = sift.detectAndCompute(grey, None)
    if found is None:
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, 128), np.float16))
    xy = np.array([p.pt for p in points], np.float32)[:most]
    found = found[:most] / np.maximum(found[:most].sum(1, keepdims=True), TINY)
    return Keypoints(xy, np.sqrt(found).astype(np.float16))


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


def verified_matches(a: Keypoints, b: Keypoints, ratio: float = RATIO) -> tuple[int, int]:
    """How many keypoints match, and how many of these agree on one homography.

    The homography is sought by USAC with MAGSAC's scores (Barath et al. 2020; OpenCV's
    `USAC_MAGSAC`), whose random choices are fixed: the same pair gives the same numbers.

    Parameters
    ----------
    a, b : Keypoints
        Of two images.
    ratio : float
        As for `mutual_matches`.

    Returns
    -------
    matches, inliers : int
        The second is 0 where the first is below 5, or no geometry is found.

    Examples
    --------
    >>> empty = Keypoints(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    >>> verified_matches(empty, empty)
    (0, 0)
    """
    import cv2

    pairs = mutual_matches(a, b, ratio)
    if len(pairs) < LEAST_MATCHES:
        return len(pairs), 0
    one, other = a.xy[pairs[:, 0]], b.xy[pairs[:, 1]]
    found, agree = cv2.findHomography(
        one, other, cv2.USAC_MAGSAC, ERROR, maxIters=ROUNDS, confidence=GIVEN
    )
    if found is None or not plausible(found):
        return len(pairs), 0
    return len(pairs), int(agree.sum())


def match_pairs(
    keypoints: list[Keypoints], pairs: np.ndarray, store: Path, threads: int, every: int = 1000
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
    """
    from concurrent.futures import ThreadPoolExecutor

    done = np.fromfile(store, np.int32) if store.is_file() else np.empty(0, np.int32)
    done = done[: len(done) // 2 * 2].reshape(-1, 2)  # a kill may have cut the last one
    with store.open("wb") as file, ThreadPoolExecutor(threads) as pool:
        done.tofile(file)
        with progress(None, "match", total=len(pairs), initial=len(done), unit="pair") as bar:
            for a in range(len(done), len(pairs), every):
                part = pairs[a : a + every].tolist()
                found = pool.map(lambda p: verified_matches(keypoints[p[0]], keypoints[p[1]]), part)
                np.array(list(found), np.int32).tofile(file)
                file.flush()
                bar.update(len(part))
    result = np.fromfile(store, np.int32).reshape(-1, 2)
    store.unlink()
    return result


def index_keypoints(
    rows: Sequence[ImageRow], side: int, most: int, threads: int
) -> list[Keypoints]:
    """Keypoints of the images of an index, in order; settings as for `find_keypoints`."""
    from concurrent.futures import ThreadPoolExecutor

    def found(row: ImageRow) -> Keypoints:
        if row.source.endswith(".npy"):
            return find_keypoints(pixels(row, Preprocessing(side)), side, most)
        return find_keypoints(decode(unchanged_bytes(row)), side, most)

    with ThreadPoolExecutor(threads) as pool:
        return list(progress(pool.map(found, rows), "keypoints", total=len(rows), unit="image"))


def plausible(homography: np.ndarray) -> bool:
    """Whether a homography (3, 3) neither mirrors nor squeezes the picture beyond 1 : 16.

    Those that do fit keypoints that have nothing to do with each other: USAC found a line.

    Examples
    --------
    >>> plausible(np.eye(3)), plausible(np.diag([1.0, -1.0, 1.0]))
    (True, False)
    """
    area = float(np.linalg.det(homography[:2, :2]) / (homography[2, 2] ** 2 + TINY))
    return 1 / 16 < area < 16
