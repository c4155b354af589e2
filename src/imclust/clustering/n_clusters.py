"""How many clusters? Clusterings at many K, judged as candidates are, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imclust.clustering.evidence import purity, structure
from imclust.clustering.heads import kmeans_labels
from imclust.clustering.metrics import pairwise_ari
from imclust.clustering.preprocessing import unit_rows
from imclust.clustering.selector import standardised
from imclust.clustering.views import View
from imclust.core.checks import finite, shaped
from imclust.core.errors import input_error
from imclust.core.log import progress
from imclust.core.shards import one_thread_each, over_items

SAMPLE = 2000  # rows looked at: more of them change K little
LEAST = 10  # rows: fewer leave too few for each cluster
FEWEST = 8  # rows a cluster at the largest K that is tried
FEW = 3  # the same of fewer than 100 rows, for which K up to SMALL are tried
SMALL = 12
GRID = (
    2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 50, 64, 80, 100, 128, 160, 200,
)  # fmt: skip
SCOUTED = 10  # clusters that views are chosen by, where there are several spaces
COUNTED = {
    "silhouette": "silhouette rows",
    "modularity": "modularity",
    "separation": "silhouette own",
}
CRITERIA = (*COUNTED, "agreement")
CLEAR = 0.03  # modularity beyond that of rows without groups, below which there is no structure
COARSER, FINER = 0.6, 1.7  # times K: where the coarse level ends and the fine one begins


@dataclass(frozen=True)
class KVote:
    """What `estimate_k` found.

    Parameters
    ----------
    k : int
        The K whose clusterings stand highest.
    table : list of dict
        A row for every K that was tried: `k`; `silhouette` in [-1, 1] (cosine, of the rows);
        `modularity` in [-0.5, 1]; `separation` in [-1, 1], the silhouette of the layout;
        `agreement`, the mean adjusted Rand index of all clusterings into K; and the `vote`, in
        standard deviations.
    favourites : dict
        Of each criterion alone, by name.
    clear : bool
        Whether there is structure: whether the clusters at K are more apart than those of rows of
        the same covariance without groups. Where not, one cluster says as much as any K, and `k`
        is only the least bad.
    levels : dict
        `coarse`, `chosen`, `fine`: K and support (the agreement at K) of each; a level that there
        is no K for is left out.
    """

    k: int
    table: list[dict[str, float]] = field(repr=False)
    favourites: dict[str, int]
    clear: bool
    levels: dict[str, dict[str, float]] = field(default_factory=dict)


def estimate_k(spaces: list[np.ndarray], seed: int, low: int = 2, high: int = GRID[-1]) -> KVote:
    """The number of clusters whose clusterings are expected to agree best with the truth.

    At most `SAMPLE` random rows are taken. In every view Ward's tree, average linkage and k-means
    cut the layout at every K of a grid. Three criteria are means over these: the cosine silhouette
    of the rows (Rousseeuw 1987), the modularity of the neighbour graph (Newman 2006), and the
    silhouette in the layout that was cut. Each is standardised over the grid; the K of the highest
    sum is the answer. Nothing in it is fitted.

    Parameters
    ----------
    spaces : list of ndarray of shape (n, d_v), float
        Row i of the same image in all.
    seed : int
        Which rows are taken, and of every head.
    low, high : int
        The K to try; high is lowered to n / 8 where images are few, and to n / 3, at least 4 and at
        most 12, where they are fewer than 100.

    Returns
    -------
    KVote
        K and the evidence.

    Raises
    ------
    InputError
        Too few images, nothing to choose from, spaces of other sizes, values not finite.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(90, 8)) + np.repeat(9 * np.eye(3, 8), 30, axis=0)
    >>> estimate_k([x.astype(np.float32)], seed=0).k
    3
    """
    ks = _limits(spaces, low, high)
    n = len(spaces[0])
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:SAMPLE])
    taken = [np.asarray(z[rows], np.float32) for z in spaces]
    if all(float(np.ptp(z, axis=0).max()) == 0 for z in taken):
        got = "all alike, to every space that looks at them"
        do = "see whether they are copies of one: then there is nothing to cluster"
        raise input_error("what K is told from", "different from each other", got, do)
    with one_thread_each():  # the same sums, whatever the number of cores
        return _voted(taken, ks, seed)


def _voted(taken: list[np.ndarray], ks: np.ndarray, seed: int) -> KVote:
    """The vote among some K on rows of several spaces."""
    from imclust.clustering.auto_search import choose_views

    rows = taken[0]
    views = choose_views(taken, min(SCOUTED, _most_clusters(len(rows))), seed)
    curves = _curves_of(views, ks, seed)
    vote = voted(np.column_stack([curves[name] for name in COUNTED]))
    best = int(vote.argmax())
    table = [
        {"k": int(k), **{name: float(curves[name][i]) for name in CRITERIA}, "vote": float(vote[i])}
        for i, k in enumerate(ks)
    ]
    favourites = {name: int(ks[detrended(curves[name], ks).argmax()]) for name in CRITERIA}
    k = int(ks[best])
    beyond = _modularity(views[0], k, seed) - _modularity(_without_groups(views[0], seed), k, seed)
    levels = _levels(ks, vote, curves["agreement"])
    return KVote(int(ks[best]), table, favourites, bool(beyond >= CLEAR), levels)


def _limits(spaces: list[np.ndarray], low: int, high: int) -> np.ndarray:
    """The K that so many images allow to try; refuses what no K can be told from."""
    if not spaces:
        raise input_error("the spaces to tell K from", "at least one", "none", "name one")
    n = len(spaces[0])
    for z in spaces:
        shaped("every space to tell K from", z, "n d", n=n)
        finite("the spaces to tell K from", z)
    if n < LEAST:
        raise input_error(
            "the number of images to tell K from", f"at least {LEAST}", n, "set K, or add images"
        )
    top = min(high, _most_clusters(min(n, SAMPLE)))
    ks = np.array([k for k in GRID if 2 <= low <= k <= top])
    if len(ks) < 3:
        raise input_error(
            "the range of K to choose from",
            f"at least three numbers from 2 to {_most_clusters(n)}, of {n} images",
            f"{low} to {high}",
            "widen it, or set K",
        )
    return ks


def _most_clusters(n: int) -> int:
    """The largest K that is tried of n rows."""
    return max(n // FEWEST, min(max(n // FEW, 4), SMALL))


def cuts(view: View, k: int, seed: int) -> list[np.ndarray]:
    """Clusterings of a view into k: Ward's, average linkage without small branches, k-means.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0], [9]], 30, axis=0)
    >>> view = View.of([x.astype(np.float32)], (0,), "pca")
    >>> [len(np.unique(labels)) for labels in cuts(view, 2, seed=0)]
    [2, 2, 2]
    """
    return [
        view.ward.cut(k),
        view.average.cut_without_small(k),
        kmeans_labels(view.layout, k, seed, 2),
    ]


def _all_cuts(view: View, ks: list[int], seed: int) -> list[list[np.ndarray]]:
    return [cuts(view, k, seed) for k in ks]


def _curves_of(views: list[View], ks: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Each criterion as a curve (len(ks),) over K: means over views and heads."""
    bar = progress(None, "vote on K", total=len(views), leave=False)
    of_view = []
    for found in over_items(views, _all_cuts, ks.tolist(), seed):
        of_view.append(found)
        bar.update(1)
    bar.close()
    made = [labels for at_k in zip(*of_view, strict=True) for three in at_k for labels in three]
    own = [view.name for view in views for _ in range(3)] * len(ks)
    n, each = len(made[0]), 3 * len(views)
    numbers = structure(made, own, views, np.arange(n), seed)
    means = {name: numbers[of].reshape(len(ks), each).mean(1) for name, of in COUNTED.items()}
    pairs = [pairwise_ari(made[i : i + each]) for i in range(0, len(made), each)]
    alike = [(p.sum() - each) / (each * (each - 1)) for p in pairs]
    return means | {"agreement": np.array(alike)}


