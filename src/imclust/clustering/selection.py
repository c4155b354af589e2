"""Which of many clusterings to believe, without a label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imclust.clustering.learnability import learnability
from imclust.clustering.metrics import effective_clusters, pairwise_ari

SAMPLE = 3000  # rows that a single answer is judged on
COLLAPSED = 0.3  # of K: fewer effective clusters are no answer
TRIVIAL = 0.5  # agreement with brightness, file size or row order that is looked into
LEAST = 20  # rows of a known nuisance below which nothing is said of it
ODD_ONE = 3.0  # times the median candidate's agreement: only an outlier is thrown out


@dataclass
class Candidate:
    """One clustering that could be the assignment.

    Parameters
    ----------
    name : str
        How it was made.
    view : str
        The space or spaces it was made in.
    labels : np.ndarray
        (m,) int64 in [0, k), of the rows that candidates are compared on.
    whole : np.ndarray | None
        (n,) int64 of all rows, for those that could be the assignment.
    repeats : bool
        One of several runs of the same head, on other layouts.
    seconds : float
        That it took.
    numbers : dict[str, float]
        What was measured of it, all in [0, 1] or [-1, 1], high is good.
    score : float
        In [0, 1]; what candidates are compared by, see `selector`.
    reason : str
        Why it was thrown out; empty for those that were not.
    """

    name: str
    view: str
    labels: np.ndarray
    whole: np.ndarray | None = None
    repeats: bool = False
    seconds: float = 0.0
    numbers: dict[str, float] = field(default_factory=dict)
    score: float = 0.0
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """What a table of candidates says of it."""
        numbers = {name: round(value, 4) for name, value in self.numbers.items()}
        return {
            "head": self.name,
            "view": self.view,
            "score": round(self.score, 4),
            **numbers,
            "seconds": round(self.seconds, 2),
            "thrown out": self.reason,
        }


def collapse(labels: np.ndarray, k: int) -> str:
    """Why a clustering counts as collapsed, or nothing.

    Examples
    --------
    >>> collapse(np.array([0, 0, 1, 1]), 2)
    ''
    """

    used, effective = len(np.unique(labels)), effective_clusters(labels, k)
    if used < k:
        return f"only {used} of {k} clusters are used"
    if effective < max(COLLAPSED * k, 1.05):
        return f"collapsed: {effective:.2f} effective clusters of {k}"
    return ""


def reject_nuisance_copies(
    candidates: list[Candidate], nuisances: dict[str, np.ndarray], k: int
) -> None:
    """Throw out answers that only repeat a nuisance; sets their `reason`.

    A nuisance, NaN where it is not known, is cut into k parts of equal size. Agreement alone
    proves nothing: where rows lie class by class, row order agrees with every good one. Thrown
    out is therefore what agrees with the nuisance far more than the median candidate does.

    Parameters
    ----------
    candidates : list of Candidate
        With labels of the same m rows.
    nuisances : dict
        Name -> (m,) float64.
    k : int
        Clusters.

    Examples
    --------
    >>> dark = np.arange(40) // 20
    >>> rest = [Candidate(name, "pca", np.arange(40) % 2) for name in ("kmeans", "ward")]
    >>> candidates = [*rest, Candidate("spectral", "pca", dark)]
    >>> reject_nuisance_copies(candidates, {"brightness": np.arange(40.0)}, k=2)
    >>> [c.reason for c in candidates]
    ['', '', 'repeats brightness (agreement 1.00)']
    """

    for name, values in nuisances.items():
        known = np.flatnonzero(~np.isnan(values))
        order = np.argsort(values[known], kind="stable")
        parts = np.empty(len(order), np.int64)
        parts[order] = np.arange(len(order)) * k // max(len(order), 1)
        if len(known) < LEAST:
            continue
        alike = pairwise_ari([parts, *(c.labels[known] for c in candidates)])[0, 1:]
        bound = max(TRIVIAL, ODD_ONE * float(np.median(alike)))
        for candidate, a in zip(candidates, alike, strict=True):
            if a > bound and not candidate.reason:
                candidate.reason = f"repeats {name} (agreement {a:.2f})"


def label_free_score(labels: np.ndarray, spaces: list[np.ndarray], k: int, seed: int) -> float:
    """A number in [0, 1] to compare answers by that were not candidates together: learnability
    times evenness, on at most SAMPLE random rows, in every space as `power` and `white` views.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64.
    spaces : list[np.ndarray]
        (n, d_v) float each.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 3)) + np.repeat([[0], [9]], 30, axis=0)
    >>> kinds, noise = np.repeat([0, 1], 30), np.arange(60) % 2
    >>> label_free_score(kinds, [x], 2, seed=0) > label_free_score(noise, [x], 2, seed=0)
    True
    """

    from imclust.clustering.preprocessing import prepare

    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:SAMPLE])
    few = labels[rows]
    views = [prepare(s[rows], how).rows for s in spaces for how in ("power", "white")]
    learned = float(learnability(views, [few])[0])
    return learned * effective_clusters(few, k) / k
