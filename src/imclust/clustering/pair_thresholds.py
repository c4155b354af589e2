"""Where to cut: a threshold on P(same) and a method, by known identities or by stability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imclust.clustering.metrics import ari
from imclust.clustering.pair_clustering import Linkage, clusters_at
from imclust.clustering.pair_probability import identity_folds

GRID = tuple(round(0.03 * i, 2) for i in range(2, 32))
FREE = 0.5  # without labels: P(same) itself, and thresholds around it that agree most
AROUND = (-0.15, 0.0, 0.15)
MOST_MOVED = 3000  # rows of a group that correlation clustering is tried on: it moves them singly
LEAST = 4  # known identities
METHODS: tuple[Linkage, ...] = ("average", "correlation", "components", "leiden", "hdbscan")


@dataclass(frozen=True)
class Cut:
    """How a group is cut.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    threshold : float
        On P(same).
    ami : float
        On identities that did not choose the threshold; NaN where none are known.
    """

    method: Linkage
    threshold: float
    ami: float = float("nan")


def choose_cut(
    p: np.ndarray, identities: np.ndarray, methods: Sequence[Linkage] = METHODS, seed: int = 0
) -> Cut:
    """The method and threshold for a group.

    With known identities: for each method, a threshold is chosen by adjusted mutual information
    on some of them and judged on the others, in turn. The first method that is judged no worse
    than the best by more than two of its standard errors is taken (after the one-standard-error
    rule, Breiman et al. 1984), with the threshold that is best on all. AMI and not ARI, which
    large classes decide alone. The whole group is clustered, unknown images included, so known
    ones have as many others around them as they will have.

    Without: average linkage (or the first method) at P(same) near 0.5, where a change of the
    threshold changes the clusters least.

    Parameters
    ----------
    p : np.ndarray
        (n, n) float, of `pair_matrix` without what known identities say of each other.
    identities : np.ndarray
        (n,) str, "" where unknown; published ones only.
    methods : sequence of str
        To choose among; earlier ones win ties. `correlation` is left out of several for more than
        3000 rows, which it takes minutes a threshold for.
    seed : int
        Of the folds.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]], np.float32)
    >>> cut = choose_cut(p, np.full(3, ""), ["average"])
    >>> cut.method, 0.2 < cut.threshold < 0.9
    ('average', True)
    """
    if len(p) > MOST_MOVED and len(methods) > 1:
        methods = [m for m in methods if m != "correlation"]
    known = np.flatnonzero(identities != "")
    if len(np.unique(identities[known])) < LEAST:
        return _stable_cut(p, methods[0], seed)
    found: list[tuple[Cut, float]] = []
    for method in methods:
        at = clusters_at(p, method, seed)
        labels = np.array([at(t)[known] for t in GRID])
        judged = []
        for learn, judge in identity_folds(identities, seed=seed):
            t = _best(_amis(labels[:, learn[known]], identities[learn]))
            judged.append(_amis(labels[[t]][:, judge[known]], identities[judge])[0])
        cut = Cut(method, GRID[_best(_amis(labels, identities[known]))], float(np.mean(judged)))
        found.append((cut, float(np.std(judged, ddof=1) / len(judged) ** 0.5)))
    most = max(cut.ami for cut, _ in found)
    return next(cut for cut, error in found if cut.ami + 2 * error >= most)


def _amis(labels: np.ndarray, identities: np.ndarray) -> np.ndarray:
    from sklearn.metrics import adjusted_mutual_info_score

    return np.array([adjusted_mutual_info_score(identities, row) for row in labels])


def _best(values: np.ndarray) -> int:
    """The middle of the longest run of values within a thousandth of the best."""
    near = values >= values.max() - 1e-3
    edges = np.flatnonzero(np.diff(np.r_[0, near.astype(int), 0]))
    starts, ends = edges[::2], edges[1::2]
    longest = int((ends - starts).argmax())
    return int((starts[longest] + ends[longest] - 1) // 2)


def _stable_cut(p: np.ndarray, method: Linkage, seed: int) -> Cut:
    if len(p) < 2:
        return Cut(method, FREE)
    at = clusters_at(p, method, seed)
    middle = [FREE + d for d in AROUND]
    labels = {t: at(t) for m in middle for t in (m - 0.05, m, m + 0.05)}
    agree = [ari(labels[m - 0.05], labels[m]) + ari(labels[m], labels[m + 0.05]) for m in middle]
    most = max(agree)
    # The middle itself wins ties.
    order = sorted(range(len(middle)), key=lambda i: abs(middle[i] - FREE))
    return Cut(method, next(middle[i] for i in order if agree[i] >= most - 1e-9))
