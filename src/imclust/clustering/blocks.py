"""Rows in blocks: many of them, memory-mapped or not, are gone through once, on every core.

The blocks lie at the same places whatever the number of threads, each is worked on by one thread,
and what comes of them is taken in their order: the bytes of a result say nothing of the machine's
cores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from imclust.core.log import progress

T = TypeVar("T")
LARGE = 50_000  # rows past which ways are taken whose cost grows as the number of rows
BLOCK = 2048  # rows; 2 MiB of 256 columns, which stay in a core's cache between its steps


def each_block(
    rows: np.ndarray, work: Callable[[np.ndarray], T], what: str = "", *, block: int = BLOCK
) -> Iterator[tuple[slice, T]]:
    """What `work` makes of every block, in order, with where it lies.

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
    from threadpoolctl import ThreadpoolController

    pools = ThreadpoolController()
    blas = pools.select(user_api="blas").info()
    threads = max((pool["num_threads"] for pool in blas), default=1)
    places = [slice(a, min(a + block, len(rows))) for a in range(0, len(rows), block)]
    bar = progress(None, what, total=len(rows), unit="row", leave=False) if what else None
    waiting: deque[tuple[slice, Future[T]]] = deque()
    # One thread a block inside, so that a product of matrices is always summed in the same order.
    with pools.limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        try:
            for place in places:
                waiting.append((place, pool.submit(_work_on, rows, place, work)))
                if len(waiting) > 2 * threads:
                    yield _first(waiting, bar)
            while waiting:
                yield _first(waiting, bar)
        finally:
            for _, future in waiting:
                future.cancel()
            if bar is not None:
                bar.close()


def _work_on(rows: np.ndarray, place: slice, work: Callable[[np.ndarray], T]) -> T:
    return work(np.ascontiguousarray(rows[place], np.float32))


def _first(waiting: deque[tuple[slice, Future[T]]], bar: object) -> tuple[slice, T]:
    place, future = waiting.popleft()
    found = future.result()
    if bar is not None:
        bar.update(place.stop - place.start)  # type: ignore[attr-defined]
    return place, found


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
