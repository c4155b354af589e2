"""Whether two pictures are one: re-saved, resized, cropped, turned or mirrored copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

SIDE = 64  # pixels that pictures are compared at, whatever their shape
COARSE = 32  # pixels at which the geometry is sought first
BANDS = 4  # of 16 bits each; pictures that share one are looked at closely
MOST_ALIKE = 50  # pictures that share a band, beyond which it says nothing
CLOSE = 10  # bits of 64 in which the codes of copies differ at most
LIKE = 0.65  # correlation of details above which two pictures are one
SMALL = 48  # pixels: below, pictures of different things look alike,
LIKE_SMALL = 0.93  # so that they must agree more
ZOOMS = (1.0, 0.85, 1 / 0.85)  # at which the search for a geometry starts
PROMISING = 0.6  # correlation at COARSE above which SIDE is looked at
OVERLAP = 0.4  # share of the picture that both show, at least
SCALES = (0.4, 2.5)  # of areas, by which a copy may be smaller or larger


def thumbnail(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (SIDE, SIDE) uint8 grey, the whole picture squeezed.

    Examples
    --------
    >>> thumbnail(np.zeros((40, 60, 3), np.uint8)).shape
    (64, 64)
    """
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def turned(grey: np.ndarray) -> Iterator[np.ndarray]:
    """A picture in the eight ways in which a square can lie: four turns, and these mirrored.

    Examples
    --------
    >>> len({picture.tobytes() for picture in turned(np.arange(9, dtype=np.uint8).reshape(3, 3))})
    8
    """
    for each in (grey, grey[:, ::-1]):
        for quarter in range(4):
            yield np.ascontiguousarray(np.rot90(each, quarter))


def perceptual_code(grey: np.ndarray) -> int:
    """64 bits: the signs of the lowest frequencies about their median (pHash, Zauner 2010).

    Examples
    --------
    >>> grey = np.add.outer(np.arange(SIDE), 2 * np.arange(SIDE)).astype(np.uint8)
    >>> bin(perceptual_code(grey) ^ perceptual_code(grey // 2)).count("1") < 10
    True
    """
    import cv2

    small = cv2.resize(grey, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")


def similar_codes(thumbnails: np.ndarray) -> dict[tuple[int, int], int]:
    """Pairs of pictures (n, SIDE, SIDE) uint8 whose codes agree: (a, b) -> the turn of b.

    Examples
    --------
    >>> grey = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    >>> list(similar_codes(np.stack([grey, np.rot90(grey)])))
    [(0, 1), (1, 0)]
    """
    codes = [[perceptual_code(each) for each in turned(t)] for t in thumbnails]
    buckets: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for number, ways in enumerate(codes):
        for way, code in enumerate(ways):
            for band in range(BANDS):
                buckets[band, code >> 16 * band & 0xFFFF].append((number, way))
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for members in buckets.values():
        if len(members) > MOST_ALIKE:
            continue
        for (a, first), (b, way) in combinations(members, 2):
            if a == b or 0 not in {first, way}:
                continue
            if first:  # b lies as it is: a is the one that is turned
                a, b, way = b, a, first
            differ = (codes[a][0] ^ codes[b][way]).bit_count()
            if differ <= CLOSE and differ < found.get((a, b), (CLOSE + 1, 0))[0]:
                found[a, b] = differ, way
    return {pair: way for pair, (_, way) in found.items()}


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the details of two pictures after the one is laid upon the other, in [-1, 1].

    The affine map that correlates them best is sought from three zooms on (ECC, Evangelidis and
    Psarakis 2008), at COARSE pixels and then at SIDE; details are what a blur of four pixels takes
    away, so that two sunsets do not correlate by their gradients. -1 where none is found.

    Parameters
    ----------
    a, b : np.ndarray
        (SIDE, SIDE) uint8.

    Examples
    --------
    >>> grey = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    >>> round(likeness(grey, grey), 2)
    1.0
    """
    import cv2

    one, other = (cv2.resize(x, (COARSE, COARSE), interpolation=cv2.INTER_AREA) for x in (a, b))
    best, warp = -1.0, None
    for zoom in ZOOMS:
        start = np.eye(2, 3, dtype=np.float32) * zoom
        start[:, 2] = (1 - zoom) * (COARSE - 1) / 2
        score, found = _aligned(one, other, start, 5)
        if score > best:
            best, warp = score, found
        if best > 0.9:
            break
    if warp is None or best < PROMISING:
        return -1.0
    warp[:, 2] = warp[:, 2] * 2 + (warp[:, :2].sum(1) - 1) / 2  # as seen with pixels half as wide
    score, warp = _aligned(a, b, warp, 3)
    if score < 0 or not SCALES[0] < abs(np.linalg.det(warp[:, :2])) < SCALES[1]:
        return -1.0
    how = cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(b, warp, (SIDE, SIDE), flags=cv2.INTER_LINEAR | how)
    both = cv2.warpAffine(np.ones_like(b), warp, (SIDE, SIDE), flags=cv2.INTER_NEAREST | how)
    both = cv2.erode(both, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if both.mean() < OVERLAP:
        return -1.0
    return _correlation(_details(a)[both > 0], _details(laid)[both > 0])


def is_copy(like: float, side: int) -> bool:
    """Whether so like pictures, the larger of them `side` pixels, are one.

    Examples
    --------
    >>> is_copy(0.99, side=64)
    True
    """
    return like > (LIKE if side >= SMALL else LIKE_SMALL)


def _aligned(
    a: np.ndarray, b: np.ndarray, start: np.ndarray, blur: int
) -> tuple[float, np.ndarray]:
    import cv2

    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
    try:
        score, warp = cv2.findTransformECC(
            a,
            b,
            start.copy(),
            cv2.MOTION_AFFINE,
            stop,
            None,
            blur,  # type: ignore[call-overload]
        )
    except cv2.error:  # no correlation, or nothing in the picture
        return -1.0, start
    return float(score), np.asarray(warp)


def _details(grey: np.ndarray) -> np.ndarray:
    import cv2

    x = grey.astype(np.float32)
    return x - cv2.GaussianBlur(x, (0, 0), 4)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))
