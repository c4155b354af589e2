"""A metric learned from known identities, and likenesses that no row's own identity taught."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np

from imclust.clustering.pair_probability import identity_folds
from imclust.clustering.preprocessing import unit_rows

SHRINK = 0.3  # share of the mean variance that is mixed into the covariance within identities


def within_whitening(z: np.ndarray, identities: np.ndarray, shrink: float = SHRINK) -> np.ndarray:
    """(d, d) float64 W such that identities scatter alike in every direction of z W.

    Within-class covariance normalisation (Hatch, Kajarekar and Stolcke 2006, eq. 5): W W^T is the
    inverse of the mean covariance within identities, which is shrunk towards a multiple of one
    (Ledoit and Wolf 2004, with a fixed share), as there are fewer images than dimensions mostly.

    Parameters
    ----------
    z : np.ndarray
        (n, d) float, rows of known identity; (n,) str `identities`.
    shrink : float
        In (0, 1].

    Examples
    --------
    >>> z = np.array([[0.0, 0], [2, 0], [0, 9], [2, 9]])
    >>> w = within_whitening(z, np.array(["a", "a", "b", "b"]))
    >>> bool(w[0, 0] < w[1, 1])
    True
    """
    names, inverse, counts = np.unique(identities, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), z.shape[1]))
    np.add.at(means, inverse, z)
    rest = z - (means / counts[:, None])[inverse]
    covariance = rest.T @ rest / max(1, len(z) - len(names))
    mean = np.trace(covariance) / len(covariance)
    covariance = (1 - shrink) * covariance + shrink * max(mean, 1e-12) * np.eye(len(covariance))
    values, axes = np.linalg.eigh(covariance)
    return (axes / np.sqrt(values)) @ axes.T


def learned_likeness(z: np.ndarray, identities: np.ndarray, seed: int = 0) -> np.ndarray:
    """Cosine (n, n) float32 under `within_whitening`, each pair's by identities of neither row.

    A pair of unknown rows is judged by a metric of all known identities; one with known rows by
    one without the folds of their identities. So scores of known pairs are as good as those of
    unknown ones, and no better.

    Parameters
    ----------
    z : np.ndarray
        (n, d) float, centred.
    identities : np.ndarray
        (n,) str, "" where unknown.
    seed : int
        Of the folds.

    Examples
    --------
    >>> learned_likeness(np.eye(4), np.array(["a", "a", "b", "b"])).shape
    (4, 4)
    """
    fold = np.full(len(z), -1)
    for number, (_, judge) in enumerate(identity_folds(identities, seed=seed)):
        fold[judge] = number
    out = np.zeros((len(z), len(z)), np.float32)
    for a, b in combinations_with_replacement(np.unique(fold).tolist(), 2):
        learn = (fold >= 0) & (fold != a) & (fold != b)
        one, other = np.flatnonzero(fold == a), np.flatnonzero(fold == b)
        w = within_whitening(z[learn], identities[learn]) if learn.any() else np.eye(z.shape[1])
        u, v = unit_rows(z[one] @ w), unit_rows(z[other] @ w)
        out[np.ix_(one, other)] = u @ v.T
        out[np.ix_(other, one)] = (u @ v.T).T
    np.fill_diagonal(out, 1)
    return out


def unseen_mean(
    scores: Sequence[np.ndarray], learned: Sequence[np.ndarray], pairs: np.ndarray
) -> np.ndarray:
    """The mean over the models that have seen the fewest of a pair's rows: (m,) float64.

    Parameters
    ----------
    scores : sequence of np.ndarray
        (m,) of each model.
    learned : sequence of np.ndarray
        (n,) bool of each model: the rows that it learned from.
    pairs : np.ndarray
        (m, 2) int64.

    Examples
    --------
    >>> one, other = np.array([True, False]), np.array([False, False])
    >>> unseen_mean([np.ones(1), np.zeros(1)], [one, other], np.array([[0, 1]])).tolist()
    [0.0]
    """
    seen = np.stack([rows[pairs].sum(1) for rows in learned])
    fewest = seen == seen.min(0)
    total: np.ndarray = (np.stack(scores) * fewest).sum(0) / fewest.sum(0)
    return total
