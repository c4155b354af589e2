"""The candidates of `auto`: which spaces are looked at, which heads run, and which answer wins.

First, on at most `SCOUTS` rows: every space in every preparation, and spaces joined, under a few
cheap heads. The two views whose clusterings linear classifiers learn best in all views are chosen
(TURTLE's score, pooled over views). Then, on all rows of those: the cheap heads again, and UMAP
layouts of their neighbour graphs while there is time, each answer corrected by a light adapter
that learns from it, and SCAN's heads. The answer is the one of the highest score, see
`imclust.selection`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import KMeans

from imclust.clustering.ensembles import lda_self_training
from imclust.clustering.metrics import pairwise_ari
from imclust.clustering.neighbor_graph import (
    joint_graph,
    smooth_features,
    spectral_labels,
    top_eigenvectors,
)
from imclust.clustering.preprocessing import Preparation, prepare
from imclust.clustering.scan_heads import ScanPlan, scan_heads
from imclust.clustering.selection import Candidate, collapse, measure, reject_nuisance_copies
from imclust.clustering.umap_embedding import layout
from imclust.core.log import progress

T = TypeVar("T", int, str)
ALONE: tuple[Preparation, ...] = ("unit", "power", "white")
JOINED: tuple[Preparation, ...] = ("power", "white")
HOW: tuple[Preparation, ...] = get_args(Preparation)
MANY = 3  # spaces; more of them are looked at in one preparation each, to save time
SCOUTS = 3000
FINALISTS = 2  # views that are gone into with all rows
LAYOUTS = 3  # seeds of the slow head
DIMS = 10  # of a layout
KEPT = 0.7  # agreement with itself that an answer keeps under an adapter


@dataclass(frozen=True)
class View:
    """One space, or several side by side, prepared in one way.

    Args:
        parts: numbers of the spaces in it. how: the preparation.
        spaces: (n, d_v) float32 each, prepared; apply: the functions that prepare further rows.
        graph: of nearest neighbours in all of them.
    """

    parts: tuple[int, ...]
    how: Preparation
    spaces: list[np.ndarray]
    apply: list[Callable[[Any], np.ndarray]]
    graph: csr_array

    @classmethod
    def of(cls, spaces: list[np.ndarray], parts: tuple[int, ...], how: Preparation) -> View:
        """The view of those of all spaces (n, d_v) that `parts` names."""
        made = [prepare(spaces[p], how) for p in parts]
        rows = [m.rows for m in made]
        return cls(parts, how, rows, [m.apply for m in made], joint_graph(rows))

    @property
    def name(self) -> str:
        """Such as `1+3 white`."""
        return "+".join(str(p + 1) for p in self.parts) + " " + self.how

    @staticmethod
    def named(name: str) -> tuple[tuple[int, ...], Preparation]:
        """The parts and the preparation of the view of that name."""
        parts, _, how = name.partition(" ")
        return tuple(int(p) - 1 for p in parts.split("+")), next(h for h in HOW if h == how)

    @property
    def rows(self) -> np.ndarray:
        """(n, d') float32, its spaces side by side, each of the same weight."""
        return np.hstack(self.spaces) / np.float32(len(self.spaces) ** 0.5)


def _kmeans(view: View, k: int, seed: int) -> np.ndarray:
    return KMeans(k, n_init=3, random_state=seed).fit_predict(view.rows)


def _diffusion(view: View, k: int, seed: int) -> np.ndarray:
    smooth = smooth_features(view.graph, view.rows)
    return KMeans(k, n_init=3, random_state=seed).fit_predict(smooth)


def _spectral(view: View, k: int, seed: int) -> np.ndarray:
    return spectral_labels(top_eigenvectors(view.graph, k)[1], k)


def _scan(view: View, k: int, seed: int) -> np.ndarray:
    found = scan_heads(view.rows, k, ScanPlan(), seed)
    return found.posteriors(view.rows).argmax(1)


def _layout(view: View, k: int, seed: int) -> np.ndarray:
    plane = layout(view.graph, view.rows, DIMS, seed)
    return KMeans(k, n_init=10, random_state=seed).fit_predict(plane)


Head = Callable[[View, int, int], np.ndarray]
CHEAP: dict[str, Head] = {
    "kmeans": _kmeans,
    "diffusion-kmeans": _diffusion,
    "spectral": _spectral,
}


class CandidateSearch:
    """The candidates so far, what they are compared on, and the clock.

    Args:
        spaces: (n, d_v) float each, the same rows. k: clusters.
        budget: seconds after which nothing new is begun that can be left out.
        seed: of the scouts and of every head.
    """

    def __init__(self, spaces: list[np.ndarray], k: int, budget: float, seed: int) -> None:
        n = len(spaces[0])
        self._all, self._k, self._seed = spaces, k, seed
        self._end = time.monotonic() + budget
        self.compared = np.sort(np.random.default_rng(seed).permutation(n)[:SCOUTS])
        self._few = [np.asarray(s[self.compared]) for s in spaces]
        self._views: dict[str, View] = {}
        self.candidates: list[Candidate] = []

    def choose_views(self) -> list[View]:
        """Look at the spaces on few rows; the best views, of all rows."""
        every = range(len(self._few))
        for how in ALONE if len(self._few) <= MANY else JOINED[:1]:
            for part in every:
                self._look((part,), how)
        if len(self._few) > 1:
            order = self._best_first(lambda c: self._views[c.view].parts[0])
            for part in order[:1]:
                for how in ALONE:
                    self._look((part,), how)
            for size in sorted({2, (len(order) + 1) // 2, len(order)} - {1}):
                for how in JOINED:
                    self._look(tuple(sorted(order[:size])), how)
        names = self._best_first(lambda c: c.view)[:FINALISTS]
        best = [self._views[name] for name in names]
        return [View.of(self._all, view.parts, view.how) for view in best]

    def _look(self, parts: tuple[int, ...], how: Preparation) -> None:
        """Try the cheap heads in one view of the compared rows, unless it is late."""
        if self._views and time.monotonic() > self._end:
            return
        view = View.of(self._few, parts, how)
        if view.name in self._views:
            return
        self._views[view.name] = view
        for name, head in progress(list(CHEAP.items()), f"auto, {view.name}", leave=False):
            start = time.monotonic()
            labels = head(view, self._k, self._seed).astype(np.int64)
            self._add(Candidate(name, view.name, labels, seconds=time.monotonic() - start))

    def _add(self, candidate: Candidate) -> None:
        candidate.reason = collapse(candidate.labels, self._k)
        self.candidates.append(candidate)

    def _measured(self) -> list[Candidate]:
        """Those that were not thrown out, with their numbers and scores up to date."""
        valid = [c for c in self.candidates if not c.reason] or self.candidates
        measure(valid, [view.rows for view in self._views.values()], self._k)
        return valid

    def _best_first(self, of: Callable[[Candidate], T]) -> list[T]:
        """Views, or spaces, by the learnability of what was found in them, best first."""
        found: dict[T, list[float]] = {}
        for c in self._measured():
            found.setdefault(of(c), []).append(c.numbers["learnability"])
        return sorted(found, key=lambda key: -float(np.mean(found[key])))

    def answer(
        self, views: list[View], nuisances: dict[str, np.ndarray], *, retrain: bool
    ) -> tuple[Candidate, np.ndarray, View]:
        """Run all heads on all rows of some views: the winner, its labels (n,) and its view."""
        names = {view.name for view in views}
        self.candidates = [c for c in self.candidates if c.view not in names]
        runs = [(name, head, view, self._seed) for view in views for name, head in CHEAP.items()]
        needed = len(runs) + 1  # one layout is always made
        layouts = [
            (f"layout {i + 1}", _layout, view, self._seed + i)
            for i in range(LAYOUTS)
            for view in views
        ]
        scans = [("scan", _scan, view, self._seed) for view in views]
        runs += [*layouts[: len(views)], *scans, *layouts[len(views) :]]
        for done, run in enumerate(progress(runs, "auto, all rows", leave=False)):
            if done >= needed and time.monotonic() > self._end:
                break
            self._run(*run, retrain=retrain)
        reject_nuisance_copies(
            self.candidates, {k: v[self.compared] for k, v in nuisances.items()}, self._k
        )
        able = [c for c in self._measured() if c.whole is not None]
        best = max(able, key=lambda c: c.score)
        labels: np.ndarray = best.whole  # type: ignore[assignment]  # of those that are able
        return best, labels, next(view for view in views if view.name == best.view)

    def _run(self, name: str, head: Head, view: View, seed: int, *, retrain: bool) -> None:
        """One head on all rows, and what a light adapter makes of its answer.

        The adapter is linear: it corrects an answer here and there. Where it moves many rows the
        groups are not of the kind that it can see, and the answer stays as it is. SCAN's stays: it
        has learned from its own sure rows already.
        """
        start = time.monotonic()
        whole = head(view, self._k, seed).astype(np.int64)
        if retrain and head is not _scan and not collapse(whole, self._k):
            taught = lda_self_training(view.rows, whole, self._k)
            if pairwise_ari([whole, taught])[0, 1] >= KEPT:
                name, whole = f"{name}, retrained", taught
        self._add(
            Candidate(
                name,
                view.name,
                whole[self.compared],
                whole=whole,
                repeats=head is _layout,
                seconds=time.monotonic() - start,
            )
        )
