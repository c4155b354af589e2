"""One sentence for every refusal: what it is, what is allowed, what came, what to do."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.errors import input_error

A_PROBABILITY, A_PAIR = 20, 40  # bytes that are held of each, and of each pair of clusters


def in_range(owner: str, name: str, value: float, lo: float, hi: float) -> None:
    """Refuse a setting outside [lo, hi]; NaN is outside of everything.

    Parameters
    ----------
    owner, name : str
        Whose setting it is, and what it is called.
    value : float
        As it was given.
    lo, hi : float
        Least and most.

    Examples
    --------
    >>> in_range("kmeans", "restarts", 3, 1, 10)
    """
    if not lo <= value <= hi:
        raise input_error(
            f"{owner}.{name}", f"in [{lo}, {hi}]", repr(value), f"choose another {name}"
        )


def shaped(name: str, a: Any, dims: str, **sizes: int) -> dict[str, int]:
    """`shaped("x", x, "n d", n=len(ids))` -> {"n": ..., "d": ...}; refuses another rank or size.

    Parameters
    ----------
    name : str
        Of the array, for the refusal.
    a : array
        Anything with a shape.
    dims : str
        A letter a dimension.
    **sizes : int
        Of dimensions that are known.

    Examples
    --------
    >>> shaped("x", np.zeros((2, 3)), "n d", n=2)
    {'n': 2, 'd': 3}
    """
    names = dims.split()
    fits = a.ndim == len(names) and all(
        sizes.get(d, s) == s for d, s in zip(names, a.shape, strict=True)
    )
    if not fits:
        want = ", ".join(f"{d}={sizes[d]}" if d in sizes else d for d in names)
        raise input_error(
            name, f"of shape [{want}]", list(a.shape), "check where the array comes from"
        )
    return dict(zip(names, a.shape, strict=True))


def finite(name: str, a: Any, do: str = "encode again with finite weights") -> None:
    """Refuse NaN and infinity. `a`: float array of any shape, memory-mapped or not.

    Examples
    --------
    >>> finite("the rows", np.zeros((2, 3)))
    """

    bad = sum(int((~np.isfinite(a[i : i + 8192])).sum()) for i in range(0, len(a), 8192))
    if bad:
        raise input_error(name, "finite", f"{bad} NaN or infinite values", do)


def cluster_count(
    n_clusters: int,
    n_rows: int,
    of: str = "images",
    do: str = "set K (or --n-clusters) to a number in that range, or add images",
) -> None:
    """Refuse K < 2 and K > N; `of` says what the rows are, `do` what to do.

    Parameters
    ----------
    n_clusters, n_rows : int
        K and N.
    of, do : str
        What the rows are, and what to do.

    Examples
    --------
    >>> cluster_count(3, 10)
    """
    if not 2 <= n_clusters <= n_rows:
        allowed = f"from 2 to the number of {of} ({n_rows})"
        raise input_error("the number of clusters K", allowed, n_clusters, do)


def count_that_fits(n_clusters: int, n_fitted: int, n_rows: int) -> None:
    """Refuse a K that the fitted images are too few for, or all images' probabilities too much.

    Parameters
    ----------
    n_clusters : int
        K.
    n_fitted, n_rows : int
        Images that are clustered, and all that get a probability.

    Examples
    --------
    >>> count_that_fits(3, 10, 12)
    """
    cluster_count(n_clusters, n_fitted)
    needed = A_PROBABILITY * n_rows * n_clusters + A_PAIR * n_clusters**2
    what = f"the probabilities of {n_rows} images and {n_clusters} clusters"
    do = "take fewer clusters, or hierarchical_kmeans in Python, which gives the centres alone"
    enough_memory(what, needed, do)


def valid_seed(seed: Any) -> None:
    """Refuse a seed that not every generator takes: NumPy's and scikit-learn's have 32 bits.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    InputError
        It is no whole number, or outside of that range.

    Examples
    --------
    >>> valid_seed(7)
    """
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**32:
        allowed = f"a whole number from 0 to {2**32 - 1}"
        raise input_error("the seed (SEED, --seed)", allowed, repr(seed), "choose another")


def given_count(n_clusters: Any) -> None:
    """Refuse a K that no data could have; None and `auto` are left to whoever decides.

    Parameters
    ----------
    n_clusters : int or 'auto' or None
        As it was given.

    Raises
    ------
    InputError
        It is less than 2.

    Examples
    --------
    >>> given_count("auto")
    """
    if n_clusters is not None and n_clusters != "auto" and n_clusters < 2:
        allowed, do = "at least 2, or auto", "choose another number"
        raise input_error("the number of clusters K (--n-clusters)", allowed, n_clusters, do)


def distinct_rows(spaces: Sequence[np.ndarray]) -> np.ndarray:
    """Number of the first row that equals each row in every space: (n,) int64.

    Parameters
    ----------
    spaces : sequence of np.ndarray
        (n, d_v) each, row i of the same image.

    Examples
    --------
    >>> distinct_rows([np.array([[1.0], [2.0], [1.0]])]).tolist()
    [0, 1, 0]
    """
    marks = row_marks(spaces)
    _, first, group = np.unique(marks, return_index=True, return_inverse=True)
    found = first[group].astype(np.int64)
    again = np.flatnonzero(found != np.arange(len(found)))
    for a in range(0, len(again), 4096):
        here = again[a : a + 4096]
        for space in spaces:
            if (_bytes_of(space[here]) != _bytes_of(space[found[here]])).any():
                return _distinct_by_dictionary(spaces)
    return found


def row_marks(spaces: Sequence[np.ndarray]) -> np.ndarray:
    """A number of each row that equal rows share, and others but by a rare chance: (n,) uint64.

    Parameters
    ----------
    spaces : sequence of np.ndarray
        (n, d_v) each, row i of the same image.

    Examples
    --------
    >>> marks = row_marks([np.array([[1.0], [2.0], [1.0]])])
    >>> bool(marks[0] == marks[2] != marks[1])
    True
    """
    rng = np.random.default_rng(0)
    marks = np.zeros(len(spaces[0]), np.uint64)
    for space in spaces:
        width = _bytes_of(space[:1]).shape[1]
        odd = 2 * rng.integers(0, 2**63, width, dtype=np.uint64) + np.uint64(1)
        for a in range(0, len(marks), 4096):
            words = _bytes_of(space[a : a + 4096])
            marks[a : a + 4096] += (words * odd).sum(1, dtype=np.uint64)
    return marks


def _bytes_of(rows: np.ndarray) -> np.ndarray:
    """The bytes of rows (m, d) as unsigned numbers (m, w); upper bits are mixed into the lower,
    which are zeros in round numbers."""
    rows = np.ascontiguousarray(rows)
    size = rows.dtype.itemsize
    kind = {2: np.uint16, 4: np.uint32, 8: np.uint64}.get(size)
    if kind is None:
        return rows.view(np.uint8)
    words = rows.view(kind)
    return words ^ (words >> kind(4 * size))


def _distinct_by_dictionary(spaces: Sequence[np.ndarray]) -> np.ndarray:
    """`distinct_rows` where two different rows have one mark."""
    first: dict[bytes, int] = {}
    found = np.empty(len(spaces[0]), np.int64)
    for i in range(len(found)):
        row = b"".join(np.asarray(space[i]).tobytes() for space in spaces)
        found[i] = first.setdefault(hashlib.blake2b(row, digest_size=16).digest(), i)
    return found


def enough_distinct_rows(n_clusters: int, n_distinct: int, of: str = "rows") -> None:
    """Refuse more clusters than there are different rows: equal rows share a cluster.

    Parameters
    ----------
    n_clusters, n_distinct : int
        K, and the number of different rows.
    of : str
        What the rows are.

    Examples
    --------
    >>> enough_distinct_rows(3, 10)
    """
    if n_clusters > n_distinct:
        raise input_error(
            "the number of clusters K", f"at most the number of different {of} ({n_distinct})",
            n_clusters, "lower K, or look for copies among the images",
        )  # fmt: skip


def disk_space(folder: Path, needed: int) -> None:
    """Refuse before writing what cannot fit. `needed`: bytes; `folder` need not exist yet.

    Examples
    --------
    >>> disk_space(Path("."), 1)
    """
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        e = input_error(
            f"free space for {folder}",
            f"at least {-(-needed // 2**20)} MiB",
            f"{free // 2**20} MiB",
            "free some or choose a folder on another disk",
        )
        e.status = 3  # as when the disk fills up under way
        raise e


def enough_memory(what: str, needed: int, do: str) -> None:
    """Refuse what will need more memory than there is just now; where that cannot be told, nothing.

    Parameters
    ----------
    what : str
        That would take it.
    needed : int
        Bytes.
    do : str
        Advice.

    Raises
    ------
    InputError
        There is less.

    Examples
    --------
    >>> enough_memory("one row", 8, "take fewer")
    """
    free = free_memory()
    if free is not None and needed > free:
        allowed = f"no larger than the {free / 2**30:.1f} GiB of memory that are free"
        raise input_error(what, allowed, f"{needed / 2**30:.1f} GiB", do)


def free_memory() -> int | None:
    """Bytes that programs may still take, those of this process's own limit where it is less.

    Examples
    --------
    >>> free_memory() is None or free_memory() > 0
    True
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        most, used = ((group / f"memory.{n}").read_text() for n in ("max", "current"))
        return min(free, int(most) - int(used))
    except (OSError, ValueError):  # no such limit
        return free


def seconds(text: str) -> float:
    """`90s`, `1.5m`, `5 s`, `1h` or a bare number -> seconds.

    Raises
    ------
    InputError
        Anything else.

    Examples
    --------
    >>> seconds("1.5m")
    90.0
    """
    parts = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", text)
    value = float(parts[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[parts[2]] if parts else math.nan
    if not 0 < value < math.inf:
        raise input_error("a budget", "a time such as 60s, 2m or 1h", repr(text), "write it so")
    return value
