"""Work on rows shard by shard, or item by item: in this process, or wherever `run_by` says.

Shards lie at the same places whoever works on them, and what comes of them is taken in their order,
so that sums over all rows are the same bytes for any number of workers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from imclust.core.reproducibility import threads

SHARD = 1 << 17  # rows


@dataclass(frozen=True)
class MappedRows:
    """Rows that lie in a file, by what it takes to map them again in another process.

    Parameters
    ----------
    path : str
        The file.
    dtype : str
        Of the numbers.
    offset : int
        Bytes before the first number.
    shape, strides : tuple of int
        Of the array.
    """

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, rows: np.ndarray) -> MappedRows | None:
        """Where an array lies, if it is a view of a memory-mapped one; None of one in memory."""
        base: Any = None  # the array of the whole file, of which slices are views
        view: Any = rows
        while view is not None:
            base = view if isinstance(view, np.memmap) else base
            view = getattr(view, "base", None)
        if base is None or base.filename is None:
            return None
        before = rows.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        path = str(Path(base.filename).absolute())
        offset = base.offset + before
        return cls(path, rows.dtype.str, offset, rows.shape, rows.strides)

    def rows(self) -> np.ndarray:
        """The array, read-only."""
        whole = np.memmap(self.path, np.uint8, mode="r")
        made: np.ndarray = np.ndarray(
            self.shape, self.dtype, buffer=whole, offset=self.offset, strides=self.strides
        )
        return made


Runner: TypeAlias = Callable[[Sequence[Any], Callable[..., Any], tuple[Any, ...]], Iterator[Any]]
_thread = threading.local()
_runner: ContextVar[Runner | None] = ContextVar("runner", default=None)


def over_shards(
    rows: np.ndarray | list[np.ndarray], work: Callable[..., Any], *more: Any
) -> Iterator[tuple[slice, Any]]:
    """`work(shard, *more)` of every shard, in order, with where it lies.

    Parameters
    ----------
    rows : np.ndarray or list of np.ndarray
        (n, d), memory-mapped where other machines are to read it; or several (n, d_v) side by
        side, of which a shard is a list, too.
    work : Callable
        A function of a module, so that other processes can find it.
    more : Any
        Further arguments, which can be pickled.

    Examples
    --------
    >>> [found for _, found in over_shards(np.ones((3, 2)), np.sum)]
    [np.float64(6.0)]
    """
    n = len(rows[0]) if isinstance(rows, list) else len(rows)
    places = [slice(a, min(a + SHARD, n)) for a in range(0, n, SHARD)]

    def cut(place: slice) -> Any:
        return [x[place] for x in rows] if isinstance(rows, list) else rows[place]

    run = _runner.get()
    if run is None:
        for place in places:
            yield place, work(cut(place), *more)
        return
    yield from zip(places, run([_sent(cut(place)) for place in places], work, more), strict=True)


def over_items(items: Sequence[Any], work: Callable[..., Any], *more: Any) -> Iterator[Any]:
    """`work(item, *more)` of every item, in order: what is not of rows, such as candidates.

    Parameters
    ----------
    items : sequence
        What can be pickled.
    work : Callable
        A function of a module whose result says nothing of where it was called.
    more : Any
        Further arguments, which can be pickled.

    Examples
    --------
    >>> list(over_items([(1, 2), (3,)], sum))
    [3, 3]
    """
    run = _runner.get()
    return in_parallel(items, work, *more) if run is None else run(items, work, more)


def is_elsewhere() -> bool:
    """Whether work on shards and items is done elsewhere, such as by a Ray cluster.

    Examples
    --------
    >>> is_elsewhere()
    False
    """
    return _runner.get() is not None


def in_parallel(items: Sequence[Any], work: Callable[..., Any], *more: Any) -> Iterator[Any]:
    """`work(item, *more)` of every item, in order, on as many threads of this process as
    OMP_NUM_THREADS allows, else on one a core.

    Meanwhile libraries add up on one thread each: several add up as they come, so that the result
    would tell how many there were, and wait for each other where the cores are busy.

    Parameters
    ----------
    items : sequence
        What is worked on.
    work : Callable
        What lets go of Python's lock most of the time, and is safe to call from several threads.
    more : Any
        Further arguments.

    Examples
    --------
    >>> list(in_parallel([(1, 2), (3,)], sum))
    [3, 3]
    """
    unwanted = threading.Event()

    def begin() -> None:
        _thread.unwanted = unwanted

    # What a thread of such a pool shares out again it does itself.
    many = 1 if hasattr(_thread, "unwanted") else max(1, min(threads(), len(items)))
    pool, waiting = ThreadPoolExecutor(many, initializer=begin), deque[Future[Any]]()
    with one_thread_each():
        try:
            for item in items:
                waiting.append(pool.submit(work, item, *more))
                if len(waiting) > 2 * many:  # never far ahead of whoever takes the results
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            unwanted.set()
            pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Inside the block, each numerical library adds up on one thread, so that its sums do not tell
    how many cores there are.

    The first block that is entered sees to it, whichever thread enters it, and the last one that is
    left ends it: libraries know one number for all threads, and telling them takes milliseconds.

    Examples
    --------
    >>> with one_thread_each():
    ...     total = np.ones((4, 4)) @ np.ones(4)
    """
    import scipy.linalg  # noqa: F401  (what is loaded later would not hear of it)
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    with _limit.lock:
        _limit.blocks += 1
        if _limit.blocks == 1:
            _limit.kept = threadpool_limits(1)
    try:
        yield
    finally:
        with _limit.lock:
            _limit.blocks -= 1
            if _limit.blocks == 0:
                _limit.kept.restore_original_limits()


class _Limit:
    """Who is inside of `one_thread_each`."""

    def __init__(self) -> None:
        self.lock, self.blocks = threading.Lock(), 0
        self.kept: Any = None


_limit = _Limit()


def is_unwanted() -> bool:
    """Whether nobody waits any more for what this thread works on, as after Ctrl-C: long work asks
    between its parts.

    Examples
    --------
    >>> is_unwanted()
    False
    """
    unwanted = getattr(_thread, "unwanted", None)
    return unwanted is not None and unwanted.is_set()


def _sent(shard: Any) -> Any:
    """A shard as it travels: where its rows lie, if they are mapped."""
    if isinstance(shard, list):
        return [_sent(part) for part in shard]
    return MappedRows.of(shard) or shard


def received(item: Any) -> Any:
    """On a worker: an item, or a shard with its rows mapped again.

    Examples
    --------
    >>> received([np.zeros(2), "a"])
    [array([0., 0.]), 'a']
    """
    if isinstance(item, list):
        return [received(part) for part in item]
    return item.rows() if isinstance(item, MappedRows) else item


@contextmanager
def run_by(runner: Runner) -> Iterator[None]:
    """Inside the block, `over_shards` and `over_items` have their work done elsewhere, such as by a
    Ray cluster.

    Parameters
    ----------
    runner : callable
        (items, work, more) -> an iterator of `work(item, *more)`, in the order of the items.

    Examples
    --------
    >>> def twice(shards, work, more):
    ...     return (2 * work(shard, *more) for shard in shards)
    >>> with run_by(twice):
    ...     [found for _, found in over_shards(np.ones((3, 2)), np.sum)]
    [np.float64(12.0)]
    """
    token = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(token)
