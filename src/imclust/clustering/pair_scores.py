"""How alike two rows of a space are: cosine, k-reciprocal re-ranking, and who is worth a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imclust.clustering.preprocessing import prepare
from imclust.core.errors import input_error

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_ROWS = 20_000  # of one group: its n x n float32 take 1.6 GB
K1, K2 = 20, 6  # Zhong et al. 2017, section 4.1
WHITE_DIMS = 64


def likeness(z: np.ndarray, how: str, dims: int = WHITE_DIMS) -> np.ndarray:
    """Cosine of every two rows of a group: (n, n) float32 in [-1, 1], ones on the diagonal.

    Parameters
    ----------
    z : np.ndarray
        (n, d) float, n at most 20 000, of one group: what all its images share, such as the
        species, is in its mean and says nothing about who is who.
    how : {'pca', 'white'}
        Centred signed-power or unit rows as `prepare` has them; `white` also brings every
        direction to the same spread.
    dims : int
        Directions that are kept.

    Raises
    ------
    InputError
        The group is too large.

    Examples
    --------
    >>> likeness(np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]), "pca").shape
    (4, 4)
    """
    n = len(z)
    if n > MOST_ROWS:
        do = "divide it with --group-by"
        raise input_error("a group", f"of at most {MOST_ROWS} images", n, do)
    if n < 3:  # one direction or none is left of two centred rows
        return np.eye(n, dtype=np.float32)
    # A quarter of the rows: the last directions of few rows are noise, which whitening makes loud.
    rows = prepare(z, how, max(2, min(dims, n // 4))).rows  # type: ignore[arg-type]
    s = np.clip(rows @ rows.T, -1, 1)
    np.fill_diagonal(s, 1)
    return s.astype(np.float32)


def mean_likeness(parts: list[np.ndarray], how: str) -> np.ndarray:
    """Mean of `likeness` over several spaces (n, d_v), each counting the same: (n, n) float32.

    Examples
    --------
    >>> mean_likeness([np.eye(4), np.eye(4)], "pca").shape
    (4, 4)
    """
    total = likeness(parts[0], how)
    for z in parts[1:]:
        total += likeness(z, how)
    return total / np.float32(len(parts))


def k_reciprocal(s: np.ndarray, k1: int = K1, k2: int = K2) -> np.ndarray:
    """Jaccard likeness of reciprocal neighbourhoods: (n, n) float32 in [0, 1].

    Zhong et al. 2017: R(i, k1) are the neighbours that have i among theirs (eq. 3); those of each
    member that overlap it by two thirds join (eq. 4); rows become weights exp(-d) over that set
    (eq. 7); each is averaged with its k2 nearest (eq. 11); 1 - Jaccard distance (eq. 10) is given.
    Deviations: d is 1 - s here, the weights of a row sum to 1 as in the authors' code, and the
    mixture with the first distance (eq. 12) is left to the model that the scores go into.

    Parameters
    ----------
    s : np.ndarray
        (n, n) float, likeness.
    k1, k2 : int
        Neighbours that are looked at, and averaged over; at most n - 1 and n are taken.

    Examples
    --------
    >>> k_reciprocal(np.eye(3, dtype=np.float32)).shape
    (3, 3)
    """
    n = len(s)
    if n < 2:
        return np.ones((n, n), np.float32)
    order = np.argsort(-s - 2 * np.eye(n), 1, kind="stable")  # each row's first is itself
    weights = _reciprocal_weights(s, order, min(k1, n - 1))
    if k2 > 1:
        near = order[:, : min(k2, n)]
        weights = _mean_rows(weights, near)
    return _jaccard(weights)


def _reciprocal_weights(s: np.ndarray, order: np.ndarray, k1: int) -> csr_array:
    from scipy.sparse import csr_array

    n = len(s)

    def reciprocal(k: int) -> list[np.ndarray]:
        among = np.zeros((n, n), bool)
        np.put_along_axis(among, order[:, : k + 1], True, 1)
        both = among & among.T
        return [np.flatnonzero(row) for row in both]

    whole, half = reciprocal(k1), reciprocal(max(1, round(k1 / 2)))
    rows, columns, values = [], [], []
    for i, mine in enumerate(whole):
        members = set(mine.tolist())
        extended = [mine]
        for j in mine.tolist():
            shared = sum(c in members for c in half[j].tolist())
            if shared > 2 / 3 * len(half[j]):
                extended.append(half[j])
        chosen = np.unique(np.concatenate(extended))
        w = np.exp(s[i, chosen].astype(np.float64) - 1)
        rows.append(np.full(len(chosen), i))
        columns.append(chosen)
        values.append(w / w.sum())
    at = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), at), (n, n))


def _mean_rows(weights: csr_array, near: np.ndarray) -> csr_array:
    from scipy.sparse import csr_array

    n, k = near.shape
    ones = np.full(n * k, 1 / k)
    return csr_array(
        csr_array((ones, (np.repeat(np.arange(n), k), near.ravel())), (n, n)) @ weights
    )


def _jaccard(weights: csr_array) -> np.ndarray:
    """sum min / sum max of every two rows, which sum to 1 each: least / (2 - least)."""
    n = weights.shape[0]
    columns = weights.tocsc()
    out = np.empty((n, n), np.float32)
    for i in range(n):
        own = slice(weights.indptr[i], weights.indptr[i + 1])
        least = np.zeros(n)
        for column, value in zip(weights.indices[own], weights.data[own], strict=True):
            there = slice(columns.indptr[column], columns.indptr[column + 1])
            least[columns.indices[there]] += np.minimum(columns.data[there], value)
        out[i] = least / (2 - least)
    return out


def neighbour_rank(s: np.ndarray) -> np.ndarray:
    """The better of the two ranks that two rows have with each other: (n, n) float32, from 1.

    Examples
    --------
    >>> neighbour_rank(np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """
    n = len(s)
    order = np.argsort(-s - 4 * np.eye(n), 1, kind="stable")
    rank = np.empty((n, n), np.float32)
    np.put_along_axis(rank, order, np.arange(n, dtype=np.float32)[None].repeat(n, 0), 1)
    return np.minimum(rank, rank.T)


def candidate_pairs(scores: list[np.ndarray], k: int) -> np.ndarray:
    """Pairs (m, 2) int64, first below second, that are among the k best of a row by any score.

    Parameters
    ----------
    scores : list of np.ndarray
        (n, n) each, symmetric.
    k : int
        Neighbours of a row by each score; at most n - 1 are taken.

    Examples
    --------
    >>> candidate_pairs([np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])], 1).tolist()
    [[0, 1], [1, 2]]
    """
    n = len(scores[0])
    chosen = np.zeros((n, n), bool)
    for s in scores:
        far = s - 1e6 * np.eye(n)
        near = np.argsort(-far, 1, kind="stable")[:, : min(k, n - 1)]
        np.put_along_axis(chosen, near, True, 1)
    return np.argwhere(np.triu(chosen | chosen.T, 1)).astype(np.int64)
