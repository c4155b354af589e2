"""`auto`: a portfolio of spaces and heads, and the answer that the evidence favours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    as_views,
    on_sample,
    several_spaces,
    takes_nuisances,
)
from imclust.clustering.clusterers._partitions import by_neighbours
from imclust.core.checks import seconds


@dataclass(frozen=True)
class AutoConfig:
    """The best answer that can be told without labels, of many heads in many spaces."""

    budget: str = "60s"
    """Time for trying heads, as in 90s or 2m; the cheapest come first, and what has begun is
    finished."""
    retrain: bool = True
    """Let a light adapter that learns from an answer correct it, where it mostly agrees."""

    def __post_init__(self) -> None:
        seconds(self.budget)


@CLUSTERERS.register(
    "auto",
    AutoConfig,
    paper="Gadetsky et al. 2024 (learnability); Zhao et al. 2024 (pooled scores); Strehl and "
    "Ghosh 2002 (agreement)",
)
@takes_nuisances
@several_spaces
@on_sample(20_000)
def auto(
    z: Rows,
    n_clusters: int,
    cfg: AutoConfig,
    seed: int,
    nuisances: dict[str, np.ndarray] | None = None,
) -> Clustering:
    """The answer of the head and view that the evidence favours; see `imclust.portfolio`.

    Args:
        z: (n, d), or a list of spaces of the same rows.
        nuisances: name -> (n,) values that no answer should merely repeat.

    Returns:
        Posteriors (n, k) by each row's neighbours in the chosen view; the candidates; `score`,
        `view`, `head`, and `estimated_accuracy`, the share of rows on which the other candidates
        of the better half agree with the answer under the best naming.
    """
    from imclust.clustering.auto_search import CandidateSearch
    from imclust.clustering.selection import expected_accuracy

    work = CandidateSearch(as_views(z), n_clusters, seconds(cfg.budget), seed)
    views = work.choose_views()
    best, labels, view = work.answer(views, nuisances or {}, retrain=cfg.retrain)
    apply = partial(_chosen, parts=view.parts, apply=view.apply)
    facts = {
        "head": best.name,
        "view": best.view,
        "score": round(best.score, 4),
        "estimated_accuracy": round(expected_accuracy(best, work.candidates), 4),
        "candidates": [c.row() for c in work.candidates],
    }
    found = by_neighbours(labels, n_clusters, view.spaces, apply, **facts)
    found.candidates.extend(work.candidates)
    return replace(found, compared_rows=work.compared)


def _chosen(
    new: Rows, parts: tuple[int, ...], apply: list[Callable[[Any], np.ndarray]]
) -> list[np.ndarray]:
    views = as_views(new)
    return [each(views[p]) for p, each in zip(parts, apply, strict=True)]
