"""How well linear classifiers learn a labelling, by cross-validation: TURTLE's score, at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imclust.core.shards import in_parallel

FOLDS = 10
RIDGE = 1e-2  # of the mean eigenvalue of the rows' products


def learnability(views: list[np.ndarray], labellings: list[np.ndarray]) -> np.ndarray:
    """Share of held-out rows whose cluster a linear classifier names, averaged over the views.

    Gadetsky et al. 2024 (section 4.3) fit a logistic regression for every labelling, fold and
    space; here it is a ridge regression on one-hot clusters, because the products of the rows are
    then shared by all labellings of a fold, and some hundred labellings cost little more than
    one.

    Parameters
    ----------
    views : list[np.ndarray]
        (n, d_v) float each.
    labellings : list[np.ndarray]
        (n,) int each.

    Returns
    -------
    np.ndarray
        (number of labellings,) float64 in [0, 1].

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 3)) + np.repeat([[0], [9]], 30, axis=0)
    >>> kinds, noise = np.repeat([0, 1], 30), np.arange(60) % 2
    >>> learned = learnability([x], [kinds, noise])
    >>> bool(learned[0] > 0.9 > learned[1])
    True
    """

    right = np.zeros(len(labellings))
    for _, hits in _held_out(views, labellings):
        right += [h.sum() for h in hits]
    return right / (len(labellings[0]) * len(views))


def learned_by_cluster(
    views: list[np.ndarray], labellings: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """`learnability`, and the mean over clusters of each cluster's own share: both (labellings,).

    Parameters
    ----------
    views : list of ndarray of shape (n, d_v)
        What is learned from.
    labellings : list of ndarray of shape (n,), int
        What is learned.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 3)) + np.repeat([[0], [9]], 30, axis=0)
    >>> rows, clusters = learned_by_cluster([x], [np.repeat([0, 1], 30)])
    >>> rows.round(2), clusters.round(2)
    (array([1.]), array([1.]))
    """
    counts = [np.zeros(int(c.max()) + 1) for c in labellings]
    for held, hits in _held_out(views, labellings):
        for count, c, h in zip(counts, labellings, hits, strict=True):
            count += np.bincount(c[held], h, len(count))
    sizes = [np.bincount(c) * len(views) for c in labellings]
    shares = [n[s > 0] / s[s > 0] for n, s in zip(counts, sizes, strict=True)]
    whole = [n.sum() / s.sum() for n, s in zip(counts, sizes, strict=True)]
    return np.array(whole), np.array([s.mean() for s in shares])


def _held_out(
    views: list[np.ndarray], labellings: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """For every view and fold: the rows held out, and which of them were named right in each
    labelling."""
    from imclust.clustering.preprocessing import principal

    sizes = [int(c.max()) + 1 for c in labellings]
    hot = np.hstack(
        [np.eye(k, dtype=np.float32)[c] for c, k in zip(labellings, sizes, strict=True)]
    )
    n = len(hot)
    # Folds are drawn, not cut from the row order, in which clusters may lie.
    fold = np.random.default_rng(0).permutation(n) % min(FOLDS, n)
    ends = np.cumsum(sizes)

    def hits_in(view: np.ndarray) -> list[tuple[np.ndarray, list[np.ndarray]]]:
        centred, width = (view - view.mean(0)).astype(np.float32), view.shape[1] + 1
        if n < width:  # the same products in fewer columns, exactly
            centred = centred @ principal(centred, n)[1]
        rows = np.hstack([centred, np.ones((n, 1), np.float32)])
        gram, cross = rows.T @ rows, rows.T @ hot
        ridge = RIDGE * np.trace(gram) / width
        found = []
        for f in range(fold.max() + 1):
            held = np.flatnonzero(fold == f)
            out = rows[held]
            kept = (gram - out.T @ out).astype(np.float64)
            kept[np.diag_indices_from(kept)] += ridge
            guess = out @ np.linalg.solve(kept, cross - out.T @ hot[held])
            parts = zip(ends, sizes, labellings, strict=True)
            hits = [guess[:, end - k : end].argmax(1) == c[held] for end, k, c in parts]
            found.append((held, hits))
        return found

    for found in in_parallel(views, hits_in):
        yield from found
