"""Preparations of a space before it is clustered: centred, shortened, whitened, of unit length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from imclust.clustering.eigenpairs import leading_eigenpairs

Preparation = Literal["raw", "unit", "pca", "power", "white"]
BLOCK = 2048  # rows at a time: what is made on the way is never as long as all of them
DIMS = 64  # directions that pca, power and white keep
# Directions of less than this share of the largest spread are rounding; whitening would blow
# them up to the size of the signal.
LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class Prepared:
    """A space made ready.

    Parameters
    ----------
    rows : np.ndarray
        (n, d') float32.
    apply : Callable[[np.ndarray], np.ndarray]
        The same for further rows (m, d) -> (m, d').
    """

    rows: np.ndarray
    apply: Callable[[np.ndarray], np.ndarray]


def unit_rows(z: np.ndarray) -> np.ndarray:
    """(n, d) float32 with rows of length 1; rows of zeros stay.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    out = np.empty(np.shape(z), np.float32)
    for a in range(0, len(out), BLOCK):
        rows = np.asarray(z[a : a + BLOCK], np.float32)
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        np.divide(rows, np.where(norm == 0, np.float32(1), norm), out=out[a : a + BLOCK])
    return out


class JoinedRows:
    """Spaces side by side with unit rows in each, computed of those rows that are asked for.

    Parameters
    ----------
    spaces : list of np.ndarray
        (n, d_v) each, row i of the same image; memory-mapped or not.
    scale : float, optional
        Length that rows are brought to in each.

    Examples
    --------
    >>> rows = JoinedRows([np.ones((5, 1)), np.ones((5, 4))])
    >>> rows.shape, np.asarray(rows[1:3]).shape, rows[np.array([4])].shape
    ((5, 5), (2, 5), (1, 5))
    """

    ndim = 2

    def __init__(self, spaces: list[np.ndarray], scale: float = 1.0) -> None:
        self._spaces, self._scale = spaces, np.float32(scale)
        self.shape = len(spaces[0]), sum(s.shape[1] for s in spaces)

    @property
    def dtype(self) -> np.dtype:
        """Always float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> Any:
        """A slice is joined rows again; rows by their numbers (m,) are computed: (m, d) float32."""
        some = JoinedRows([s[which] for s in self._spaces], float(self._scale))
        return some if isinstance(which, slice) else np.asarray(some)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        joined = np.hstack([unit_rows(s) for s in self._spaces])
        joined *= self._scale
        return joined if dtype is None else joined.astype(dtype, copy=False)


def joined_unit_rows(spaces: list[np.ndarray]) -> np.ndarray | JoinedRows:
    """Spaces (n, d_v) side by side with unit rows in each; a single one as it is.

    For whoever goes through them in blocks: they are never all made.

    Examples
    --------
    >>> joined_unit_rows([np.ones((2, 1)), np.ones((2, 4))]).shape
    (2, 5)
    """
    return spaces[0] if len(spaces) == 1 else JoinedRows(spaces)


def concatenate_unit_rows(spaces: list[np.ndarray]) -> np.ndarray:
    """The same in memory.

    Examples
    --------
    >>> concatenate_unit_rows([np.ones((2, 1)), np.ones((2, 4))]).shape
    (2, 5)
    """
    return spaces[0] if len(spaces) == 1 else np.asarray(JoinedRows(spaces))


def power_rows(z: np.ndarray) -> np.ndarray:
    """Signed square roots (Perronnin et al. 2010, eq. 5), so that a few loud features no longer
    decide, in rows of length 1.

    Examples
    --------
    >>> power_rows(np.array([[4.0, 0.0]])).tolist()
    [[1.0, 0.0]]
    """

    out = np.empty(np.shape(z), np.float32)
    for a in range(0, len(out), BLOCK):
        rows = np.asarray(z[a : a + BLOCK], np.float32)
        out[a : a + BLOCK] = unit_rows(np.sign(rows) * np.sqrt(np.abs(rows)))
    return out


def prepare(z: np.ndarray, how: Preparation, dims: int = DIMS) -> Prepared:
    """Bring a space into the shape that distances are taken in.

    - raw: as it is. unit: rows of length 1, so that directions count and lengths do not.
    - pca: unit, centred, the `dims` widest principal directions, unit again.
    - power: the signed square root first, then as pca.
    - white: as power, but every direction brought to the same spread.

    Parameters
    ----------
    z : np.ndarray
        (n, d) float.
    dims : int, optional
        At most min(n - 1, d) are kept.

    Returns
    -------
    Prepared
        The rows and the function for new ones; float32.

    Examples
    --------
    >>> prepare(np.random.default_rng(0).normal(size=(9, 4)), "pca", dims=2).rows.shape
    (9, 2)
    """

    if how == "raw":
        return Prepared(_float32(z), _float32)
    if how == "unit":
        return Prepared(unit_rows(z), unit_rows)
    first = unit_rows if how == "pca" else power_rows
    rows = first(z)
    return _along(rows, first, principal(rows, dims), white=how == "white")


def power_and_white(z: np.ndarray, dims: int = DIMS) -> dict[Preparation, Prepared]:
    """`prepare` as `power` and as `white`, whose directions are found once.

    Parameters
    ----------
    z : np.ndarray
        (n, d) float.
    dims : int, optional
        At most min(n - 1, d) are kept.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 5))
    >>> {name: one.rows.shape for name, one in power_and_white(x, dims=3).items()}
    {'power': (30, 3), 'white': (30, 3)}
    """
    rows = power_rows(z)
    found = principal(rows, dims)
    return {
        "power": _along(rows, power_rows, found, white=False),
        "white": _along(rows, power_rows, found, white=True),
    }


def _along(
    rows: np.ndarray,
    first: Callable[[np.ndarray], np.ndarray],
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    white: bool,
) -> Prepared:
    """Rows (n, d), which `first` made, along the directions that `principal` found."""
    mean, axes, spread = found
    if white:
        axes = axes / np.maximum(spread, LEAST_SPREAD * spread.max(initial=1e-12))
    return Prepared(
        unit_rows((rows - mean) @ axes), partial(_project, first=first, mean=mean, axes=axes)
    )


def _float32(z: np.ndarray) -> np.ndarray:

    return np.asarray(z, np.float32)


def _project(
    z: np.ndarray, first: Callable[[np.ndarray], np.ndarray], mean: np.ndarray, axes: np.ndarray
) -> np.ndarray:
    out = np.empty((len(z), axes.shape[1]), np.float32)
    for a in range(0, len(out), BLOCK):
        out[a : a + BLOCK] = unit_rows((first(z[a : a + BLOCK]) - mean) @ axes)
    return out


def principal(x: np.ndarray, dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (d,), the widest principal directions (d, q) and the spread (q,) along each.

    From the covariance, or from the rows' inner products where there are fewer rows than columns;
    each direction's largest entry is positive, so that the same rows give the same signs.

    Parameters
    ----------
    x : np.ndarray
        (n, d) float32.
    dims : int
        At most; q = min(dims, n - 1, d), at least 1.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    >>> mean, directions, spread = principal(x, 2)
    >>> mean.shape, directions.shape, spread.shape
    ((5,), (5, 2), (2,))
    """
    n, d = x.shape
    q = max(1, min(dims, n - 1, d))
    mean = x.mean(0)
    centred = (x - mean).astype(np.float32)
    small = n < d
    gram = (centred @ centred.T if small else centred.T @ centred).astype(np.float64)
    values, vectors = leading_eigenpairs(gram, q)
    spread = np.sqrt(np.maximum(values[::-1], 0) / n)
    axes = vectors[:, ::-1]
    if small:
        axes = centred.T @ axes
        length = np.linalg.norm(axes, axis=0)
        axes = axes / np.where(length > 1e-12, length, 1)
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(q)])
    return mean, axes.astype(np.float32), spread.astype(np.float32)
