"""What is known about an assignment before any image is seen: sizes, row order, pairs, names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from imclust.clustering.pairwise_constraints import Pairs
from imclust.core.checks import in_range
from imclust.core.errors import input_error

Proportions: TypeAlias = "Literal['free', 'uniform'] | tuple[float, ...]"
RowOrder: TypeAlias = Literal["ignore", "segments", "smooth"]

TINY = 1e-300
"""What a posterior of 0 counts as where posteriors are multiplied along rows or over pairs."""
OWN = 0.1
"""What the head's own posterior keeps for rows of a segment, so that confidence still ranks."""


@dataclass(frozen=True)
class Priors:
    """Everything that is known beforehand; the defaults change nothing.

    Parameters
    ----------
    proportions : Proportions
        Sizes of the clusters: `free` (the head's), `uniform`, or K positive numbers, scaled to sum
        one. They have no names and go to the clusters that they fit, unless anchors name the
        clusters: then the j-th is that of class j.
    min_effective : float
        exp(entropy of the sizes) that is to be reached, in [0, K]; 0 asks nothing. Where the sizes
        fall short they are mixed with equal ones as little as it takes.
    row_order : RowOrder
        `segments` cuts the rows into K contiguous blocks, `smooth` passes evidence between
        neighbouring rows, `ignore` does neither.
    must_link, cannot_link : Pairs
        Pairs of row numbers that share a cluster, or do not.
    anchors : Pairs
        (row, class), class in [0, K): they say which cluster is called what, by the best one-to-one
        naming of the anchors, and never change which rows are together.

    Examples
    --------
    >>> Priors(proportions=(0.7, 0.3), must_link=((0, 1),)).row_order
    'ignore'
    """

    proportions: Proportions = "free"
    min_effective: float = 0.0
    row_order: RowOrder = "ignore"
    must_link: Pairs = ()
    cannot_link: Pairs = ()
    anchors: Pairs = ()

    def __post_init__(self) -> None:
        shares = self.proportions
        words = ("free", "uniform")
        if isinstance(shares, str):
            bad = shares not in words
        else:  # NaN is not positive; infinity cannot be scaled
            bad = not shares or not all(0 < s < float("inf") for s in shares)
        if bad:
            allowed = "uniform, free, or K positive numbers"
            raise input_error("proportions", allowed, repr(shares), "give one number a cluster")
        in_range("priors", "min_effective", self.min_effective, 0.0, float("inf"))
        if self.row_order not in ("ignore", "segments", "smooth"):
            raise input_error(
                "row_order", "ignore, segments or smooth", repr(self.row_order), "take one of them"
            )

    def check(self, n: int, k: int) -> None:
        """Refuse what does not fit n rows (0: not known yet) and k clusters."""
        if not isinstance(self.proportions, str) and len(self.proportions) != k:
            got = f"{len(self.proportions)} numbers"
            raise input_error("proportions", f"one number a cluster (K = {k})", got, "give as many")
        in_range("priors", "min_effective", self.min_effective, 0.0, float(k))
        named: dict[int, int] = {}
        for row, c in self.anchors:
            if not 0 <= c < k:
                raise input_error("the class of an anchor", f"from 0 to {k - 1}", c, "raise K")
            if named.setdefault(row, c) != c:
                both = f"{named[row]} and {c} for row {row}"
                raise input_error("an anchor", "of one class", both, "take one of them away")
        rows = [r for pair in self.must_link + self.cannot_link for r in pair] + list(named)
        if n and rows and not 0 <= min(rows) <= max(rows) < n:
            odd = min(rows) if min(rows) < 0 else max(rows)
            raise input_error(
                "a row that a prior names", f"from 0 to {n - 1}", odd, "check the pairs"
            )


@dataclass(frozen=True)
class PriorResult:
    """What priors made of posteriors.

    Parameters
    ----------
    probabilities : np.ndarray
        (n, k) float32 of the rows that the priors speak of, rows sum to one.
    predict : Callable
        Does to posteriors (m, k) of further rows what makes sense for them: the same offsets and
        names, but neither order nor pairs; (m, k) float32.
    facts : dict[str, Any]
        What was found, for the manifest: `row_order` always, `priors` where there are some.
    """

    probabilities: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)


def apply_priors(p: np.ndarray, priors: Priors, x: np.ndarray | None = None) -> PriorResult:
    """Posteriors of any head, given what is known beforehand.

    In this order: offsets for the sizes; row order; pairs, which therefore hold in the end
    whatever the others said; names. Without priors, p itself.

    Parameters
    ----------
    p : np.ndarray
        (n, k) float, rows sum to one; float64 where the head has it, since which of two certain
        rows is the less certain decides who moves.
    priors : Priors
        What is known.
    x : np.ndarray | None, optional
        (n, d) float features in row order. `segments` then cuts these, which finds blocks that the
        head has mixed up (0.997 of rows right instead of 0.85 to 0.90 from posteriors, 600 aerial
        photographs in five blocks, boundaries read off by eye); with sizes asked for, or without x,
        it cuts the posteriors.

    Raises
    ------
    InputError
        The priors do not fit n or k, or contradict each other.

    Examples
    --------
    >>> p = np.array([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    >>> apply_priors(p, Priors(proportions=(1, 1))).probabilities.argmax(1)
    array([1, 0, 0, 1])
    """

    from imclust.clustering.row_order import order_signal
    from imclust.clustering.size_constraints import softmax

    n, k = p.shape
    priors.check(n, k)
    signal = order_signal(p)
    said = {"significant": signal.significant, "says": signal.sentence}
    facts: dict[str, Any] = {"row_order": _rounded(vars(signal)) | said}
    if priors == Priors():
        return PriorResult(p.astype(np.float32), _unmoved, facts)
    found: dict[str, Any] = {}
    columns = _columns(p, priors.anchors)
    q, b = np.asarray(p, np.float64), np.zeros(k)
    if priors.proportions != "free" or priors.min_effective > 0:
        b, found["sizes"] = _sized(q, priors, columns)
        q = _moved(q, b)
    if priors.row_order != "ignore":
        q, found["order"] = _in_order(q, priors, x if not b.any() else None)
    if priors.must_link or priors.cannot_link:
        q, found["links"] = _linked(q, priors)
    if priors.anchors:
        by_name = not isinstance(priors.proportions, str)  # the sizes already have these names
        columns = columns if by_name else _columns(q, priors.anchors)
        rows, classes = np.array(priors.anchors).T
        agree = int((q[rows][:, columns].argmax(1) == classes).sum())
        found["anchors"] = {"rows": len(rows), "agree": agree, "columns": columns.tolist()}
    found["effective"] = _effective(q)
    return PriorResult(
        softmax(np.log(np.maximum(q, TINY)))[:, columns].astype(np.float32),
        partial(_moved_and_named, b=b, columns=columns),
        facts | {"priors": found},
    )


