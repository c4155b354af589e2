"""How `auto` comes to its assignment: views, candidates, the numbers of each, the choice.

Of one space every preparation is a view. Of several, spaces and joined spaces are first looked at
on at most `SCOUTS` rows under cheap heads, and the views whose clusterings linear classifiers learn
best are gone into (TURTLE's score, pooled over views). All heads then run on all rows of the views;
the learned selector says how each candidate stands. Of fewer than LARGE_K clusters the first of
them is the assignment; of more, each candidate has found some of them, and what the best few have
in common is. Nothing here reads a clock: the level of effort says what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from imclust.clustering.effort import Effort
from imclust.clustering.ensembles import coassociation_consensus
from imclust.clustering.evidence import NAMES, evidence
from imclust.clustering.heads import CHEAP
from imclust.clustering.learnability import learnability
from imclust.clustering.metrics import pairwise_ari
from imclust.clustering.portfolio import candidates_at, finer, runs_of
from imclust.clustering.preprocessing import Preparation
from imclust.clustering.selection import Candidate, collapse, reject_nuisance_copies
from imclust.clustering.selector import CONSENSUS, Pool, standings
from imclust.clustering.views import View
from imclust.core.log import progress
from imclust.core.shards import in_parallel

T = TypeVar("T", int, str)
ALONE: tuple[Preparation, ...] = ("pca", "power", "white")
JOINED: tuple[Preparation, ...] = ("power", "white")
MANY = 3  # spaces; more of them are looked at in one preparation each, to save time
SCOUTS = 2000  # rows that spaces are looked at on
FINALISTS = 3  # views that are gone into with all rows
LARGE_K = 50  # clusters from where the consensus of the BEST_FEW is the assignment
BEST_FEW = 9


def choose_views(
    spaces: list[np.ndarray],
    k: int,
    seed: int,
    nuisances: dict[str, np.ndarray] | None = None,
    thrown_out: list[Candidate] | None = None,
) -> list[View]:
    """The views of all rows that are gone into.

    Parameters
    ----------
    spaces : list of ndarray of shape (n, d_v)
        The same rows in each.
    k : int
        Clusters that the scouts look for.
    seed : int
        Of the rows looked at and of the heads.
    nuisances : dict, optional
        Name -> (n,) values; what merely repeats one speaks for no view.
    thrown_out : list of Candidate, optional
        Such clusterings of the rows looked at are added to it.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    >>> [view.name for view in choose_views([x], k=3, seed=0)]
    ['1 pca', '1 power', '1 white']
    """
    if len(spaces) == 1:
        return list(in_parallel(ALONE, lambda how: View.of(spaces, (0,), how, seed)))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(spaces[0]))[:SCOUTS])
    few = {name: values[chosen] for name, values in (nuisances or {}).items()}
    scouts = _Scouts([np.asarray(s[chosen]) for s in spaces], k, seed, few)
    best = scouts.best()
    if thrown_out is not None:
        thrown_out += [c for c in scouts.found if c.reason]
    return list(in_parallel(best, lambda name: View.of(spaces, *View.named(name), seed)))


class _Scouts:
    """Cheap heads on few rows of many views."""

    def __init__(
        self, spaces: list[np.ndarray], k: int, seed: int, nuisances: dict[str, np.ndarray]
    ) -> None:
        self._spaces, self._k, self._seed, self._nuisances = spaces, k, seed, nuisances
        self._views: dict[str, View] = {}
        self.found: list[Candidate] = []

    def best(self) -> list[str]:
        """Names of the best views, best first."""
        hows = ALONE if len(self._spaces) <= MANY else JOINED[:1]
        self._look([((part,), how) for how in hows for part in range(len(self._spaces))])
        order = self._best_first(lambda name: self._views[name].parts[0])
        sizes = sorted({2, (len(order) + 1) // 2, len(order)} - {1})
        joined = [tuple(sorted(order[:size])) for size in sizes]
        self._look([((order[0],), how) for how in ALONE])
        self._look([(parts, how) for parts in joined for how in JOINED])
        return self._best_first(lambda name: name)[:FINALISTS]

    def _look(self, wanted: list[tuple[tuple[int, ...], Preparation]]) -> None:
        """Those of the views that were not looked at before."""
        known = {(view.parts, view.how) for view in self._views.values()}
        fresh = [each for each in dict.fromkeys(wanted) if each not in known]
        bar = progress(None, "auto, views", total=len(fresh), leave=False)
        for view, found in in_parallel(fresh, self._scout):
            self._views[view.name] = view
            self.found += found
            bar.update(1)
        bar.close()

    def _scout(self, wanted: tuple[tuple[int, ...], Preparation]) -> tuple[View, list[Candidate]]:
        view = View.of(self._spaces, *wanted, self._seed)
        found = []
        for name, head in CHEAP.items():
            labels = np.asarray(head(view, self._k, self._seed), np.int64)
            found.append(Candidate(name, view.name, labels, reason=collapse(labels, self._k)))
        return view, found

    def _best_first(self, of: Callable[[str], T]) -> list[T]:
        """Views, or spaces, by the learnability of what was found in them, best first."""
        scores: dict[T, list[float]] = {of(name): [0.0] for name in self._views}
        reject_nuisance_copies(self.found, self._nuisances, self._k)
        able = [c for c in self.found if not c.reason]
        if able:
            rows = [view.rows for view in self._views.values()]
            for c, score in zip(able, learnability(rows, [c.labels for c in able]), strict=True):
                scores[of(c.view)].append(float(score))
        return sorted(scores, key=lambda key: -float(np.mean(scores[key][1:] or [0.0])))


class CandidateSearch:
    """Views, and the candidates at one K with what was measured of them.

    Parameters
    ----------
    spaces : list of ndarray of shape (n, d_v), float
        The same rows in each.
    k : int
        Clusters.
    effort : Effort
        How much is tried.
    seed : int
        Of everything.
    """

    def __init__(self, spaces: list[np.ndarray], k: int, effort: Effort, seed: int) -> None:
        self._spaces, self.k, self._effort, self._seed = spaces, k, effort, seed
        n = len(spaces[0])
        self.compared = np.sort(np.random.default_rng(seed).permutation(n)[:SCOUTS])
        self.views: list[View] = []
        self.candidates: list[Candidate] = []
        self.pool: Pool | None = None
        self.stand: np.ndarray | None = None  # of the pool, where not the fitted weights say it

    def choose_views(
        self, nuisances: dict[str, np.ndarray], thrown_out: list[Candidate]
    ) -> list[View]:
        """The views that are gone into; what was thrown out on the way is added to the list."""
        return choose_views(self._spaces, self.k, self._seed, nuisances, thrown_out)

    def further(self, able: list[Candidate]) -> list[Candidate]:
        """Candidates that are made of those that were not thrown out."""
        return []

    def run(self, nuisances: dict[str, np.ndarray], *, retrain: bool) -> list[Candidate]:
        """All candidates; those that were not thrown out are in `pool`, in the same order."""
        thrown_out: list[Candidate] = []
        self.views = self.choose_views(nuisances, thrown_out)
        second = finer(self.views[1:]) if self._effort.finer else []
        runs = runs_of(self.views, second, self._effort)
        made = candidates_at(runs, self.k, self._seed, retrain=retrain)
        for c in made:
            c.labels = c.labels[self.compared]
        few = {name: values[self.compared] for name, values in nuisances.items()}
        reject_nuisance_copies(made, few, self.k)
        able = [c for c in made if not c.reason] or made
        further = self.further(able)
        able = able + further
        judges = [*self.views, *second]
        self.pool = self._pool_of(able, self._evidence_of(able, judges))
        added = self.rank(able, judges)
        self.candidates = made + further + added + thrown_out
        return able + added

    def rank(self, able: list[Candidate], judges: list[View]) -> list[Candidate]:
        """Candidates that are made of those that stand highest, added to the pool: of many
        clusters, what the best few have in common. Sets `stand` where the weights do not say it.
        """
        assert self.pool is not None
        added = self._in_common(able, standings(self.pool)) if self.k >= LARGE_K else []
        if added:
            table = np.vstack([self.pool.table, self._evidence_of(added, judges)])
            self.pool = self._pool_of(able + added, table)
        return added

    def _evidence_of(self, able: list[Candidate], judges: list[View]) -> np.ndarray:
        """The numbers of some candidates, (c, len(NAMES)); they are told them, too."""
        whole = [c.whole for c in able if c.whole is not None]
        views = [c.view for c in able]
        table = evidence(whole, views, judges, self.compared, self._seed).table
        for c, row in zip(able, table, strict=True):
            c.numbers |= dict(zip(NAMES, map(float, row), strict=True))
        return table

    def _pool_of(self, able: list[Candidate], table: np.ndarray) -> Pool:
        """Candidates beside their numbers (c, len(NAMES))."""
        return Pool(
            table,
            pairwise_ari([c.labels for c in able]),
            [c.name for c in able],
            [c.view for c in able],
            self.k,
            len(able[0].whole),  # type: ignore[arg-type]  # of all candidates here
        )

    def _in_common(self, able: list[Candidate], stand: np.ndarray) -> list[Candidate]:
        """The consensus of the candidates that stand highest, where there are so many."""
        best = [able[i] for i in np.argsort(-stand, kind="stable")[:BEST_FEW]]
        if len(best) < BEST_FEW:
            return []
        runs = [c.whole for c in best if c.whole is not None]
        whole = coassociation_consensus(runs, self.k, self._seed)
        if collapse(whole, self.k):
            return []
        labels = whole[self.compared]
        return [Candidate(f"{CONSENSUS} {BEST_FEW}", best[0].view, labels, whole=whole)]
