"""The candidates of `auto` at one K: every head on every view, and what an adapter makes of it."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from imclust.clustering.effort import Effort
from imclust.clustering.ensembles import lda_self_training
from imclust.clustering.heads import CHEAP, LAYOUT, Head, leiden, scan
from imclust.clustering.metrics import pairwise_ari
from imclust.clustering.selection import Candidate, collapse
from imclust.clustering.views import View
from imclust.core.log import progress
from imclust.core.shards import is_unwanted, one_thread_each, over_items

FEWER = 10  # neighbours of the second graph of a view, for small clusters
KEPT = 0.7  # agreement with itself that an assignment keeps under an adapter
TAUGHT = (
    "kmeans", "spectral", "layout kmeans", "layout ward", "layout average large", "layout hdbscan",
)  # fmt: skip


def finer(views: Iterable[View]) -> list[View]:
    """The same views with fewer neighbours.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    >>> [view.name for view in finer([View.of([x], (0,), "pca")])]
    ['1 pca 10']
    """
    return [view.with_neighbours(FEWER) for view in views]


def runs_of(views: list[View], second: list[View], effort: Effort) -> list[tuple[str, Head, View]]:
    """All heads on the views, those of the layout on the second ones, and on further layouts.

    Parameters
    ----------
    views, second : list of View
        Of all rows; `second` as `finer` makes them, or none.
    effort : Effort
        Which heads, and how many layouts.

    Examples
    --------
    >>> from imclust.clustering.effort import EFFORTS
    >>> x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    >>> runs = runs_of([View.of([x], (0,), "pca")], [], EFFORTS["quick"])
    >>> [name for name, _, _ in runs][:3], len(runs)
    (['kmeans', 'diffusion', 'spectral'], 10)
    """
    fine = {"spectral": CHEAP["spectral"], **LAYOUT}
    runs = [(name, head, v) for v in views for name, head in {**CHEAP, **LAYOUT}.items()]
    runs += [(name, head, v) for v in second for name, head in fine.items()]
    for again in range(1, effort.layouts):
        more = [view.with_seed(view.seed + again) for view in views]
        runs += [(name, head, v) for v in more for name, head in LAYOUT.items()]
    if effort.leiden:
        runs += [("leiden", leiden, v) for v in views]
    if effort.scan:
        runs += [("scan", scan, v) for v in views]
    return runs


def candidates_at(
    runs: list[tuple[str, Head, View]], k: int, seed: int, *, retrain: bool = True
) -> list[Candidate]:
    """Run heads at one K.

    The adapter is linear: it corrects an assignment here and there. Where it moves many rows the
    groups are not of the kind that it can see, and there is no such candidate.

    Parameters
    ----------
    runs : list of (name, head, view)
        What is run.
    k : int
        Clusters.
    seed : int
        Of every head.
    retrain : bool
        Also what a light adapter makes of some answers.

    Returns
    -------
    list of Candidate
        With labels of all rows; those that collapsed have their reason.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0], [9]], 30, axis=0)
    >>> view = View.of([x.astype(np.float32)], (0,), "pca")
    >>> [c.name for c in candidates_at([("kmeans", CHEAP["kmeans"], view)], k=2, seed=0)]
    ['kmeans']
    """
    # A view's heads share its graph, spectrum and layout: they are one piece of work.
    of_view: dict[int, list[int]] = {}
    for number, (_, _, view) in enumerate(runs):
        of_view.setdefault(id(view), []).append(number)
    groups = [(runs[mine[0]][2], [runs[i][:2] for i in mine]) for mine in of_view.values()]
    made: dict[int, list[Candidate]] = {}
    with progress(None, f"auto, K = {k}", total=len(runs), leave=False) as bar:
        found = over_items(groups, _on_view, k, seed, retrain)
        for mine, each in zip(of_view.values(), found, strict=True):
            made |= dict(zip(mine, each, strict=True))
            bar.update(len(mine))
    return [c for number in range(len(runs)) for c in made[number]]


def _on_view(
    group: tuple[View, list[tuple[str, Head]]], k: int, seed: int, retrain: bool
) -> list[list[Candidate]]:
    """What each of some heads makes of a view, and the adapter of that; with one thread, since
    several add up as they come."""
    view, heads = group
    with one_thread_each():
        return [
            _of_head(name, head, view, k, seed, retrain=retrain)
            for name, head in heads
            if not is_unwanted()
        ]


def _of_head(
    name: str, head: Head, view: View, k: int, seed: int, *, retrain: bool
) -> list[Candidate]:
    start = time.monotonic()
    whole = np.asarray(head(view, k, seed), np.int64)
    made = [_candidate(name, view, whole, k, start)]
    if not retrain or name not in TAUGHT or made[0].reason:
        return made
    start = time.monotonic()
    taught = lda_self_training(view.rows, whole, k)
    alike = pairwise_ari([whole, taught])[0, 1]
    if KEPT <= alike < 1:
        made.append(_candidate(f"{name}, retrained", view, taught, k, start))
    return made


def _candidate(name: str, view: View, whole: np.ndarray, k: int, start: float) -> Candidate:
    took = time.monotonic() - start
    repeats = name == "layout kmeans"  # once a layout
    found = Candidate(name, view.name, whole, whole=whole, repeats=repeats, seconds=took)
    found.reason = collapse(whole, k)
    return found