def voted(counted: np.ndarray) -> np.ndarray:
    """The vote (len(ks),) of the curves (len(ks), c) of COUNTED: their mean, each standardised.

    Examples
    --------
    >>> voted(np.array([[0.1, 0.3], [0.4, 0.5], [0.1, 0.1]])).argmax()
    np.int64(1)
    """
    return standardised(counted).mean(1)


def detrended(curve: np.ndarray, ks: np.ndarray) -> np.ndarray:
    """A curve (len(ks),) less its own linear trend in log K.

    Parameters
    ----------
    curve : np.ndarray
        (m,) float, a value for each K.
    ks : np.ndarray
        (m,) int, at least three.

    Examples
    --------
    >>> ks = np.array([2, 4, 8])
    >>> bool(np.abs(detrended(np.log(ks), ks)).max() < 1e-9)
    True
    """
    powers = np.log(ks)[:, None] ** np.arange(2)
    return curve - powers @ np.linalg.lstsq(powers, curve, rcond=None)[0]


def _without_groups(view: View, seed: int) -> View:
    """Normal rows of the same covariance as a view's: the reference of Tibshirani, Walther and
    Hastie 2001 (section 3, b), normal where theirs is even."""
    rows = view.rows
    mean = rows.mean(0)
    spread, axes = np.linalg.eigh(np.cov((rows - mean).T).reshape(rows.shape[1], -1))
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal(rows.shape) * np.sqrt(np.maximum(spread, 0)) @ axes.T + mean
    return View((0,), view.how, [unit_rows(drawn)], [], seed)


def _modularity(view: View, k: int, seed: int) -> float:
    """Of the view's graph, mean over its cuts into k."""
    return float(np.mean([purity(view.graph, c)[4] for c in cuts(view, k, seed)]))


def _levels(ks: np.ndarray, vote: np.ndarray, agreement: np.ndarray) -> dict[str, dict[str, float]]:
    best = int(vote.argmax())
    k = int(ks[best])
    parts = {"coarse": ks <= COARSER * k, "chosen": ks == k, "fine": ks >= FINER * k}
    levels = {}
    for name, part in parts.items():
        if part.any():
            at = int(np.flatnonzero(part)[vote[part].argmax()])
            levels[name] = {"k": int(ks[at]), "support": round(float(agreement[at]), 4)}
    return levels
