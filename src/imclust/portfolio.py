"""The candidates of `auto`: which spaces are looked at, which heads run, and which answer wins.

First, on at most `SCOUTS` rows: every space in every preparation, and spaces joined, under a few
cheap heads. The view whose clusterings linear classifiers learn best in all views is chosen
(TURTLE's score, pooled over views). Then, on all rows of that view: the cheap heads again, and
UMAP layouts of its neighbour graph while there is time. Among those the answer is the one that is
even, that the others agree with, and that comes from the head that wins most benchmarks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import KMeans

from imclust.agreeing import retrained
from imclust.embedding import layout
from imclust.graph import cut, diffused, joint_graph, leading
from imclust.log import progress
from imclust.metrics import hungarian_accuracy
from imclust.selection import Candidate, collapse, measure, ranks, trivial
from imclust.spaces import Preparation, prepare

ALONE: tuple[Preparation, ...] = ("unit", "power", "white")
JOINED: tuple[Preparation, ...] = ("power", "white")
MANY = 3  # spaces; more of them are looked at in one preparation each, to save time
SCOUTS = 3000
LAYOUTS = 3  # seeds of the slow head
DIMS = 10  # of a layout
CORRECTED = 0.05  # of the rows that an adapter may move
CHOICE = ("evenness", "within", "prior")  # what the answer is chosen by
SCORE = ("learnability", "agreement", "evenness")  # what a candidate's score is made of


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

    @property
    def rows(self) -> np.ndarray:
        """(n, d') float32, its spaces side by side, each of the same weight."""
        return np.hstack(self.spaces) / np.float32(len(self.spaces) ** 0.5)


def _kmeans(view: View, k: int, seed: int) -> np.ndarray:
    return KMeans(k, n_init=3, random_state=seed).fit_predict(view.rows)


def _diffusion(view: View, k: int, seed: int) -> np.ndarray:
    smooth = diffused(view.graph, view.rows)
    return KMeans(k, n_init=3, random_state=seed).fit_predict(smooth)


def _spectral(view: View, k: int, seed: int) -> np.ndarray:
    return cut(leading(view.graph, k)[1], k)


def _layout(view: View, k: int, seed: int) -> np.ndarray:
    plane = layout(view.graph, view.rows, DIMS, seed)
    return KMeans(k, n_init=10, random_state=seed).fit_predict(plane)


Head = Callable[[View, int, int], np.ndarray]
CHEAP: dict[str, Head] = {
    "kmeans": _kmeans,
    "diffusion-kmeans": _diffusion,
    "spectral": _spectral,
}


class Portfolio:
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

    def choose_view(self) -> View:
        """Look at the spaces on few rows; the best view, of all rows."""
        every = range(len(self._few))
        for how in ALONE if len(self._few) <= MANY else JOINED[:1]:
            for part in every:
                self._look((part,), how)
        if len(self._few) > 1:
            order = self._ranked()
            for part in order[:1]:
                for how in ALONE:
                    self._look((part,), how)
            for size in sorted({2, (len(order) + 1) // 2, len(order)} - {1}):
                for how in JOINED:
                    self._look(tuple(sorted(order[:size])), how)
        best = self._views[self._favourite()]
        return View.of(self._all, best.parts, best.how)

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
        """Those that were not thrown out, with their numbers up to date."""
        valid = [c for c in self.candidates if not c.reason] or self.candidates
        measure(valid, [view.rows for view in self._views.values()], self._k)
        return valid

    def _scored(self) -> list[Candidate]:
        """As `_measured`, with the scores too."""
        valid = self._measured()
        for c, score in zip(valid, ranks(valid, SCORE), strict=True):
            c.score = float(score)
        return valid

    def _ranked(self) -> list[int]:
        """Spaces by the learnability of what was found in each alone, best first."""
        by_space: dict[int, list[float]] = {}
        for c in self._measured():
            part = self._views[c.view].parts[0]
            by_space.setdefault(part, []).append(c.numbers["learnability"])
        return sorted(by_space, key=lambda part: -float(np.mean(by_space[part])))

    def _favourite(self) -> str:
        by_view: dict[str, list[float]] = {}
        for c in self._measured():
            by_view.setdefault(c.view, []).append(c.numbers["learnability"])
        return max(by_view, key=lambda name: float(np.mean(by_view[name])))

    def answer(
        self, view: View, nuisances: dict[str, np.ndarray], *, retrain: bool
    ) -> tuple[Candidate, np.ndarray]:
        """Run all heads on all rows of a view; the winner and its labels (n,) int64."""
        self._finish(view)
        trivial(self.candidates, {k: v[self.compared] for k, v in nuisances.items()}, self._k)
        able = [c for c in self._scored() if c.whole is not None]
        best = able[int(ranks(able, CHOICE).argmax())]
        labels: np.ndarray = best.whole  # type: ignore[assignment]  # of those that are able
        return self._retrain(best, labels, view) if retrain else (best, labels)

    def _finish(self, view: View) -> None:
        """All heads on all rows of the chosen view; of the slow ones, one is always made."""
        heads = [(name, head, self._seed) for name, head in CHEAP.items()]
        heads += [(f"layout {i + 1}", _layout, self._seed + i) for i in range(LAYOUTS)]
        self.candidates = [c for c in self.candidates if c.view != view.name]
        for i, (name, head, seed) in enumerate(progress(heads, "auto, all rows", leave=False)):
            if i > len(CHEAP) and time.monotonic() > self._end:
                break
            start = time.monotonic()
            whole = head(view, self._k, seed).astype(np.int64)
            self._add(
                Candidate(
                    name,
                    view.name,
                    whole[self.compared],
                    whole=whole,
                    favoured=head is _layout,
                    seconds=time.monotonic() - start,
                )
            )

    def _retrain(
        self, best: Candidate, before: np.ndarray, view: View
    ) -> tuple[Candidate, np.ndarray]:
        """What an adapter makes of the best answer, where that is preferred."""
        start = time.monotonic()
        whole = retrained(view.rows, before, self._k)
        labels = whole[self.compared]
        self._add(
            Candidate(
                f"{best.name}, retrained", view.name, labels, whole, True,
                time.monotonic() - start,
            )
        )  # fmt: skip
        taught = self.candidates[-1]
        self._scored()
        if taught.reason or not self._prefers(taught, best):
            return best, before
        return taught, whole

    def _prefers(self, taught: Candidate, best: Candidate) -> bool:
        """Whether classifiers learn the taught labels better, and they are still the same answer.

        An adapter is linear: it corrects an answer here and there, but where it moves many rows
        the groups are not of the kind that it can see, and it does harm.
        """
        kept = hungarian_accuracy(best.labels, taught.labels)
        better = taught.numbers["learnability"] >= best.numbers["learnability"]
        return better and kept >= 1 - CORRECTED
