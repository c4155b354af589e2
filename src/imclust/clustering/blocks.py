"""Rows in blocks: many of them, memory-mapped or not, are gone through once, on every core.

The blocks lie at the same places whatever the number of threads, each is worked on by one thread,
and what comes of them is taken in their order: the bytes of a result say nothing of the machine's
cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from imclust.core.log import progress
from imclust.core.shards import in_parallel

Item = TypeVar("Item")
T = TypeVar("T")
LARGE = 50_000  # rows past which ways are taken whose cost grows as the number of rows
BLOCK = 2048  # rows; 2 MiB of 256 columns, which stay in a core's cache between its steps


def each_block(
    rows: np.ndarray, work: Callable[[np.ndarray], T], what: str = "", *, block: int = BLOCK
) -> Iterator[tuple[slice, T]]:
    """What `work` makes of every block, in order, with where it lies; see
    `imclust.core.shards.in_parallel`.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float of any width; of a memory-mapped array no more than a few blocks are read at
        a time.
    work : Callable
        Takes a block (m, d) float32; must be safe to call from several threads.
    what : str, optional
        Title of a progress bar; none without.
    block : int, optional
        Rows of each.

    Examples
    --------
    >>> [(at.start, total) for at, total in each_block(np.ones((5, 2)), np.sum, block=3)]
    [(0, np.float32(6.0)), (3, np.float32(4.0))]
    """

    def work_on(place: slice) -> T:
        return work(np.ascontiguousarray(rows[place], np.float32))

    places = [slice(a, min(a + block, len(rows))) for a in range(0, len(rows), block)]
    bar = progress(None, what, total=len(rows), unit="row", leave=False) if what else None
    try:
        for place, found in zip(places, in_parallel(places, work_on), strict=True):
            yield place, found
            if bar is not None:
                bar.update(place.stop - place.start)
    finally:
        if bar is not None:
            bar.close()


def sample_rows(n: int, most: int, seed: int) -> np.ndarray:
    """At most so many of n row numbers, drawn without replacement, in order: (m,) int64.

    Examples
    --------
    >>> sample_rows(3, 5, 0).tolist()
    [0, 1, 2]
    """
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
