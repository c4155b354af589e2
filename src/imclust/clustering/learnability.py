"""How well linear classifiers learn a labelling, by cross-validation: TURTLE's score, at once."""

from __future__ import annotations

import numpy as np

FOLDS = 10
RIDGE = 1e-2  # of the mean eigenvalue of the rows' products


def learnability(views: list[np.ndarray], labellings: list[np.ndarray]) -> np.ndarray:
    """Share of held-out rows whose cluster a linear classifier names, averaged over the views.

    Gadetsky et al. 2024 (section 4.3) fit a logistic regression for every labelling, fold and
    space; here it is a ridge regression on one-hot clusters, because the products of the rows are
    then shared by all labellings of a fold, and some hundred labellings cost little more than
    one.

    Args:
        views: (n, d_v) float each. labellings: (n,) int each.

    Returns:
        (number of labellings,) float64 in [0, 1].
    """

    from imclust.clustering.preprocessing import principal

    sizes = [int(c.max()) + 1 for c in labellings]
    hot = np.hstack(
        [np.eye(k, dtype=np.float32)[c] for c, k in zip(labellings, sizes, strict=True)]
    )
    n = len(hot)
    # Folds are drawn, not cut from the row order, in which clusters may lie.
    fold = np.random.default_rng(0).permutation(n) % min(FOLDS, n)
    right = np.zeros(len(labellings))
    ends = np.cumsum(sizes)
    for view in views:
        centred, width = (view - view.mean(0)).astype(np.float32), view.shape[1] + 1
        if n < width:  # the same products in fewer columns, exactly
            centred = centred @ principal(centred, n)[1]
        rows = np.hstack([centred, np.ones((n, 1), np.float32)])
        gram, cross = rows.T @ rows, rows.T @ hot
        ridge = RIDGE * np.trace(gram) / width
        for f in range(fold.max() + 1):
            held = np.flatnonzero(fold == f)
            out = rows[held]
            kept = (gram - out.T @ out).astype(np.float64)
            kept[np.diag_indices_from(kept)] += ridge
            guess = out @ np.linalg.solve(kept, cross - out.T @ hot[held])
            for i, (end, k) in enumerate(zip(ends, sizes, strict=True)):
                right[i] += (guess[:, end - k : end].argmax(1) == labellings[i][held]).sum()
    return right / (n * len(views))
