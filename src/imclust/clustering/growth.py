"""A clustering that grows: later rows join the clusters that are there, or found one of their own.

What comes out is decided by the clustered rows and the set of later ones, never by the order or
the visits in which these came: whether a row fits, and which two belong together, is a matter of
the clustered rows and of those two alone. So groups of rows that fit nowhere only grow and join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imclust.clustering.blocks import LARGE, sample_rows
from imclust.clustering.clusterers._base import concatenate_views
from imclust.clustering.neighbors import nearest_neighbors
from imclust.clustering.placing import place_rows
from imclust.clustering.preprocessing import prepare

NEAR = 5  # clustered rows that say how far away a row lies
TYPICAL = 0.5  # quantile of the clustered rows' own distances: nearer is near
FEWEST = 6  # rows that are a cluster of their own
FOUND_SURE = 0.9  # posterior of a row in the cluster that it founds
MOST = 20_000  # rows that may fit nowhere, of which all pairs are compared


@dataclass(frozen=True)
class Grown:
    """Where later rows go.

    Parameters
    ----------
    probabilities : np.ndarray
        (m, k + new) float32 of the later rows, rows sum to one.
    founders : list[np.ndarray]
        Of each new cluster, in the order of their numbers, the later rows that found it.
    """

    probabilities: np.ndarray
    founders: list[np.ndarray]


def grow(
    old: list[np.ndarray],
    p: np.ndarray,
    new: list[np.ndarray],
    *,
    view: str | None = None,
    known: Sequence[int] = (),
    count: np.ndarray | None = None,
) -> Grown:
    """Place later rows among clustered ones, and open clusters for those that fit nowhere.

    Both in all spaces, each as unit vectors along the principal directions of the clustered rows.
    Of the clustered rows, the mean distance of each to the NEAR rows nearest to it is taken; their
    TYPICAL quantile is what is near here. A later row may fit nowhere where its own mean distance
    to the NEAR clustered rows nearest to it is above that. Two such rows belong together where they
    are nearer than that, and nearer to each other than either is to any clustered row; FEWEST rows
    that hang together by such links are a new cluster. Every other row is placed by the ten nearest
    rows, those of the new clusters included.

    Parameters
    ----------
    old, new : list[np.ndarray]
        The spaces, (n, d_v) of the clustered rows and (m, d_v) of the later ones.
    p : np.ndarray
        (n, k) float32, posteriors of the clustered rows; they stay as they are.
    view : str | None
        The view that rows are placed in, see `place_rows`.
    known : Sequence[int]
        Of each cluster that was opened before, in the order of its number, a row that founded it:
        it keeps its number. The others follow by size. -1 for a row that is gone.
    count : np.ndarray | None
        (m,) bool, which rows may found a cluster, all unless given: copies of others may not.

    Returns
    -------
    Grown
        Posteriors of the later rows and the new clusters.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = np.repeat(9 * np.eye(2, 8), 20, axis=0) + rng.normal(size=(40, 8))
    >>> new = np.repeat(9 * np.eye(8)[[0, 5]], 12, axis=0) + rng.normal(size=(24, 8))
    >>> grown = grow([old], np.repeat(np.eye(2, dtype=np.float32), 20, axis=0), [new])
    >>> np.bincount(grown.probabilities.argmax(1)).tolist()
    [12, 0, 12]
    """
    groups = _groups(old, new, np.ones(len(new[0]), bool) if count is None else count)
    founders = _numbered(groups, known)
    k, added = p.shape[1], len(founders)
    rest = np.ones(len(new[0]), bool)
    own = np.zeros((len(new[0]), k + added), np.float32)
    for c, rows in enumerate(founders):
        rest[rows] = False
        own[rows] = (1 - FOUND_SURE) / max(1, k + added - 1)
        own[rows, k + c] = FOUND_SURE
    if rest.any():
        wide = np.pad(p, ((0, 0), (0, added)))
        there = [np.vstack([a, b[~rest]]) if added else a for a, b in zip(old, new, strict=True)]
        placed = [b[rest] for b in new]
        own[rest] = place_rows(view, there, placed, np.vstack([wide, own[~rest]]))
    return Grown(own, founders)


def join_base(
    p: np.ndarray,
    known: np.ndarray,
    digests: np.ndarray,
    spaces: list[np.ndarray],
    *,
    view: str | None = None,
    opened: Sequence[str] = (),
    copies: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> tuple[np.ndarray, list[str]]:
    """Posteriors of all images of a folder of which some are clustered, see `grow`.

    Parameters
    ----------
    p : np.ndarray
        (b, k) float32, posteriors of the clustered images.
    known : np.ndarray
        (n,) int64, which of these each image is, -1 for later ones.
    digests : np.ndarray
        (n,) str, of their bytes: equal ones go to one place and count once.
    spaces : list[np.ndarray]
        (n, d_v) each.
    view : str | None
        See `place_rows`.
    opened : Sequence[str]
        Of each cluster that was opened before, the digest of an image that founded it.
    copies : tuple[Sequence[int], Sequence[int]]
        Images that are copies of others, and whose: later ones go there, and found nothing.

    Returns
    -------
    tuple[np.ndarray, list[str]]
        (n, k + new) float32; of each new cluster the digest of a founder, "" for an empty one.

    Examples
    --------
    >>> x = np.array([[1, 0.0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.2]], np.float32)
    >>> known, names = np.array([0, 1, 2, 3, -1]), np.array(list("abcde"))
    >>> q, opened = join_base(np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], known, names, [x])
    >>> q.argmax(1).tolist(), opened
    ([0, 0, 1, 1, 0], [])
    """
    there, later = known >= 0, digests[known < 0].tolist()
    first = {d: row for row, d in reversed(list(enumerate(later)))}
    count = np.zeros(len(later), bool)
    count[list(first.values())] = True
    count &= ~np.isin(np.flatnonzero(~there), copies[0])
    old, new = [x[there] for x in spaces], [x[~there] for x in spaces]
    founders = [first.get(d, -1) for d in opened]
    found = grow(old, p[known[there]], new, view=view, known=founders, count=count)
    q = np.empty((len(known), found.probabilities.shape[1]), np.float32)
    q[there] = np.pad(p[known[there]], ((0, 0), (0, len(found.founders))))
    q[~there] = found.probabilities[[first[d] for d in later]]
    for row, of in zip(*copies, strict=True):
        if not there[row]:
            q[row] = q[of]
    return q, [later[rows[0]] if len(rows) else "" for rows in found.founders]


def _groups(old: list[np.ndarray], new: list[np.ndarray], count: np.ndarray) -> list[np.ndarray]:
    """Later rows that hang together and fit nowhere, FEWEST or more of them each."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if count.sum() < FEWEST or len(old[0]) <= NEAR:
        return []
    few = sample_rows(len(old[0]), LARGE, 0) if len(old[0]) > LARGE else slice(None)
    made = [prepare(np.asarray(x[few]), "pca") for x in old]
    rows = concatenate_views([m.rows for m in made])
    later = concatenate_views([m.apply(x) for m, x in zip(made, new, strict=True)])
    _, own = nearest_neighbors(rows, rows, NEAR, same=True)
    _, far = nearest_neighbors(later, rows, NEAR)
    typical = np.quantile(own.mean(1), TYPICAL)
    unfit = np.flatnonzero(count & (far.mean(1) > typical))
    if len(unfit) > MOST:  # those that fit least
        unfit = np.sort(unfit[np.argsort(-far[unfit].mean(1), kind="stable")[:MOST]])
    z, reach = later[unfit], np.minimum(far[unfit, 0], typical)
    pairs = []
    for a in range(0, len(z), 1024):
        block = z[a : a + 1024]
        square = (block**2).sum(1)[:, None] + (z**2).sum(1) - 2 * block @ z.T
        near = np.minimum(reach[a : a + 1024, None], reach)
        i, j = np.nonzero(square < near**2)
        pairs.append(np.stack([i + a, j]))
    i, j = np.hstack(pairs) if pairs else np.zeros((2, 0), np.int64)
    graph = coo_matrix((np.ones(len(i), bool), (i, j)), shape=(len(z), len(z)))
    _, group = connected_components(graph, directed=False)
    sizes = np.bincount(group, minlength=1)
    return [unfit[group == g] for g in np.flatnonzero(sizes >= FEWEST)]


def _numbered(groups: list[np.ndarray], known: Sequence[int]) -> list[np.ndarray]:
    """The groups in the order of their numbers: those known first; empty for one that is no more,
    or has become part of another."""
    left = list(range(len(groups)))
    out = []
    for row in known:
        mine = next((g for g in left if row in groups[g]), None)
        if mine is not None:
            left.remove(mine)
        out.append(groups[mine] if mine is not None else np.zeros(0, np.int64))
    left.sort(key=lambda g: (-len(groups[g]), int(groups[g][0])))
    return out + [groups[g] for g in left]
