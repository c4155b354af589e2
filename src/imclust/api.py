"""Clustering from Python: `from imclust import cluster_latents`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class Result:
    """An answer.

    Args:
        labels: (n,) int64 in [0, k). probabilities: (n, k) float32, rows sum to one.
        score: in [0, 1], without labels: how well linear classifiers learn the clusters times how
            even these are. It compares answers about the same data, not about different data.
        method: its name in the registry.
        candidates: what was compared, a row each, best score first; empty where nothing was.
        facts: what else was found: of the method, the priors, and `row_order`.
        vote: the evidence for K, where K was asked for.
        place: gives further rows, spaces as those fitted, probabilities (m, k).
        members: the candidates themselves, with their labels of `compared_rows`.
        clusters: (n,) int64, the labels with -1 for rows that belong nowhere, where such were
            asked for.
        levels: `coarse`, `chosen` and `fine` labels (n,), nested, where K was asked for.
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
    **options: Any,
) -> Result:
    """Cluster the rows of one space, or of several spaces of the same rows.

    Args:
        spaces: (n, d) float of any width, or a list of (n, d_v).
        n_clusters: K, or `auto` for a vote on it.
        method: a name of `python -m imclust cluster --help`.
        seed: the same seed, the same answer.
        priors: what is known beforehand: sizes, row order, pairs, names.
        nuisances: name -> (n,) values that no good answer merely repeats, such as brightness;
            `auto` throws such candidates out.
        level: where K is voted on, the `coarse`, `chosen` or `fine` one of three nested answers.
        unclustered: share of rows that belong nowhere, as -1 in `clusters`.
        options: fields of the method's config, as its flags are called on the command line.

    Raises:
        Refusal: shapes, values, K, the method or an option; one sentence each.
    """
    valid_seed(seed)
    views = feature_spaces(spaces)
    entry, config = CLUSTERERS.configured(method, options)
    vote = estimate_k(views, seed) if n_clusters == "auto" else None
    k = vote.k if vote else n_clusters
    if not isinstance(k, Integral):
        raise input_error("n_clusters", "a whole number or auto", repr(k), "give one of these")
    cluster_count(k, len(views[0]))
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

    Args:
        widths: numbers of columns of the fitted spaces, in order.
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
