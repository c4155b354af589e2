"""Clusters against labels, where there are some: shown, never used to choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from imclust.clustering.metrics import hungarian_accuracy, pairwise_ari
from imclust.report.page.rows import Rows

WORST = 60  # mistakes that are shown
WIDEST = 60  # classes and clusters whose confusion is shown whole


def against_labels(rows: Rows) -> dict[str, Any] | None:
    """Confusion and the worst mistakes; None where no image has a label.

    Returns
    -------
    dict[str, Any] | None
        `n` rows with a label; `hungarian` accuracy and `ari`; `counts` (classes, clusters) with
        `clusters` in the order of the classes they were matched to, None when there are more than
        `WIDEST` of either; `class_of` every cluster, -1 for one without labelled images; `pairs`,
        (class, cluster, images) of what is confused; `mistakes`, rows whose label is not their
        cluster's class, the most confident first; `wrong`, how many there are.

    Examples
    --------
    >>> from pathlib import Path
    >>> from imclust.report.page.rows import gather_rows
    >>> labels = {"dune/00.png": "dune", "lake/00.png": "lake", "lake/01.png": "dune"}
    >>> found = against_labels(gather_rows(Path("run/clusters"), Path("raw/index"), None, labels))
    >>> found["classes"], found["counts"], found["wrong"]
    (['dune', 'lake'], [[1, 1], [0, 1]], 1)
    """

    known = np.flatnonzero(rows.labels >= 0)
    if not len(known):
        return None
    y, c = rows.labels[known], rows.clusters[known]
    counts = np.zeros((len(rows.classes), rows.k), np.int64)
    np.add.at(counts, (y, c), 1)
    class_of = _matched(counts)
    order = np.lexsort((-counts.sum(0), class_of))
    wrong = known[class_of[c] != y]
    worst = wrong[np.argsort(-rows.confidence[wrong], kind="stable")][:WORST]
    wide = max(counts.shape) > WIDEST
    return {
        "n": len(known),
        "hungarian": hungarian_accuracy(y, c),
        "ari": float(pairwise_ari([y, c])[0, 1]),
        "classes": rows.classes,
        "clusters": order.tolist(),
        "counts": None if wide else counts[:, order].tolist(),
        "pairs": _confused(counts, class_of),
        "class_of": class_of.tolist(),
        "mistakes": worst.tolist(),
        "wrong": len(wrong),
    }


def _matched(counts: Any) -> Any:
    """The class of every cluster (k,): by the best one-to-one match, of clusters that are left
    over by majority."""
    from scipy.optimize import linear_sum_assignment

    class_of = np.where(counts.sum(0) > 0, counts.argmax(0), -1)
    classes, clusters = linear_sum_assignment(counts, maximize=True)
    class_of[clusters] = np.where(counts[:, clusters].sum(0) > 0, classes, -1)
    return class_of


def _confused(counts: Any, class_of: Any) -> list[tuple[int, int, int]]:
    """(class, cluster, images) of what lies in a cluster of another class, the most first."""

    wrong = counts.copy()
    clusters = np.flatnonzero(class_of >= 0)
    wrong[class_of[clusters], clusters] = 0
    y, c = np.nonzero(wrong)
    rows = zip(y.tolist(), c.tolist(), wrong[y, c].tolist(), strict=True)
    return sorted(rows, key=lambda row: -row[2])[:200]