def _unmoved(p: np.ndarray) -> np.ndarray:

    return p.astype(np.float32)


def _moved_and_named(p: np.ndarray, b: np.ndarray, columns: np.ndarray) -> np.ndarray:

    return _moved(np.asarray(p, np.float64), b)[:, columns].astype(np.float32)


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{v:.4g}") for name, v in numbers.items()}


def _effective(q: np.ndarray) -> float:
    from imclust.clustering.metrics import effective_clusters

    return round(effective_clusters(q.argmax(1), q.shape[1]), 4)


def _moved(p: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Posteriors with offsets b (k,) added to their logarithms."""

    from imclust.clustering.size_constraints import softmax

    if not b.any():
        return p
    with np.errstate(divide="ignore"):
        return softmax(np.log(p) + b)


def _sized(p: np.ndarray, priors: Priors, columns: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Offsets (k,) for the sizes that are asked for."""

    from imclust.clustering.size_constraints import matched, offsets, spread_to

    n, k = p.shape
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    head = np.bincount(p.argmax(1), minlength=k)
    if priors.proportions == "free":
        shares = head / n
    elif priors.proportions == "uniform":
        shares = np.full(k, 1 / k)
    else:
        shares = np.array(priors.proportions, np.float64) / sum(priors.proportions)
        shares = shares[np.argsort(columns)] if priors.anchors else matched(log_p, shares)
    if priors.proportions == "free" and _effective(p) >= priors.min_effective:
        return np.zeros(k), {"reached": head.tolist()}
    counts, weight = spread_to(shares, n, priors.min_effective)
    b = offsets(log_p, counts)
    sizes = np.bincount((log_p + b).argmax(1), minlength=k)
    facts = {"wanted": counts.tolist(), "reached": sizes.tolist(), "offsets": b.round(4).tolist()}
    return b, facts | {"mixed_with_equal": round(weight, 4)}


def _in_order(
    q: np.ndarray, priors: Priors, x: np.ndarray | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Posteriors (n, k) given the neighbours in row order."""

    from imclust.clustering.row_order import feature_segments, sceptical, segments, smooth

    n, k = q.shape
    if priors.row_order == "smooth":
        found = smooth(q)
        gain = round(found.log_likelihood, 2)
        fitted = {"stay": found.stay, "noise": found.noise}
        return found.probabilities, _rounded(fitted) | {"log_likelihood_gain": gain}
    labels = segments(sceptical(q))
    facts: dict[str, Any] = {"of": "posteriors"}
    if x is not None:
        blocks = _named_blocks(feature_segments(x, k), q)
        facts = {"of": "features", "posteriors_agree": round(float((blocks == labels).mean()), 4)}
        labels = blocks
    facts["starts"] = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist()]
    certain = np.zeros((n, k))
    certain[np.arange(n), labels] = 1
    return (1 - OWN) * certain + OWN * q, facts


def _named_blocks(blocks: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Blocks (n,) in [0, k) under the cluster numbers of the head that fit them best."""
    from scipy.optimize import linear_sum_assignment

    mass = np.zeros((q.shape[1], q.shape[1]))
    np.add.at(mass, blocks, q)
    return np.asarray(linear_sum_assignment(mass, maximize=True)[1][blocks], np.int64)


def _linked(q: np.ndarray, priors: Priors) -> tuple[np.ndarray, dict[str, Any]]:

    from imclust.clustering.pairwise_constraints import apply_pairs
    from imclust.clustering.size_constraints import softmax

    log_q, exact = apply_pairs(np.log(np.maximum(q, TINY)), priors.must_link, priors.cannot_link)
    moved = int((log_q.argmax(1) != q.argmax(1)).sum())
    return softmax(log_q), {"moved": moved, "exact": exact}


def _columns(q: np.ndarray, anchors: Pairs) -> np.ndarray:
    """(k,) int: column of q for every class, by the most anchors that agree (Kuhn 1955).

    Equal counts go by the anchors' posteriors, then to where the columns are already.
    """
    from scipy.optimize import linear_sum_assignment

    k = q.shape[1]
    if not anchors:
        return np.arange(k)
    rows, classes = np.array(anchors).T
    votes, mass = np.zeros((k, k)), np.zeros((k, k))
    np.add.at(votes, (classes, q[rows].argmax(1)), 1)
    np.add.at(mass, classes, q[rows])
    score = votes + 0.5 * mass / (len(rows) + 1) + 1e-9 * np.eye(k)
    return np.asarray(linear_sum_assignment(score, maximize=True)[1])
