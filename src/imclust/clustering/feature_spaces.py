"""What users give to cluster as feature spaces: arrays, frames, sparse matrices, lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imclust.clustering.blocks import LARGE
from imclust.core.checks import finite, shaped
from imclust.core.errors import input_error


def feature_spaces(given: Any) -> list[np.ndarray]:
    """One feature space or several of the same rows, as arrays of float32.

    Parameters
    ----------
    given : array-like or sequence of array-like
        (n, d) numbers as an array, a data frame, a sparse matrix or rows in a list; or a list of
        such, (n, d_v) each, row i of the same item.

    Returns
    -------
    list of np.ndarray
        (n, d_v) float32 each, finite. Above LARGE rows arrays of float16 and float32 stay as they
        are, memory-mapped ones on the disk.

    Raises
    ------
    InputError
        There is none, or one is no table of finite numbers with as many rows as the first.

    Examples
    --------
    >>> [space.shape for space in feature_spaces([[1, 2], [3, 4], [5, 6]])]
    [(3, 2)]
    """
    spaces = list(given) if _is_several(given) else [given]
    if not spaces:
        raise input_error("the features to cluster", "at least one array (n, d)", "none", "give it")
    arrays = [_as_array(space) for space in spaces]
    for array in arrays:
        shaped("features", array, "n d", n=len(arrays[0]) if arrays[0].ndim else 0)
        if not array.shape[1]:
            raise input_error("features", "of at least one column", "none", "encode again")
        finite("features", array, "take out such rows, or fill them in")
    return arrays


def _is_several(given: Any) -> bool:
    """Whether a list holds feature spaces, rather than the rows of one."""
    if hasattr(given, "ndim") or not isinstance(given, Sequence) or isinstance(given, str):
        return False
    return all(getattr(item, "ndim", None) == 2 or _is_rows(item) for item in given)


def _is_rows(item: Any) -> bool:
    """Whether an element of a list is a list of rows itself."""
    return isinstance(item, list | tuple) and all(isinstance(row, list | tuple) for row in item)


def _as_array(space: Any) -> np.ndarray:
    if hasattr(space, "toarray"):
        space = space.toarray()
    try:
        if hasattr(space, "to_numpy"):  # frames: missing values become NaN, and are named so
            space = space.to_numpy(dtype=np.float32, na_value=np.nan)
        array = np.asarray(space)
        if len(array) > LARGE and array.dtype in (np.float16, np.float32):
            return array
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        with np.errstate(over="ignore"):  # what float32 cannot hold is said to be infinite
            return array.astype(np.float32)
    except (TypeError, ValueError) as e:
        got = f"{type(space).__name__} ({str(e).splitlines()[0]})"
        raise input_error(
            "features", "numbers in a table (n, d)", got, "give an array of floats"
        ) from None
