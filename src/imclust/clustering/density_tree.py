"""HDBSCAN over pairs: a tree of clusters by density, and the most stable of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

TINY = 1e-6  # least distance: what is at none is no denser than that
FARTHEST = 1.0  # distance of pairs with P(same) 0: where the whole group begins to be a cluster


@dataclass
class Branch:
    """A cluster of the tree: two rows at least, between its birth and its end.

    Parameters
    ----------
    parent : int
        Branch that it comes from, -1 for the whole.
    birth : float
        Distance at which it parts from its sibling.
    rows : list of int
        That leave it one by one; those of its children are theirs.
    stability : float
        Sum over its rows of 1 / distance where they leave it, less that of its birth.
    children : list of int
        Two branches or none.
    """

    parent: int
    birth: float
    rows: list[int] = field(default_factory=list)
    stability: float = 0.0
    children: list[int] = field(default_factory=list)


class DensityTree:
    """The tree of HDBSCAN (Campello, Moulavi and Sander 2013), of which a threshold cuts clusters.

    Distances are 1 - p, the density of a row is told by its nearest other row, and clusters have
    two rows at least.

    Parameters
    ----------
    p : np.ndarray
        (n, n) float, symmetric, n at least 2; minus infinity forbids, but may be broken.

    Examples
    --------
    >>> p = np.array([[1, 0.9, 0, 0], [0.9, 1, 0, 0], [0, 0, 1, 0.8], [0, 0, 0.8, 1]])
    >>> DensityTree(p).clusters(0.5).tolist()
    [0, 0, 1, 1]
    """

    def __init__(self, p: np.ndarray) -> None:
        self.n = len(p)
        self.branches = _branches(_reachability(p))
        self._chosen = _most_stable(self.branches)

    def clusters(self, threshold: float) -> np.ndarray:
        """The most stable clusters (n,) int64 from 0; rows of none have -1.

        Parameters
        ----------
        threshold : float
            On p, in (0, 1): clusters that part only above it stay together (Malzer and Baum 2020).
        """
        label = np.full(len(self.branches), -1)
        for c in self._chosen:
            while self.branches[c].parent >= 0 and self.branches[c].birth < 1 - threshold:
                c = self.branches[c].parent
            label[c] = c
        out = np.full(self.n, -1)
        for c, branch in enumerate(self.branches):  # parents come first
            if branch.parent >= 0 and label[branch.parent] >= 0:
                label[c] = label[branch.parent]
            out[branch.rows] = label[c]
        inside = out >= 0
        out[inside] = np.unique(out[inside], return_inverse=True)[1]
        return out


def _reachability(p: np.ndarray) -> np.ndarray:
    """Mutual reachability (n, n) float64: no nearer than either row's nearest other."""
    far = np.where(np.isfinite(p), 1 - p, 2 * FARTHEST).astype(np.float64)
    np.fill_diagonal(far, np.inf)
    core = far.min(1)
    far = np.maximum(far, np.maximum(core[:, None], core))
    np.fill_diagonal(far, 0)
    return far


def _branches(far: np.ndarray) -> list[Branch]:
    """The condensed tree, the whole first."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n = len(far)
    tree = linkage(squareform(far, checks=False), "single")
    sizes = np.r_[np.ones(n), tree[:, 3]]
    found = [Branch(-1, max(FARTHEST, float(tree[-1, 2])))]
    waiting = [(2 * n - 2, 0)]
    while waiting:
        node, c = waiting.pop()
        branch, distance = found[c], float(tree[node - n, 2])
        gained = 1 / max(distance, TINY) - 1 / branch.birth
        inner = [int(child) for child in tree[node - n, :2] if sizes[int(child)] > 1]
        leaving = [int(child) for child in tree[node - n, :2] if sizes[int(child)] == 1]
        branch.rows += leaving
        if len(inner) < 2:
            branch.stability += gained * len(leaving)
            waiting += [(child, c) for child in inner]
            continue
        branch.stability += gained * sizes[node]
        for child in inner:
            branch.children.append(len(found))
            waiting.append((child, len(found)))
            found.append(Branch(c, max(distance, TINY)))
    return found


def _most_stable(branches: list[Branch]) -> list[int]:
    """Branches of which none lies in another, with the largest sum of stabilities."""
    best = np.zeros(len(branches))
    chosen: dict[int, list[int]] = {}
    for c in reversed(range(len(branches))):
        below = float(best[branches[c].children].sum()) if branches[c].children else 0.0
        if branches[c].stability > 0 and branches[c].stability >= below:
            best[c], chosen[c] = branches[c].stability, [c]
        else:
            best[c] = below
            chosen[c] = [x for child in branches[c].children for x in chosen[child]]
    return chosen[0]
