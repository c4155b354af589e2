"""Numbers of an assignment against labels, for tasks of any skew."""

from __future__ import annotations

import numpy as np

from imclust.clustering.metrics import ari, contingency, hungarian_accuracy

NAMES = ("accuracy", "ari", "ami", "v", "bcubed", "pair f1")


def against_labels(y: np.ndarray, c: np.ndarray) -> dict[str, float]:
    """All of NAMES, of clusters c (n,) against labels y (n,)."""
    from sklearn.metrics import adjusted_mutual_info_score, v_measure_score

    return {
        "accuracy": hungarian_accuracy(y, c),
        "ari": ari(y, c),
        "ami": float(adjusted_mutual_info_score(y, c)),
        "v": float(v_measure_score(y, c)),
        "bcubed": bcubed_f(y, c),
        "pair f1": pair_f1(y, c),
    }


def bcubed_f(y: np.ndarray, c: np.ndarray) -> float:
    """Harmonic mean of B-cubed precision and recall (Bagga and Baldwin 1998): means over rows of
    the share of a row's cluster that is of its class, and of its class that is in its cluster."""
    m = contingency(y, c).astype(np.float64)
    precision = (m * m / m.sum(0)).sum() / m.sum()
    recall = (m * m / m.sum(1, keepdims=True)).sum() / m.sum()
    return float(2 * precision * recall / (precision + recall))


def pair_f1(y: np.ndarray, c: np.ndarray) -> float:
    """Harmonic mean of precision and recall over pairs of rows that share a cluster."""
    m = contingency(y, c)
    both, found, true = (float((x * (x - 1) // 2).sum()) for x in (m, m.sum(0), m.sum(1)))
    return 2 * both / (found + true) if found + true else 1.0
