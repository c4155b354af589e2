"""Which cluster gets which label, where a few labels are known: they name, they never choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.errors import input_error
from imclust.core.records import read_pairs


@dataclass(frozen=True)
class Orientation:
    """A renaming of clusters.

    Parameters
    ----------
    mapping : tuple[int, ...]
        (k,) number of the label of every cluster, a permutation.
    known : int
        Labels that it was fixed by.
    agree : int
        Of them, so named.
    otherwise : int
        Of them, as the clusters were numbered; with two clusters, the other way round.
    """

    mapping: tuple[int, ...]
    known: int
    agree: int
    otherwise: int

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "known": self.known,
            "agree": self.agree,
            "otherwise": self.otherwise,
            "mapping": list(self.mapping),
        }

    def says(self) -> str:
        """One line for the user."""
        agree = f"orientation: {self.agree} of {self.known} known labels agree"
        if len(self.mapping) > 2:
            return f"{agree} ({self.otherwise} as the clusters were numbered)"
        if self.agree == self.otherwise:
            return f"{agree} either way round: the clusters stay as they are"
        return f"{agree} ({self.otherwise} would the other way round)"


def orient(clusters: np.ndarray, labels: np.ndarray, k: int) -> Orientation:
    """The renaming under which most known labels agree; of equal ones, that which changes least.

    Parameters
    ----------
    clusters : np.ndarray
        (n,) int in [0, k) of the rows whose label is known.
    labels : np.ndarray
        (n,) int in [0, k).

    Examples
    --------
    >>> orient(np.array([0, 0, 1]), np.array([1, 1, 0]), 2).mapping
    (1, 0)
    """
    from scipy.optimize import linear_sum_assignment

    together = np.zeros((k, k), np.int64)
    np.add.at(together, (clusters, labels), 1)
    _, mapping = linear_sum_assignment((k + 1) * together + np.eye(k, dtype=int), maximize=True)
    agree = int(together[np.arange(k), mapping].sum())
    n = len(clusters)
    otherwise = n - agree if k == 2 else int(together.trace())
    return Orientation(tuple(mapping.tolist()), n, agree, otherwise)


def read_known(text: str) -> list[str] | dict[str, str]:
    """What --known says: labels of the first rows, or id -> label from a CSV file of that name.

    Raises
    ------
    InputError
        No such file, no such table, one id with two labels, an empty label.

    Examples
    --------
    >>> read_known("0,1,0")
    ['0', '1', '0']
    """
    path = Path(text)
    if text.endswith(".csv") or "/" in text or path.is_file():
        if not path.is_file():
            do = "check the path, or write the labels themselves: --known 0,1,0,1,0"
            raise input_error("--known", "a CSV file or labels", f"no such file: {text}", do)
        pairs = list(dict.fromkeys(read_pairs(path, "id", "label")))
        known = dict(pairs)
        if len(known) < len(pairs):
            raise input_error(text, "of one label an id", "an id with two", "correct it")
        return known
    labels = [label.strip() for label in text.split(",")]
    if not all(labels):
        do = "write for example --known 0,1,0,1,0"
        raise input_error("--known", "labels with commas, or a CSV file", repr(text), do)
    return labels


def by_id(known: Sequence[str] | Mapping[str, str], ids: Sequence[str]) -> dict[str, str]:
    """Id -> label.

    Parameters
    ----------
    known : sequence or mapping
        As `read_known` gives it.
    ids : sequence of str
        In the order of the submission.

    Raises
    ------
    InputError
        An id that is not one of these, or more labels than rows.

    Examples
    --------
    >>> by_id(["0", "1"], ["a.png", "b.png", "c.png"])
    {'a.png': '0', 'b.png': '1'}
    """
    if isinstance(known, Mapping):
        odd = known.keys() - set(ids)
        if odd:
            got = f"{len(odd)} others, first {min(odd)!r}"
            raise input_error("ids of --known", "ids of the submission", got, "check the table")
        return dict(known)
    if len(known) > len(ids):
        got = f"{len(known)} labels"
        raise input_error(
            "--known", f"at most {len(ids)} labels", got, "leave out what is too much"
        )
    return dict(zip(ids, known, strict=False))
