"""The choice among candidates: label-free numbers in, how each stands among them out.

A sum of three numbers, each standardised among the candidates; the weights were fitted by
`benchmarks/fit_selector.py` on tasks drawn from labelled sets of every skew and are in
`selector.json`. No evenness is in it: a candidate stands high where linear classifiers and the
neighbour graph bear it out, and the heads that take sizes as they come agree with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import erf
from typing import Any

import numpy as np

from imclust.clustering.evidence import NAMES
from imclust.clustering.selection import Candidate

AGREEMENTS = ("agreement", "agreement free")
COLUMNS = (*NAMES, *AGREEMENTS)
FREE = ("layout average", "layout average large", "layout hdbscan", "leiden", "graph merge")
FAR = 3.0  # standard deviations beyond which a number counts no more
MISSED = {"learned": 0.01, "purity adjusted": 0.02}  # least share of errors that is told apart,
# on a scale of its logarithm
JUDGED = ("learned", "purity adjusted", "modularity")
FLAWLESS = (0.99, 0.95)  # learned and adjusted purity from which nothing is left to tell apart
SAME = 0.01  # modularity that counts as the same
CONSENSUS = "consensus of"  # how the names of heads begin that are made of other candidates
FIRST = 1.0  # standard deviations by which these stand above them
KNOWN_EVEN = 2.0  # standard deviations that evenness is worth where sizes are known to be even
TOLD = (
    "learned", "purity adjusted", "silhouette layout", "agreement", "agreement free", "evenness"
)  # fmt: skip


@dataclass(frozen=True)
class Pool:
    """Candidates of one question.

    Parameters
    ----------
    table : ndarray of shape (c, len(NAMES)), float64
        What `evidence` says of each.
    agreement : ndarray of shape (c, c), float64
        Adjusted Rand indices.
    heads, views : list of str
        What made each; "X, retrained" counts as X.
    k, n : int
        Clusters and rows.
    """

    table: np.ndarray
    agreement: np.ndarray
    heads: list[str]
    views: list[str]
    k: int
    n: int

    @property
    def base(self) -> np.ndarray:
        """(c,) str, the heads without what an adapter made of them."""
        return np.array([h.partition(",")[0] for h in self.heads])


@dataclass(frozen=True)
class Choice:
    """The assignment.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        Of all rows.
    head, view : str
        What made it.
    score : float
        In [0, 1]; its own among the candidates.
    accuracy, ari : float
        That are expected of it.
    """

    labels: np.ndarray
    head: str
    view: str
    score: float
    accuracy: float
    ari: float


def standardised(columns: np.ndarray) -> np.ndarray:
    """Each column (c, p) less its mean over its spread, at most FAR from 0.

    Examples
    --------
    >>> standardised(np.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    spread = columns.std(0)
    rest = columns - columns.mean(0)
    return np.clip(rest / np.where(spread > 1e-9, spread, np.inf), -FAR, FAR)


def agreements(pool: Pool) -> np.ndarray:
    """Mean agreement of each candidate with all others, and with those of free sizes: (c, 2).

    Examples
    --------
    >>> alike = np.array([[1, 0.8, 0.2], [0.8, 1, 0.4], [0.2, 0.4, 1]])
    >>> pool = Pool(np.ones((3, 13)), alike, ["kmeans", "leiden", "scan"], ["pca"] * 3, k=2, n=60)
    >>> agreements(pool)[:, 0].round(2)  # the mean agreement with the others
    array([0.5, 0.6, 0.3])
    """
    alike = pool.agreement.copy()
    np.fill_diagonal(alike, np.nan)
    free = np.isin(pool.base, FREE)
    out = np.ones((len(pool.heads), len(AGREEMENTS)))
    for i, row in enumerate(alike):
        others = row[~np.isnan(row)]
        if len(others):
            mean = float(others.mean())
            out[i] = mean, _mean(row[free], mean)
    return out


def _mean(values: np.ndarray, otherwise: float) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else otherwise


def _columns_of(pool: Pool) -> np.ndarray:
    """(c, len(COLUMNS)): the numbers and the agreements of each candidate."""
    return np.hstack([pool.table, agreements(pool)])


def design(pool: Pool, names: tuple[str, ...]) -> np.ndarray:
    """The named numbers of each candidate (c, p), standardised among them.

    Examples
    --------
    >>> table = np.outer([0.9, 0.8], np.ones(len(NAMES)))
    >>> pool = Pool(table, np.ones((2, 2)), ["leiden", "kmeans"], ["pca"] * 2, k=2, n=60)
    >>> design(pool, ("learned", "modularity")).round(2).tolist()
    [[1.0, 1.0], [-1.0, -1.0]]
    """
    raw = _columns_of(pool)
    for name, least in MISSED.items():
        at = COLUMNS.index(name)
        raw[:, at] = -np.log(1 + least - np.clip(raw[:, at], 0, 1))
    return standardised(raw)[:, [COLUMNS.index(name) for name in names]]


def told(pool: Pool) -> np.ndarray:
    """Rows (c, p) that accuracy and adjusted Rand index are estimated from.

    Examples
    --------
    >>> table = np.outer([0.9, 0.8], np.ones(len(NAMES)))
    >>> told(Pool(table, np.ones((2, 2)), ["leiden", "kmeans"], ["pca"] * 2, k=2, n=60)).shape
    (2, 15)
    """
    raw = _columns_of(pool)[:, [COLUMNS.index(name) for name in TOLD]]
    about = [1.0, np.log(pool.k / 6), np.log(pool.n / pool.k / 60)]
    return np.hstack([raw, raw**2, np.tile(about, (len(raw), 1))])


@cache
def model() -> dict[str, Any]:
    """What was fitted: names and weights.

    Examples
    --------
    >>> sorted(model())[:2]
    ['accuracy', 'ari']
    """
    text = files("imclust.clustering").joinpath("selector.json").read_text(encoding="utf-8")
    return json.loads(text)


def standings(pool: Pool, *, even: bool = False) -> np.ndarray:
    """How far above the others each candidate is expected to stand, in standard deviations (c,).

    What the best candidates have in common, where the search made that, stands above them.

    Parameters
    ----------
    pool : Pool
        The candidates.
    even : bool
        Whether clusters are known to be of one size.

    Examples
    --------
    >>> table = np.outer([0.9, 0.8, 0.1], np.ones(len(NAMES)))
    >>> pool = Pool(table, np.ones((3, 3)), ["leiden", "kmeans", "scan"], ["pca"] * 3, k=2, n=60)
    >>> standings(pool).argsort().tolist()  # the last one stands lowest
    [2, 1, 0]
    """
    if len(pool.heads) == 1:
        return np.zeros(1)
    fitted = model()["choice"]
    found = ranked(design(pool, tuple(fitted["names"])) @ np.array(fitted["weights"]), pool)
    return _with_evenness(found, pool) if even else found


def ranked(sums: np.ndarray, pool: Pool) -> np.ndarray:
    """Standings (c,) of the weighted sums (c,) of a pool: scaled, and a consensus above all.

    Examples
    --------
    >>> table = np.outer([0.9, 0.8], np.ones(len(NAMES)))
    >>> pool = Pool(table, np.ones((2, 2)), ["leiden", "consensus of 9"], ["pca"] * 2, k=50, n=600)
    >>> ranked(np.array([2.0, 1.0]), pool)
    array([1., 2.])
    """
    found = scaled(sums)
    made_of_others = np.array([head.startswith(CONSENSUS) for head in pool.heads])
    found[made_of_others] = found.max() + FIRST
    return found


def scaled(stand: np.ndarray) -> np.ndarray:
    """Standings (c,) of mean 0 and spread 1.

    Examples
    --------
    >>> scaled(np.array([1.0, 2.0, 3.0])).round(2)
    array([-1.22,  0.  ,  1.22])
    """
    return (stand - stand.mean()) / max(float(stand.std()), 1e-9)


def _with_evenness(stand: np.ndarray, pool: Pool) -> np.ndarray:
    """Standings (c,) where clusters are known to be of one size."""
    evenness = pool.table[:, [NAMES.index("evenness")]]
    found = scaled(stand) + KNOWN_EVEN * standardised(evenness)[:, 0]
    return found - found.mean()


def best_of(pool: Pool, stand: np.ndarray) -> int:
    """Which candidate is the assignment: the one that stands highest, flawless ones apart.

    Where that one is learned and borne out by the graph as good as without a flaw, so are others,
    and a small part that is set apart (duplicates, say) is as flawless as the division in two that
    is meant. Of the flawless the ones of the largest modularity are then taken, and of these the
    one that stands highest.

    Parameters
    ----------
    pool : Pool
        The c candidates.
    stand : np.ndarray
        (c,) float64, how each is expected to stand.

    Returns
    -------
    int
        Its number in the pool.

    Examples
    --------
    >>> table = np.outer([0.9, 0.8], np.ones(len(NAMES)))
    >>> pool = Pool(table, np.ones((2, 2)), ["leiden", "kmeans"], ["pca"] * 2, k=2, n=60)
    >>> best_of(pool, np.array([0.1, 0.4]))
    1
    """
    at = int(stand.argmax())
    learned, pure, modularity = (pool.table[:, NAMES.index(name)] for name in JUDGED)
    flawless = (learned >= FLAWLESS[0]) & (pure >= FLAWLESS[1])
    if not flawless[at]:
        return at
    largest = np.flatnonzero(flawless & (modularity >= modularity[flawless].max() - SAME))
    return int(largest[stand[largest].argmax()])


def _estimates(pool: Pool, what: str) -> np.ndarray:
    """Expected `accuracy` or `ari` of each candidate (c,), in [0, 1]."""
    return np.clip(told(pool) @ np.array(model()[what]), 0, 1)


def choose(
    candidates: list[Candidate],
    pool: Pool,
    *,
    even: bool = False,
    stand: np.ndarray | None = None,
) -> Choice:
    """The candidate that stands highest; sets the score of all.

    Parameters
    ----------
    candidates : list of Candidate
        Those of the pool, in order.
    pool : Pool
        What is known of them.
    even : bool
        Whether clusters are known to be of one size.
    stand : ndarray of shape (c,), optional
        How each is expected to stand, where the fitted weights are not what says it.

    Examples
    --------
    >>> labels = [np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])]
    >>> found = [Candidate("leiden", "pca", c, c) for c in labels]
    >>> table = np.outer([0.9, 0.3], np.ones(len(NAMES)))
    >>> pool = Pool(table, np.eye(2), ["leiden", "leiden"], ["pca"] * 2, k=2, n=4)
    >>> choice = choose(found, pool)
    >>> choice.head, choice.labels.tolist(), found[0].score > found[1].score
    ('leiden', [0, 0, 1, 1], True)
    """
    if stand is None:
        stand = standings(pool, even=even)
    else:
        stand = _with_evenness(stand, pool) if even else scaled(stand)
    at = best_of(pool, stand)
    stand[at] = stand.max() + 1e-3
    for c, s in zip(candidates, stand, strict=True):
        c.score = 0.5 + 0.5 * erf(float(s) / 2**0.5)
    best = candidates[at]
    assert best.whole is not None
    accuracy, ari = (float(_estimates(pool, what)[at]) for what in ("accuracy", "ari"))
    return Choice(best.whole, best.name, best.view, best.score, accuracy, ari)
