"""`auto`: a portfolio of spaces and heads, and the assignment that the evidence favours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from imclust.clustering.blocks import LARGE
from imclust.clustering.classifier import learn_clusters, placed_by
from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._average import average_clusterings
from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    as_views,
    concatenate_views,
    on_sample,
    several_spaces,
    takes_nuisances,
    takes_sizes,
)
from imclust.clustering.clusterers._partitions import by_neighbours
from imclust.clustering.effort import EffortLevel, effort_of
from imclust.core.checks import in_range
from imclust.core.shards import one_thread_each

MOST_SEARCHES = 50


@dataclass(frozen=True)
class AutoConfig:
    """The best assignment that can be told without labels, of many heads in many spaces."""

    effort: EffortLevel = "normal"
    """How much is tried; the assignment depends on it, and never on the clock."""
    kinds: Literal["alike", "unequal"] = "alike"
    """Of the spaces, where there are several: `alike` (layers of one network, say), or `unequal`
    (spectra, colours, edges, learned codes), judged by what all of them say."""
    retrain: bool = True
    """Also let a light adapter learn from an assignment and correct it, where it mostly agrees."""
    searches: int = 1
    """Search so many times, each from its own seed, and answer with the mean of what they find."""

    def __post_init__(self) -> None:
        effort_of(self.effort)
        in_range("auto", "searches", self.searches, 1, MOST_SEARCHES)


@CLUSTERERS.register(
    "auto",
    AutoConfig,
    paper="Gadetsky et al. 2024 (learnability); Zhao et al. 2024 (pooled scores); Strehl and "
    "Ghosh 2002 (agreement); Fred and Jain 2005 (consensus)",
)
@takes_nuisances
@takes_sizes
@several_spaces
def auto(
    z: Rows,
    n_clusters: int,
    cfg: AutoConfig,
    seed: int,
    nuisances: dict[str, np.ndarray] | None = None,
    even: bool = False,
) -> Clustering:
    """The assignment that the evidence favours; see `imclust.clustering.selector`.

    Parameters
    ----------
    z : ndarray of shape (n, d), or a list of spaces of the same rows
        float32.
    n_clusters : int
        K.
    cfg : AutoConfig
        Settings.
    seed : int
        Of everything.
    nuisances : dict, optional
        Name -> (n,) values that no answer should merely repeat.
    even : bool
        Whether clusters are known to be of one size.

    Returns
    -------
    Clustering
        Posteriors (n, k) by each row's neighbours in the chosen view, above LARGE rows by a
        classifier that learned the sample's answer; the candidates; `score`, `view`, `head`, and
        what accuracy and adjusted Rand index are expected. Of several searches the mean, see
        `average_clusterings`.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(9 * np.eye(3, 4), 20, axis=0)
    >>> found = auto(z.astype(np.float32), 3, AutoConfig(effort="quick"), seed=0)
    >>> np.bincount(found.labels)
    array([20, 20, 20])
    """
    many = len(as_views(z)[0]) > LARGE
    fit = on_sample(effort_of(cfg.effort).rows)(partial(_fit, many=many))
    more = [np.random.SeedSequence([seed, i]).generate_state(1)[0] for i in range(1, cfg.searches)]
    with one_thread_each():  # the same sums, whatever the number of cores
        found = [
            fit(z, n_clusters, cfg, int(each), nuisances=nuisances or {}, even=even)
            for each in (seed, *more)
        ]
    return average_clusterings(found, n_clusters, seed)


def _fit(
    z: Rows, k: int, cfg: AutoConfig, seed: int, nuisances: dict[str, np.ndarray], even: bool,
    *, many: bool = False,
) -> Clustering:  # fmt: skip
    from imclust.clustering.auto_search import CandidateSearch
    from imclust.clustering.selector import choose
    from imclust.clustering.unequal_spaces import UnequalSearch
    from imclust.clustering.views import View

    spaces, effort = as_views(z), effort_of(cfg.effort)
    unequal = cfg.kinds == "unequal" and len(spaces) > 1
    work = (UnequalSearch if unequal else CandidateSearch)(spaces, k, effort, seed)
    able = work.run(nuisances, retrain=cfg.retrain)
    assert work.pool is not None
    choice = choose(able, work.pool, even=even, stand=work.stand)
    named = View.named(choice.view)
    view = next(v for v in work.views if (v.parts, v.how) == named)
    apply = partial(_chosen, parts=view.parts, apply=view.apply)
    facts = {
        "head": choice.head,
        "view": choice.view,
        "effort": cfg.effort,
        "score": round(choice.score, 4),
        "estimated_accuracy": round(choice.accuracy, 4),
        "estimated_ari": round(choice.ari, 4),
        "candidates": [c.row() for c in work.candidates],
    }
    found = by_neighbours(choice.labels, k, view.spaces, apply, **facts)
    found.candidates.extend(work.candidates)
    if many:
        learned = learn_clusters(concatenate_views(view.spaces), choice.labels, k)
        found = replace(found, predict=placed_by(learned, apply))
    return replace(found, compared_rows=work.compared)


def _chosen(
    new: Rows, parts: tuple[int, ...], apply: list[Callable[[Any], np.ndarray]]
) -> list[np.ndarray]:
    views = as_views(new)
    return [each(views[p]) for p, each in zip(parts, apply, strict=True)]
