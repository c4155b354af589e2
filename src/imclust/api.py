"""Clustering from Python: `from imclust import cluster_latents`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import clusterer_input, run_head
from imclust.clustering.doubt import doubts, without_doubtful
from imclust.clustering.feature_spaces import feature_spaces
from imclust.clustering.levels import Level, at_level
from imclust.clustering.n_clusters import KVote, estimate_k
from imclust.clustering.preprocessing import concatenate_unit_rows
from imclust.clustering.priors import Priors, apply_priors
from imclust.clustering.selection import label_free_score
from imclust.core.checks import cluster_count, shaped, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import silent


@dataclass(frozen=True)
class Result:
    """A clustering of rows, with how it was found and what it is worth.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int64 in [0, k).
    probabilities : np.ndarray
        (n, k) float32, rows sum to one.
    score : float
        In [0, 1], without labels: how well linear classifiers learn the clusters times how even
        these are. It compares answers about the same data, not about different data.
    method : str
        Its name in the registry.
    candidates : list[dict[str, Any]]
        What was compared, a row each, best score first; empty where nothing was.
    facts : dict[str, Any]
        What else was found: of the method, the priors, and `row_order`.
    vote : KVote | None
        The evidence for K, where K was asked for.
    predict : Callable
        Gives further rows, spaces as those fitted, probabilities (m, k).
    members : list[Any]
        The candidates themselves, with their labels of `compared_rows`.
    clusters : np.ndarray | None
        (n,) int64, the labels with -1 for rows that belong nowhere, where such were asked for.
    levels : dict[str, np.ndarray]
        `coarse`, `chosen` and `fine` labels (n,), nested, where K was asked for.

    Examples
    --------
    >>> rows = [[0.0, 0.1], [0.1, 0.0], [5.0, 5.1], [5.1, 5.0]]
    >>> cluster_latents(rows, 2, "kmeans")
    Result(4 rows, K = 2, kmeans, sizes 2 2)
    """

    labels: np.ndarray
    probabilities: np.ndarray
    score: float
    method: str
    candidates: list[dict[str, Any]]
    facts: dict[str, Any]
    vote: KVote | None
    predict: Callable[[Any], np.ndarray] = field(repr=False)
    members: list[Any] = field(default_factory=list, repr=False)
    compared_rows: np.ndarray | None = field(default=None, repr=False)
    clusters: np.ndarray | None = field(default=None, repr=False)
    levels: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        sizes = np.bincount(self.labels, minlength=self.probabilities.shape[1])
        shown = " ".join(map(str, sizes[:12])) + " ..." * (len(sizes) > 12)
        return f"Result({len(self.labels)} rows, K = {len(sizes)}, {self.method}, sizes {shown})"

    def _repr_html_(self) -> str:
        from imclust.report.notebook import table

        k = self.probabilities.shape[1]
        caption = f"{len(self.labels)} rows, K = {k}, {self.method}, score {self.score:.3f}"
        return table(np.bincount(self.labels, minlength=k).tolist(), caption)


def cluster_latents(
    spaces: np.ndarray | Sequence[np.ndarray],
    n_clusters: int | Literal["auto"],
    method: str = "auto",
    seed: int = 0,
    *,
    priors: Priors | None = None,
    nuisances: Mapping[str, np.ndarray] | None = None,
    level: Level = "chosen",
    unclustered: float = 0.0,
    verbose: bool = False,
    **options: Any,
) -> Result:
    """Cluster the rows of one feature space, or of several feature spaces of the same rows.

    Parameters
    ----------
    spaces : np.ndarray | Sequence[np.ndarray]
        (n, d) numbers as an array, data frame, sparse matrix or list of rows; or a list of
        several (n, d_v), row i of the same item in each.
    n_clusters : int | Literal['auto']
        K, from 2 to the number of different rows; `auto` finds it.
    method : str, optional
        A name of `python -m imclust cluster --help`.
    seed : int, optional
        The same seed, the same assignment.
    priors : Priors | None, optional
        What is known beforehand: sizes, row order, pairs, names.
    nuisances : Mapping[str, np.ndarray] | None, optional
        Name -> (n,) values that no good assignment merely repeats, such as brightness; `auto`
        throws such candidates out.
    level : Level, optional
        Where K is voted on, the `coarse`, `chosen` or `fine` one of three nested answers.
    unclustered : float, optional
        Share of rows that belong nowhere, as -1 in `clusters`.
    verbose : bool, optional
        Show progress bars and what is found on the way.
    options : Any
        Fields of the method's config, as its flags are called on the command line.

    Returns
    -------
    Result
        Labels, probabilities, and how they were found.

    Raises
    ------
    InputError
        Shapes, values, K, the method or an option; one sentence each.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = np.concatenate([rng.normal(0, 1, (50, 8)), rng.normal(6, 1, (50, 8))])
    >>> cluster_latents(rows, 2, "kmeans").labels[[0, -1]].tolist() in ([0, 1], [1, 0])
    True
    """
    with nullcontext() if verbose else silent():
        return _clustered(
            spaces, n_clusters, method, seed, priors, nuisances, level, unclustered, options
        )


def _clustered(
    spaces: Any, n_clusters: Any, method: str, seed: int, priors: Priors | None,
    nuisances: Mapping[str, np.ndarray] | None, level: Level, unclustered: float,
    options: Mapping[str, Any],
) -> Result:  # fmt: skip
    """`cluster_latents`, whether or not it is shown."""
    valid_seed(seed)
    views = feature_spaces(spaces)
    entry, config = CLUSTERERS.configured(method, options)
    vote = estimate_k(views, seed) if n_clusters == "auto" else None
    k = vote.k if vote else n_clusters
    if not isinstance(k, Integral):
        raise input_error("n_clusters", "a whole number or auto", repr(k), "give one of these")
    k = int(k)
    cluster_count(k, len(views[0]), "rows", "choose another K")
    known = _values(nuisances or {}, len(views[0]))
    even = priors is not None and priors.proportions == "uniform"
    found = run_head(entry.method, views, k, config, seed, known, even=even)
    z = concatenate_unit_rows(views)
    nested: dict[str, np.ndarray] = {}
    if vote:
        counts = {name: int(of["k"]) for name, of in vote.levels.items()}
        found, nested = at_level(found, views, counts, level, seed)
        k = found.probabilities.shape[1]
    given = apply_priors(found.probabilities, priors or Priors(), z)
    labels = given.probabilities.argmax(1)
    facts = {**found.facts, **given.facts}
    rows = sorted(facts.pop("candidates", []), key=lambda row: -row["score"])
    widths = tuple(view.shape[1] for view in views)
    predict = _Predictor(entry.method, widths, found.predict, given.predict)
    clusters = None
    if unclustered:
        clusters = without_doubtful(labels, doubts(labels, views, seed), unclustered)
    score = label_free_score(labels, views, k, seed)
    return Result(
        labels, given.probabilities, score, method, rows, facts, vote, predict,
        found.candidates, found.compared_rows, clusters, nested,
    )  # fmt: skip


@dataclass(frozen=True)
class _Predictor:
    """Places further rows as the fitted ones were; can be pickled.

    Parameters
    ----------
    widths : tuple[int, ...]
        Numbers of columns of the fitted spaces, in order.
    """

    method: Any
    widths: tuple[int, ...]
    found: Callable[[Any], np.ndarray]
    given: Callable[[np.ndarray], np.ndarray]

    def __call__(self, spaces: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        views = feature_spaces(spaces)
        widths = tuple(view.shape[1] for view in views)
        if widths != self.widths:
            got = f"{len(widths)} of widths {list(widths)}"
            allowed = f"like the {len(self.widths)} fitted ones, of widths {list(self.widths)}"
            raise input_error("the spaces to place", allowed, got, "encode the rows as those were")
        return self.given(self.found(clusterer_input(self.method, views)))


def _values(nuisances: Mapping[str, Any], n: int) -> dict[str, np.ndarray]:
    """Every nuisance (n,) as float64, or a refusal."""

    values = {name: np.asarray(v, np.float64) for name, v in nuisances.items()}
    for name, v in values.items():
        shaped(f"the nuisance {name}", v, "n", n=n)
    return values
