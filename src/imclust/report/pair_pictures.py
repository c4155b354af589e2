"""Two images side by side, with lines between the keypoints that agree on one geometry."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from imclust.data.geometry import Geometry, agreeing
from imclust.data.images import ImageRow, decode, unchanged_bytes
from imclust.data.keypoints import Keypoints
from imclust.data.loader import Preprocessing, pixels
from imclust.encoders.local_features._base import LocalFeatures

HEIGHT = 176  # pixels of one image
WIDEST = 300
GAP = 6
LINES = 40  # that are drawn of a pair; of more, evenly chosen ones
QUALITIES = (78, 60, 40, 25)
BUDGET = 2_500_000  # bytes of all pictures of a page
COLOURS = ((255, 196, 0), (0, 200, 255), (255, 110, 110), (130, 230, 90), (220, 140, 255))


def agreeing_points(
    a: Keypoints, b: Keypoints, local: LocalFeatures, geometry: Geometry = "homography"
) -> tuple[np.ndarray, np.ndarray]:
    """Where the keypoints lie that match and agree on one geometry: (m, 2) in each image.

    As many as `verified_matches` counts.

    Parameters
    ----------
    a, b : Keypoints
        Of two images.
    local : LocalFeatures
        What found them, and matches them.
    geometry : {'homography', 'fundamental'}
        As for `agreeing`.

    Examples
    --------
    >>> from imclust.encoders.local_features._base import LocalConfig
    >>> from imclust.encoders.local_features.sift import Sift
    >>> sift = Sift(LocalConfig())
    >>> empty = sift.find(np.zeros((32, 32, 3), np.uint8))
    >>> len(agreeing_points(empty, empty, sift)[0])
    0
    """
    pairs = local.match(a, b)
    one, other = a.xy[pairs[:, 0]], b.xy[pairs[:, 1]]
    keep = agreeing(one, other, geometry)
    return one[keep], other[keep]


class PairPictures:
    """Draws pairs of images of an index; each image is decoded once.

    Parameters
    ----------
    local : LocalFeatures or None
        What finds keypoints and matches them; None for no lines.
    side : int
        Longer side in pixels, of images whose keypoints are sought.
    geometry : {'homography', 'fundamental'}
        That they are to agree on.
    """

    def __init__(
        self, local: LocalFeatures | None, side: int = 320, geometry: Geometry = "homography"
    ) -> None:
        self.local, self.side, self.geometry = local, side, geometry
        self._seen: dict[str, tuple[np.ndarray, Keypoints | None]] = {}

    def draw(self, a: ImageRow, b: ImageRow) -> tuple[np.ndarray, int]:
        """The two side by side, (h, w, 3) uint8, and how many keypoints agree."""
        (x, mine), (y, theirs) = self._of(a), self._of(b)
        sides = [_scaled(image) for image in (x, y)]
        height = max(s.shape[0] for s in sides)
        start = sides[0].shape[1] + GAP
        canvas = np.full((height, start + sides[1].shape[1], 3), 128, np.uint8)
        canvas[: sides[0].shape[0], : sides[0].shape[1]] = sides[0]
        canvas[: sides[1].shape[0], start:] = sides[1]
        if self.local is None or mine is None or theirs is None:
            return canvas, 0
        points = agreeing_points(mine, theirs, self.local, self.geometry)
        scales = [s.shape[1] * max(i.shape[:2]) / (self.side * i.shape[1])
                  for s, i in zip(sides, (x, y), strict=True)]  # fmt: skip
        left = points[0] * scales[0]
        right = points[1] * scales[1] + np.array([start, 0])
        return _with_lines(canvas, left, right), len(left)

    def _of(self, row: ImageRow) -> tuple[np.ndarray, Keypoints | None]:
        if row.id not in self._seen:
            if row.source.endswith(".npy"):
                image = pixels(row, Preprocessing(self.side))
            else:
                image = decode(unchanged_bytes(row))
            found = self.local.find(image) if self.local else None
            self._seen[row.id] = image, found
        return self._seen[row.id]


def _scaled(image: np.ndarray) -> np.ndarray:
    import cv2

    scale = min(HEIGHT / image.shape[0], WIDEST / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 3 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how))


def _with_lines(canvas: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    import cv2

    chosen = np.unique(np.linspace(0, len(left) - 1, min(len(left), LINES)).round().astype(int))
    shift = 4  # sixteenths of a pixel
    for n, i in enumerate(chosen if len(left) else ()):
        a, b = ((v[i] * 2**shift).round().astype(int).tolist() for v in (left, right))
        colour = COLOURS[n % len(COLOURS)]
        cv2.line(canvas, a, b, colour, 1, cv2.LINE_AA, shift)
        for end in (a, b):
            cv2.circle(canvas, end, 2 << shift, colour, 1, cv2.LINE_AA, shift)
    return canvas


def encoded(pictures: Sequence[np.ndarray], budget: int = BUDGET) -> list[bytes]:
    """WebP files of pictures in at most `budget` bytes: coarser first, then fewer, the first ones.

    Examples
    --------
    >>> len(encoded([np.zeros((8, 8, 3), np.uint8)] * 2))
    2
    """
    files: list[bytes] = []
    for quality in QUALITIES:
        files = [_webp(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= budget:
            return files
    kept: list[bytes] = []
    for file in files:
        if sum(map(len, kept)) + len(file) > budget:
            break
        kept.append(file)
    return kept


def _webp(picture: np.ndarray, quality: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()
