"""Scores of a pair fused into the probability that both images are of one individual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

FOLDS = 5
LEAST_SAME = 10  # pairs of one individual that a model is learned from
LEAST_IDENTITIES = 4  # with two images at least
SPREAD = 1e-3  # least variance of a score in the mixture, in standard deviations
STEPS = 200
SHARE = (0.01, 0.9)  # of the pairs that are of one individual, at the mixture's start and after
TINY = 1e-12


@dataclass(frozen=True)
class PairModel:
    """How P(same) was found.

    Parameters
    ----------
    probability : np.ndarray
        (m,) float64 in [0, 1].
    how : str
        `logistic`, `boosting` or `mixture`.
    loss : float
        Log loss on pairs of identities that were held out, NaN without known identities.
    """

    probability: np.ndarray
    how: str
    loss: float = float("nan")


def identity_folds(
    identities: np.ndarray, folds: int = FOLDS, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to judge with, no identity in both; unknown rows in neither.

    Parameters
    ----------
    identities : np.ndarray
        (n,) str, "" where unknown.
    folds : int
        At most as many as there are identities are made; large and small ones are spread evenly.
    seed : int
        Which identities go together.

    Yields
    ------
    learn, judge : np.ndarray
        (n,) bool each.

    Examples
    --------
    >>> [judge.tolist() for _, judge in identity_folds(np.array(["a", "a", "b", ""]), 2)]
    [[True, True, False, False], [False, False, True, False]]
    """
    names, counts = np.unique(identities[identities != ""], return_counts=True)
    draw = np.random.default_rng(seed).random(len(names))
    order = np.lexsort((draw, -counts))
    fold_of = {str(names[i]): at % folds for at, i in enumerate(order)}
    fold = np.array([fold_of.get(i, -1) for i in identities.tolist()])
    for f in range(min(folds, len(names))):
        yield (fold >= 0) & (fold != f), fold == f


def learnable(identities: np.ndarray, pairs: np.ndarray) -> bool:
    """Whether enough pairs (m, 2) are known to be of one individual, and enough of two.

    Examples
    --------
    >>> learnable(np.array(["", ""]), np.array([[0, 1]]))
    False
    """
    known = (identities[pairs] != "").all(1)
    same = known & (identities[pairs[:, 0]] == identities[pairs[:, 1]])
    several = len(np.unique(identities[pairs[same]]))
    return bool(
        several >= LEAST_IDENTITIES
        and same.sum() >= LEAST_SAME
        and (known & ~same).sum() >= LEAST_SAME
    )


def learned_probability(
    x: np.ndarray, pairs: np.ndarray, identities: np.ndarray, seed: int = 0
) -> PairModel:
    """P(same) by the better of logistic regression and gradient boosting.

    Which is better is told by the log loss on pairs among identities that neither has seen. Pairs
    of known images get the probability from the model that has not seen them, so that a threshold
    chosen on them afterwards is not chosen on what was learned by heart.

    Parameters
    ----------
    x : np.ndarray
        (m, f) float, scores of the pairs.
    pairs : np.ndarray
        (m, 2) int64, rows.
    identities : np.ndarray
        (n,) str, "" where unknown; published ones only.
    seed : int
        Of the folds and the boosting.

    Examples
    --------
    >>> identities = np.repeat([*"abcdefgh"], 4)
    >>> pairs = np.array([(i, j) for i in range(32) for j in range(i)])
    >>> same = identities[pairs[:, 0]] == identities[pairs[:, 1]]
    >>> found = learned_probability(same[:, None] * 1.0, pairs, identities)
    >>> found.how, bool(found.probability[same].min() > found.probability[~same].max())
    ('logistic', True)
    """
    known = (identities[pairs] != "").all(1)
    same = identities[pairs[:, 0]] == identities[pairs[:, 1]]
    best: PairModel | None = None
    for how in ("logistic", "boosting"):
        p = np.full(len(x), np.nan)
        for learn, judge in identity_folds(identities, seed=seed):
            fit = known & learn[pairs].all(1)
            if len(np.unique(same[fit])) < 2:
                continue
            # A pair of two folds is judged by the first fold's model, which has seen one at most.
            mine = known & judge[pairs].any(1) & np.isnan(p)
            p[mine] = _fit(how, x[fit], same[fit], seed).predict_proba(x[mine])[:, 1]
        judged = ~np.isnan(p)
        q = np.clip(p[judged], 1e-4, 1 - 1e-4)
        loss = -float(np.where(same[judged], np.log(q), np.log1p(-q)).mean())
        if best is None or loss < best.loss:
            whole = _fit(how, x[known], same[known], seed).predict_proba(x)[:, 1]
            best = PairModel(np.where(judged, p, whole), how, loss)
    assert best is not None
    return best


def _fit(how: str, x: np.ndarray, same: np.ndarray, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if how == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, same)
    model = HistGradientBoostingClassifier(
        max_iter=80, max_leaf_nodes=8, learning_rate=0.08, l2_regularization=5.0,
        min_samples_leaf=20, random_state=seed,
    )  # fmt: skip
    return model.fit(x, same)


def mixture_probability(x: np.ndarray) -> PairModel:
    """P(same) without any label: the upper part of a mixture of two Gaussians over the scores.

    Expectation and maximisation (Dempster, Laird and Rubin 1977) with full covariances, from the
    pairs that are best by the mean of the standardised scores. "Same" is the part of the higher
    mean.

    Parameters
    ----------
    x : np.ndarray
        (m, f) float, scores; more of each speaks for the same individual.

    Examples
    --------
    >>> x = np.r_[np.random.default_rng(0).normal(size=(90, 2)), np.full((10, 2), 9.0)]
    >>> float(mixture_probability(x).probability.round().sum())
    10.0
    """
    spread = x.std(0)
    z = (x - x.mean(0)) / np.where(spread > TINY, spread, 1)
    if len(z) < 4 or not (spread > TINY).any():
        return PairModel(np.zeros(len(z)), "mixture")
    z = z[:, spread > TINY]
    total = z.mean(1)
    r = (total >= np.quantile(total, 0.9)).astype(np.float64)
    for _ in range(STEPS):
        log_odds = _log_density(z, r) - _log_density(z, 1 - r)
        share = np.clip(r.mean(), *SHARE)
        new = 1 / (1 + np.exp(-np.clip(log_odds + np.log(share / (1 - share)), -50, 50)))
        moved = np.abs(new - r).max()
        r = new
        if moved < 1e-4:
            break
    if (r @ total) * (1 - r).sum() < ((1 - r) @ total) * r.sum():
        r = 1 - r
    return PairModel(r, "mixture")


def _log_density(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log density (m,) of the Gaussian with the weighted mean and covariance of z (m, f)."""
    w = weights / max(weights.sum(), TINY)
    mean = w @ z
    c = (z - mean) * np.sqrt(w)[:, None]
    covariance = c.T @ c + SPREAD * np.eye(z.shape[1])
    root = np.linalg.cholesky(covariance)
    u = np.linalg.solve(root, (z - mean).T)
    return -0.5 * (u * u).sum(0) - np.log(np.diag(root)).sum()
