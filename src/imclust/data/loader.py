"""From stored images to network input: scaled squares, decoded on threads, in batches."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from imclust.core.errors import InputError
from imclust.core.file_signatures import kept_for_file
from imclust.core.log import progress
from imclust.data.images import ImageRow, decode, refuse_changed, unchanged_bytes

if TYPE_CHECKING:
    from torch import Tensor

AHEAD = 2  # batches decoded before they are asked for
MOST_WORKERS = 16
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of RGB


@dataclass(frozen=True)
class Preprocessing:
    """From stored pixels to network input; travels inside the weights file.

    The centre square of an image is cut out and scaled to `size`: by area when it gets smaller
    (which averages, so nothing aliases), by bicubic interpolation when it gets larger.

    Parameters
    ----------
    size : int
        Side of the square input in pixels.
    mean, std : tuple[float, float, float]
        Per channel, on the 0..1 scale; 0.5 and 0.5 give the range -1..1.
    crop : float
        Share of the shorter side that the square keeps, in (0, 1]; timm's `crop_pct`.
    window : int
        Side in stored pixels of the square to cut, instead of the shorter side; 0 for none. Images
        smaller than it keep their shorter side.
    order : Literal['rgb', 'bgr']
        Of the channels that the network sees.
    small_whole : bool
        Whether images whose shorter side is at most `size` lose nothing to `crop`.
    """

    size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    crop: float = 1.0
    window: int = 0
    order: Literal["rgb", "bgr"] = "rgb"
    small_whole: bool = False

    def kept(self, width: int, height: int) -> float:
        """Side of the centre square that is kept of an image, in its pixels."""
        shorter = min(width, height)
        if self.small_whole and shorter <= self.size:
            return shorter
        return max(1.0, self.crop * (min(self.window, shorter) if self.window else shorter))

    def reduction(self, width: int, height: int) -> int:
        """How much smaller a JPEG may be decoded and still fill the input: 1, 2, 4 or 8."""
        spare = self.kept(width, height) / self.size
        return max(by for by in (1, 2, 4, 8) if by == 1 or by <= spare)


@kept_for_file(8)
def _array(path: str) -> np.ndarray:
    from imclust.core.npy import open_npy

    return open_npy(Path(path))


def pixels(row: ImageRow, preprocessing: Preprocessing) -> np.ndarray:
    """One image as (size, size, 3) uint8 RGB.

    Parameters
    ----------
    row : ImageRow
        Of an index; its stored bytes must be those that were indexed.
    preprocessing : Preprocessing
        How it is cut and scaled.

    Raises
    ------
    ValueError
        It cannot be decoded; the text says why.

    Examples
    --------
    >>> pixels(ImageRow("a", "train", "photos/dune/00.png", ""), Preprocessing(size=16)).shape
    (16, 16, 3)
    """

    if row.source.endswith(".npy"):
        stored = np.array(_array(row.source)[int(row.member)])
        refuse_changed(row, stored.tobytes())
        return square(as_rgb(stored), preprocessing, preprocessing.kept(*stored.shape[1::-1]))
    by = 1

    def reduction(width: int, height: int) -> int:
        nonlocal by
        by = preprocessing.reduction(width, height)
        return by

    rgb = decode(unchanged_bytes(row), reduction)
    height, width = rgb.shape[:2]
    return square(rgb, preprocessing, preprocessing.kept(width * by, height * by) / by)


def as_rgb(stored: np.ndarray) -> np.ndarray:
    """A stored array row, (h, w), (h, w, 1) or (h, w, 3) uint8, as (h, w, 3).

    Examples
    --------
    >>> as_rgb(np.zeros((4, 4), np.uint8)).shape
    (4, 4, 3)
    """

    if stored.ndim == 2:
        stored = stored[..., None]
    return np.ascontiguousarray(np.broadcast_to(stored, (*stored.shape[:2], 3)))


def square(rgb: np.ndarray, preprocessing: Preprocessing, kept: float) -> np.ndarray:
    """The centre square of side `kept`, scaled to `preprocessing.size`; (size, size, 3) uint8.

    Parameters
    ----------
    rgb : np.ndarray
        (h, w, 3) uint8.
    preprocessing : Preprocessing
        How large it becomes.
    kept : float
        Side of the square, in pixels of `rgb`.

    Examples
    --------
    >>> square(np.zeros((40, 60, 3), np.uint8), Preprocessing(32), 40).shape
    (32, 32, 3)
    """
    import cv2

    height, width = rgb.shape[:2]
    side = min(max(1, round(kept)), height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = rgb[top : top + side, left : left + side]
    size = preprocessing.size
    if side == size:
        return cut
    how = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(cut, (size, size), interpolation=how)


def pixel_batches(
    rows: Sequence[ImageRow], preprocessing: Preprocessing, batch: int, workers: int | None = None
) -> Iterator[np.ndarray]:
    """Batches (b, size, size, 3) uint8 in row order, decoded ahead of need.

    Threads, not processes: OpenCV and Pillow let go of Python's lock while they decode, and each
    writes straight into its place in the batch.

    Parameters
    ----------
    rows : Sequence[ImageRow]
        Which images.
    preprocessing : Preprocessing
        How they are cut and scaled.
    batch : int
        Images a batch; the last may be smaller.
    workers : int | None, optional
        Decoding threads; one a core unless given.

    Raises
    ------
    InputError
        An image that was readable before is no longer.

    Examples
    --------
    >>> from imclust.data.images import load_index
    >>> rows = load_index(Path("raw/index"))
    >>> [len(block) for block in pixel_batches(rows, Preprocessing(16), batch=10, workers=1)]
    [10, 10, 4]
    """

    def fill(place: np.ndarray, row: ImageRow) -> None:
        try:
            place[:] = pixels(row, preprocessing)
        except (ValueError, OSError) as e:
            raise InputError(
                f"{' '.join(filter(None, (row.source, row.member)))} must be the image that was "
                f"indexed; got {e}; run download again."
            ) from e

    def start(part: Sequence[ImageRow]) -> tuple[np.ndarray, list[Future[None]]]:
        block = np.empty((len(part), preprocessing.size, preprocessing.size, 3), np.uint8)
        return block, [pool.submit(fill, block[i], row) for i, row in enumerate(part)]

    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, MOST_WORKERS))
    ahead: deque[tuple[np.ndarray, list[Future[None]]]] = deque()
    try:
        for a in range(0, len(rows), batch):
            ahead.append(start(rows[a : a + batch]))
            if len(ahead) > AHEAD:
                yield _finished(*ahead.popleft())
        while ahead:
            yield _finished(*ahead.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(block: np.ndarray, jobs: list[Future[None]]) -> np.ndarray:
    for job in jobs:
        job.result()
    return block


def all_pixels(rows: Sequence[ImageRow], preprocessing: Preprocessing, what: str) -> np.ndarray:
    """Every image in memory: (n, size, size, 3) uint8.

    Parameters
    ----------
    rows : sequence of ImageRow
        Which images.
    preprocessing : Preprocessing
        How they are cut and scaled.
    what : str
        Name of the progress bar.

    Raises
    ------
    InputError
        An image that was readable before is no longer.

    Examples
    --------
    >>> from imclust.data.images import load_index
    >>> all_pixels(load_index(Path("raw/index")), Preprocessing(16), "read").shape
    (24, 16, 16, 3)
    """

    out = np.empty((len(rows), preprocessing.size, preprocessing.size, 3), np.uint8)
    at = 0
    with progress(None, what, total=len(rows), unit="img") as bar:
        for block in pixel_batches(rows, preprocessing, 256):
            out[at : at + len(block)] = block
            at += len(block)
            bar.update(len(block))
    return out


def to_input(block: np.ndarray, preprocessing: Preprocessing, device: str) -> Tensor:
    """uint8 (b, s, s, 3) -> float32 tensor (b, 3, s, s), channels-last, normalised, on `device`.

    Bytes cross to the device and become floats there, a quarter of the traffic.

    Parameters
    ----------
    block : np.ndarray
        (b, s, s, 3) uint8.
    preprocessing : Preprocessing
        Its mean, spread and order of channels.
    device : str
        Torch's name.

    Examples
    --------
    >>> to_input(np.zeros((2, 8, 8, 3), np.uint8), Preprocessing(8), "cpu").shape
    torch.Size([2, 3, 8, 8])
    """
    import torch

    return normalised(torch.from_numpy(block).to(device, non_blocking=True), preprocessing)


def normalised(block: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 (b, s, s, 3) -> float32 (b, 3, s, s), channels-last, (x / 255 - mean) / std.

    With mean and std 0.5 this is x / 255 * 2 - 1.

    Examples
    --------
    >>> import torch
    >>> white = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    >>> float(normalised(white, Preprocessing(2)).max())
    1.0
    """
    return scaled(unit_range(block), preprocessing)


def unit_range(block: Tensor) -> Tensor:
    """uint8 (b, s, s, 3) -> float32 (b, 3, s, s) in [0, 1].

    Examples
    --------
    >>> import torch
    >>> float(unit_range(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)).max())
    1.0
    """
    return block.permute(0, 3, 1, 2).float() / 255


def scaled(x: Tensor, preprocessing: Preprocessing) -> Tensor:
    """RGB (b, 3, s, s) in [0, 1] -> what the network sees, channels-last.

    Examples
    --------
    >>> import torch
    >>> float(scaled(torch.ones(1, 3, 2, 2), Preprocessing(2)).max())
    1.0
    """
    import torch

    if preprocessing.order == "bgr":
        x = x.flip(1)
    mean, std = (
        torch.tensor(v, device=x.device).view(1, 3, 1, 1)
        for v in (preprocessing.mean, preprocessing.std)
    )
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)
