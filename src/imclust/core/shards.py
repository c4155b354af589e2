"""Work on rows shard by shard: in this process, or wherever `run_by` says.

Shards lie at the same places whoever works on them, and what comes of them is taken in their order,
so that sums over all rows are the same bytes for any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

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


Shard: TypeAlias = "MappedRows | np.ndarray"
Runner: TypeAlias = Callable[[Sequence[Shard], Callable[..., Any], tuple[Any, ...]], Iterator[Any]]
_runner: ContextVar[Runner | None] = ContextVar("runner", default=None)


def over_shards(
    rows: np.ndarray, work: Callable[..., Any], *more: Any
) -> Iterator[tuple[slice, Any]]:
    """`work(shard, *more)` of every shard, in order, with where it lies.

    Parameters
    ----------
    rows : np.ndarray
        (n, d), memory-mapped where other machines are to read it.
    work : Callable
        A function of a module, so that other processes can find it.
    more : Any
        Further arguments, which can be pickled.

    Examples
    --------
    >>> [found for _, found in over_shards(np.ones((3, 2)), np.sum)]
    [np.float64(6.0)]
    """
    places = [slice(a, min(a + SHARD, len(rows))) for a in range(0, len(rows), SHARD)]
    run = _runner.get()
    if run is None:
        for place in places:
            yield place, work(rows[place], *more)
        return
    shards: list[Shard] = []
    for place in places:
        shards.append(MappedRows.of(rows[place]) or rows[place])
    yield from zip(places, run(shards, work, more), strict=True)


@contextmanager
def run_by(runner: Runner) -> Iterator[None]:
    """Inside the block, `over_shards` has its work done elsewhere, such as by a Ray cluster.

    Parameters
    ----------
    runner : callable
        (shards, work, more) -> an iterator of `work(shard, *more)`, in the order of the shards.

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
