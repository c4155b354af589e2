"""The choice among spaces of unequal kind: spectra, colours, edges, learned codes of an image set.

Each space has nuisances of its own, which clusterings follow there. What the images themselves
hold shows in most spaces at once: its clusters are dense in the neighbour graphs of all of them.
So the views to go into are chosen by the modularity of clusters (Newman 2006) in the graph of each
space alone, averaged over the spaces. The candidates made there, on many more rows, differ less:
they are judged where all spaces lie side by side, whitened, so that no direction of a space counts
more than another, by modularity and by silhouette (Rousseeuw 1987), each counting the same.
Nothing is fitted; `benchmarks/spaces.py` compares such numbers on tasks of known classes.
"""

from __future__ import annotations

import numpy as np

from imclust.clustering.auto_search import FINALISTS, JOINED, CandidateSearch
from imclust.clustering.ensembles import coassociation_consensus
from imclust.clustering.evidence import cosine_distances, purity, silhouettes
from imclust.clustering.heads import HEADS
from imclust.clustering.preprocessing import Preparation, Prepared, power_and_white
from imclust.clustering.selection import Candidate, collapse, reject_nuisance_copies
from imclust.clustering.selector import CONSENSUS, scaled
from imclust.clustering.views import View
from imclust.core.log import progress

LOOKED_AT = 1000  # rows that spaces are looked at on; more for a large K
EACH = 40  # of them for each cluster
CLARITY = ("modularity, joined", "silhouette, joined")  # what candidates are judged by
AGREED = 0.5  # weight of the agreement with the other candidates beside them
COUNTS = (5, 9, 15)  # clearest candidates that a consensus is made of
SCOUTS = ("kmeans", "spectral", "layout ward", "graph merge")


class UnequalSearch(CandidateSearch):
    """Views and candidates, chosen by what all spaces say of them."""

    def choose_views(
        self, nuisances: dict[str, np.ndarray], thrown_out: list[Candidate]
    ) -> list[View]:
        """The views whose clusterings stand highest on the rows looked at."""
        spaces, k, seed = self._spaces, self.k, self._seed
        count = max(LOOKED_AT, EACH * k)
        self.looked_at = np.sort(np.random.default_rng(seed).permutation(len(spaces[0]))[:count])
        few = [power_and_white(s[self.looked_at]) for s in spaces]
        alone = [View.made_of([f["power"]], (i,), "power", seed) for i, f in enumerate(few)]
        self.judges = alone
        looked = [*alone, *(_joined(few, how, seed) for how in JOINED)]
        made: list[Candidate] = []
        runs = [(name, view) for view in looked for name in SCOUTS]
        for name, view in progress(runs, "auto, spaces", leave=False):
            labels = np.asarray(HEADS[name](view, k, seed), np.int64)
            made.append(Candidate(name, view.name, labels, reason=collapse(labels, k)))
        known = {name: values[self.looked_at] for name, values in nuisances.items()}
        reject_nuisance_copies(made, known, k)
        thrown_out += [c for c in made if c.reason]
        able = [c for c in made if not c.reason] or made
        stand = self.density([c.labels for c in able])
        score = {view.name: [-1.0] for view in looked}
        for c, s in zip(able, stand, strict=True):
            score[c.view].append(float(s))
        best = sorted(score, key=lambda name: -max(score[name]))[:FINALISTS]
        ready = [power_and_white(s) for s in spaces] if any("+" in name for name in best) else []
        return [
            _joined(ready, how, seed) if len(parts) > 1 else View.of(spaces, parts, how, seed)
            for parts, how in map(View.named, best)
        ]

    def further(self, able: list[Candidate]) -> list[Candidate]:
        """What the clearest candidates have in common: consensuses of the best few and of more."""
        stand = self._judge(able)
        order, made = np.argsort(-stand, kind="stable"), []
        runs = [able[i].whole for i in order]
        for count in COUNTS:
            if count >= len(able):
                break
            whole = coassociation_consensus(runs[:count], self.k, self._seed)
            if not collapse(whole, self.k):
                few, view = whole[self.compared], able[order[0]].view
                made.append(Candidate(f"{CONSENSUS} {count}", view, few, whole=whole))
        return made

    def rank(self, able: list[Candidate], judges: list[View]) -> list[Candidate]:
        """How candidates stand: by how clear they are and how far the others agree."""
        assert self.pool is not None
        alone = np.array([not c.name.startswith(CONSENSUS) for c in able])
        alike = self.pool.agreement * alone
        np.fill_diagonal(alike, 0)
        self.stand = self._judge(able) + AGREED * scaled(alike.sum(1) / alone.sum())
        return []

    def _judge(self, able: list[Candidate]) -> np.ndarray:
        """How clear candidates are, (c,); sets both numbers of those that have none."""
        new = [c for c in able if CLARITY[0] not in c.numbers]
        found = self.clarity([c.whole for c in new if c.whole is not None])
        for c, numbers in zip(new, found, strict=True):
            c.numbers |= dict(zip(CLARITY, map(float, numbers), strict=True))
        table = np.array([[c.numbers[name] for name in CLARITY] for c in able])
        return np.sum([scaled(column) for column in table.T], axis=0)

    def clarity(self, labellings: list[np.ndarray]) -> np.ndarray:
        """How dense clusters are and how far apart with all spaces side by side, whitened: their
        modularity in the joint graph, and their mean silhouette by cosine distances, of the
        rows compared; (labellings, 2) float64 in [-1, 1].

        Parameters
        ----------
        labellings : list of ndarray of shape (n,), int
            Of all rows.
        """
        every = tuple(range(len(self._spaces)))
        view = next((v for v in self.views if (v.parts, v.how) == (every, "white")), None)
        view = view or View.of(self._spaces, every, "white", self._seed)
        rows = self.compared
        few = [np.unique(c[rows], return_inverse=True)[1] for c in labellings]
        apart = silhouettes(cosine_distances(view.rows[rows]), few)[:, 0]
        return np.column_stack([[purity(view.graph, c)[4] for c in labellings], apart])

    def density(self, labellings: list[np.ndarray]) -> np.ndarray:
        """Modularity in each space's graph, mean over spaces, (labellings,) float64 in [-0.5, 1].

        Parameters
        ----------
        labellings : list of ndarray of shape (m,), int
            Of the rows looked at.
        """
        return np.array([
            np.mean([purity(view.graph, c)[4] for view in self.judges]) for c in labellings
        ])  # fmt: skip


def _joined(ready: list[dict[Preparation, Prepared]], how: Preparation, seed: int) -> View:
    """All spaces side by side."""
    return View.made_of([r[how] for r in ready], tuple(range(len(ready))), how, seed)
