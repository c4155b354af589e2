"""Whether two pictures are one: re-saved, resized, cropped, turned or mirrored copies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SIDE = 64  # pixels that pictures are compared at, whatever their shape
COARSE = 32  # pixels at which the geometry is sought first
LOW = 8  # frequencies a direction that make a code
WAYS = 8  # in which a square can lie
BANDS = 4  # of 16 bits each; pictures that share one are looked at closely
MOST_ALIKE = 50  # pictures that share a band, beyond which it says nothing by itself
CLOSE = 10  # bits of 64 in which the codes of copies differ at most
LIKE = 0.65  # correlation of details above which two pictures are one
SMALL = 48  # pixels: below, pictures of different things look alike,
LIKE_SMALL = 0.93  # so that they must agree more
ZOOMS = (1.0, 0.85, 1 / 0.85)  # at which the search for a geometry starts
PROMISING = 0.6  # correlation at COARSE above which SIDE is looked at
OVERLAP = 0.4  # share of the picture that both show, at least
BLOCK = 2048  # pictures that are transformed together
PORTION = 1 << 12  # entries whose pairs are held at once
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


def perceptual_codes(thumbnails: np.ndarray) -> np.ndarray:
    """64 bits of each picture in each of the ways of `turned`: the signs of the lowest frequencies
    about their median (pHash, Zauner 2010).

    The frequencies of a turned picture are those of the picture, turned about their diagonal and
    with other signs: pictures are transformed once each.

    Parameters
    ----------
    thumbnails : np.ndarray
        (n, SIDE, SIDE) uint8; may be memory-mapped.

    Returns
    -------
    np.ndarray
        (n, WAYS) uint64.

    Examples
    --------
    >>> grey = np.add.outer(np.arange(SIDE), 2 * np.arange(SIDE)).astype(np.uint8)
    >>> codes = perceptual_codes(np.stack([grey, grey // 2]))
    >>> codes.shape, bool(np.bitwise_count(codes[0, 0] ^ codes[1, 0]) < 10)
    ((2, 8), True)
    """
    codes = np.empty((len(thumbnails), WAYS), np.uint64)
    for a in range(0, len(thumbnails), BLOCK):
        low = _low_frequencies(thumbnails[a : a + BLOCK])
        odd = np.where(np.arange(LOW) % 2, -1.0, 1.0)  # the sign of a frequency seen from behind
        way = 0
        for each in (low, low * odd):
            for _ in range(4):
                codes[a : a + BLOCK, way] = _signs(each)
                each, way = each.swapaxes(1, 2) * odd[:, None], way + 1
    return codes


def _low_frequencies(thumbnails: np.ndarray) -> np.ndarray:
    """(m, SIDE, SIDE) uint8 -> (m, LOW, LOW) float64 of the cosine transform at COARSE pixels."""
    import cv2

    half = COARSE, COARSE
    small = np.stack([cv2.resize(t, half, interpolation=cv2.INTER_AREA) for t in thumbnails])
    at = np.outer(np.arange(LOW), 2 * np.arange(COARSE) + 1)
    cosines = np.cos(np.pi / (2 * COARSE) * at) * (2 / COARSE) ** 0.5
    cosines[0] *= 0.5**0.5
    return np.asarray(cosines @ small.astype(np.float64) @ cosines.T)


def _signs(low: np.ndarray) -> np.ndarray:
    """(m, LOW, LOW) -> (m,) uint64: which of them are above the median of all but the first."""
    flat = low.reshape(len(low), -1)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def similar_codes(thumbnails: np.ndarray) -> np.ndarray:
    """Pairs of pictures whose codes share a band, or two where MOST_ALIKE pictures share the first,
    and differ in CLOSE bits at most: (pairs, 3) int64, a, b, and the turn of b; in order of a, b.

    Parameters
    ----------
    thumbnails : np.ndarray
        (n, SIDE, SIDE) uint8; may be memory-mapped.

    Examples
    --------
    >>> grey = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    >>> similar_codes(np.stack([grey, np.rot90(grey)])).tolist()
    [[0, 1, 3], [1, 0, 1]]
    """
    codes = perceptual_codes(thumbnails)
    flat = codes.ravel()
    bands = [(flat >> np.uint64(16 * band) & np.uint64(0xFFFF)) for band in range(BANDS)]
    found = []
    for band in range(BANDS):
        pairs, crowded = _sharing(bands[band], np.arange(len(flat)))
        found += [_close(codes, *pair) for pair in pairs]
        for other in range(BANDS) if len(crowded) else ():
            if other != band:
                both = bands[band][crowded] << np.uint64(16) | bands[other][crowded]
                found += [_close(codes, *pair) for pair in _sharing(both, crowded)[0]]
    every = np.concatenate(found) if found else np.empty((0, 4), np.int64)
    every = every[np.lexsort(every.T[[2, 3, 1, 0]])]  # of a pair the turn of fewest bits first
    first = np.ones(len(every), bool)
    first[1:] = (every[1:, :2] != every[:-1, :2]).any(1)
    return every[first, :3]


def _sharing(
    keys: np.ndarray, entries: np.ndarray
) -> tuple[Iterator[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Pairs of entries (m,) of equal keys (m,), the first of them as it lies, in portions; and the
    entries of keys that more than MOST_ALIKE share, which are in no pair."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    crowded = np.repeat(sizes > MOST_ALIKE, sizes)
    of_group = np.repeat(np.arange(len(sizes)), sizes)
    lying = np.flatnonzero((entries[order] % WAYS == 0) & ~crowded)  # places in the order

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for a in range(0, len(lying), PORTION):
            mine = lying[a : a + PORTION]
            many = sizes[of_group[mine]]
            ends = np.cumsum(many)
            inside = np.arange(ends[-1]) - np.repeat(ends - many, many)
            others = np.repeat(starts[of_group[mine]], many) + inside
            yield entries[order[np.repeat(mine, many)]], entries[order[others]]

    return pairs(), entries[order[crowded]]


def _close(codes: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of pairs of entries those of two pictures whose codes (n, WAYS) nearly agree: (pairs, 4)
    int64, a, b, the turn of b, and in how many bits they differ."""
    a, (b, way) = one // WAYS, divmod(other, WAYS)
    differ = np.bitwise_count(codes[a, 0] ^ codes[b, way])
    keep = (differ <= CLOSE) & (a != b) & ((way > 0) | (a < b))
    return np.stack([a[keep], b[keep], way[keep], differ[keep].astype(np.int64)], axis=1)


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
