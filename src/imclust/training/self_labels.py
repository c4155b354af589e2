"""Learning from a clustering's own answer: which rows to believe, and when it has collapsed."""

from __future__ import annotations

import numpy as np

from imclust.core.checks import in_range


def confident_rows(probabilities: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The most confident rows of every cluster, so that small clusters keep theirs.

    SCAN (Van Gansbeke et al. 2020, section 2.3) takes what passes one threshold instead; k-means
    confidences differ so much between clusters that such a threshold empties some of them.

    Parameters
    ----------
    probabilities : np.ndarray
        (n, k) float; the cluster is the argmax, the confidence its value.
    share : float
        Of every cluster, in (0, 1]; rounded up, so at least one row of it.
    seed : int
        Decides between equal confidences, of which a clear clustering has many.

    Returns
    -------
    np.ndarray
        Row numbers (m,) int64, ascending.

    Raises
    ------
    InputError
        The share is out of range.

    Examples
    --------
    >>> confident_rows(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), 0.5, seed=0)
    array([0, 2])
    """

    in_range("self-labelling", "share", share, 1e-6, 1.0)
    clusters, confidence = probabilities.argmax(1), probabilities.max(1)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(clusters)), -confidence))
    chosen = []
    for c in range(probabilities.shape[1]):
        mine = order[clusters[order] == c]
        chosen.append(mine[: int(np.ceil(share * len(mine)))])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def balanced_weights(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """A loss weight a class, (k,) float32: n / (classes present * its rows); 0 for an empty one.

    The mean weight over all rows is 1, and every class that has rows weighs the same in the loss.

    Parameters
    ----------
    targets : np.ndarray
        (n,) int in [0, k).

    Examples
    --------
    >>> balanced_weights(np.array([0, 0, 0, 1]), 2)
    array([0.6666667, 2.       ], dtype=float32)
    """

    sizes = np.bincount(targets, minlength=n_classes)
    shares = np.count_nonzero(sizes) * np.maximum(sizes, 1) / len(targets)
    return np.where(sizes > 0, 1 / shares, 0).astype(np.float32)
