"""Where many further rows go: a linear classifier that learned the clusters of a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from imclust.core.shards import one_thread_each

if TYPE_CHECKING:
    from imclust.clustering.clusterers._base import Rows

WEAKEST = 0.1  # strength of the penalty on weights, over rows; scikit-learn's 1 / C


@dataclass(frozen=True)
class LinearClassifier:
    """Multinomial logistic regression.

    Parameters
    ----------
    weights : np.ndarray
        (d, k) float32.
    bias : np.ndarray
        (k,) float32; a cluster that had no rows has minus infinity.
    """

    weights: np.ndarray
    bias: np.ndarray

    def posteriors(self, rows: np.ndarray) -> np.ndarray:
        """(m, d) float32 -> (m, k) float32, rows sum to one."""
        logits = rows @ self.weights + self.bias
        logits -= logits.max(1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(1, keepdims=True)
        return logits


def learn_clusters(rows: np.ndarray, labels: np.ndarray, k: int) -> LinearClassifier:
    """The classifier of some rows' clusters; the same rows, the same classifier.

    Of the rows left out of a sample it names as many right as their nearest neighbours do, at a
    cost that does not grow with the sample.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float32, prepared.
    labels : np.ndarray
        (n,) int in [0, k), two of them at least.
    k : int
        Clusters.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.1], [2.0], [2.1]], np.float32)
    >>> learn_clusters(rows, np.array([0, 0, 1, 1]), 2).posteriors(rows).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    from sklearn.linear_model import LogisticRegression

    with one_thread_each():
        model = LogisticRegression(C=1 / WEAKEST, max_iter=200).fit(rows, labels)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # told by one number
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weights = np.zeros((rows.shape[1], k), np.float32)
    bias = np.full(k, -np.inf, np.float32)
    weights[:, model.classes_] = coefficients.T
    bias[model.classes_] = intercepts
    return LinearClassifier(weights, bias)


def placed_by(
    classifier: LinearClassifier, apply: Callable[[Any], list[np.ndarray]]
) -> Callable[[Rows], np.ndarray]:
    """`predict` of a Clustering: prepares rows (m, d) as `apply` does and classifies them.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.1], [2.0], [2.1]], np.float32)
    >>> predict = placed_by(learn_clusters(rows, np.array([0, 0, 1, 1]), 2), lambda new: [new])
    >>> predict(np.array([[1.9]], np.float32)).argmax(1)
    array([1])
    """
    return partial(_classified, classifier=classifier, apply=apply)


def _classified(
    new: Rows, classifier: LinearClassifier, apply: Callable[[Any], list[np.ndarray]]
) -> np.ndarray:
    from imclust.clustering.clusterers._base import concatenate_views

    return classifier.posteriors(concatenate_views(apply(new)))
