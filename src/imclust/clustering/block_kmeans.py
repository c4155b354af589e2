"""k-means of many rows: starts on a sample, Lloyd's algorithm over all rows in blocks.

A pass is one product of matrices a block. Sums and counts are kept in float64 and added in the
order of the blocks, and these of shards in theirs, so that the centres are the same bytes whatever
the number of threads and of machines.

Examples
--------
>>> side = 9 * np.repeat([0, 1], 40)[:, None]
>>> x = (side + np.random.default_rng(0).standard_normal((80, 3))).astype(np.float32)
>>> centres = Centres(np.array([[0.0, 0, 0], [9, 9, 9]]), x.mean(0, dtype=np.float64))
>>> [sums.counts.tolist() for sums in (one_pass(x, centres), shard_sums(x[:50], centres))]
[[40, 40], [40, 10]]
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from imclust.clustering.blocks import each_block, sample_rows
from imclust.core.log import progress
from imclust.core.shards import one_thread_each, over_shards

SAMPLE = 10_000  # rows that the best starts go on with, at least
A_CENTRE = 128  # rows of the sample for each centre
FEW, A_START = 1280, 64  # of it, rows that starts are tried on: at least, and for each centre
TRIED, KEPT = 5, 5  # passes of a start on these, which tell good ones; how many go on
A_CELL, CELL_PASSES = 32, 10  # rows of the sample for each of many cells, and passes over it
PASSES = 100  # over all rows at most
STILL = 1e-5  # of the inertia: a pass that wins less is the last
Apply: TypeAlias = "Callable[[np.ndarray], np.ndarray]"


@dataclass(frozen=True)
class Centres:
    """What k-means found.

    Parameters
    ----------
    points : np.ndarray
        (k, d) float64.
    origin : np.ndarray
        (d,) float64, a point amid the rows: distances from it are small, and lose less in float32.
    inertia : float
        Sum of squared distances of all rows to their nearest centre.
    passes : int
        Over all rows that it took.
    """

    points: np.ndarray
    origin: np.ndarray
    inertia: float = 0.0
    passes: int = 0

    def moved_to(self, points: np.ndarray) -> Centres:
        """Other points about the same origin."""
        return Centres(points, self.origin)

    def scores(self, block: np.ndarray) -> np.ndarray:
        """Squared distance of rows (m, d) float32 to every centre, less that to the origin:
        (m, k) float32."""
        from_origin = self.points - self.origin
        constant = np.square(from_origin).sum(1) + 2 * from_origin @ self.origin
        found = block @ (-2 * from_origin).astype(np.float32).T
        found += constant.astype(np.float32)
        return found

    def from_origin(self, block: np.ndarray) -> np.ndarray:
        """Squared distance of rows (m, d) to the origin: (m,) float32."""
        apart = block - self.origin.astype(np.float32)
        return np.einsum("ij,ij->i", apart, apart)

    def squared_distances(self, block: np.ndarray) -> np.ndarray:
        """Squared distance of rows (m, d) to every centre: (m, k) float32, at least 0."""
        return np.maximum(self.scores(block) + self.from_origin(block)[:, None], 0)


@dataclass(frozen=True)
class BlockSums:
    """What a block, or all rows, say of the next centres.

    Parameters
    ----------
    sums : np.ndarray
        (k, d) float64, of the rows of each cluster.
    counts : np.ndarray
        (k,) int64.
    score : float
        Sum over rows of their least `scores`.
    far : np.ndarray
        (at most k, d) float32, the rows farthest from their centres, farthest first: where centres
        that lost all their rows go.
    apart : np.ndarray
        (at most k,) float32, how far these lie.
    """

    sums: np.ndarray
    counts: np.ndarray
    score: float
    far: np.ndarray
    apart: np.ndarray

    def plus(self, other: BlockSums) -> BlockSums:
        """Both, of rows of which the other's come later."""
        apart = np.concatenate([self.apart, other.apart])
        order = np.argsort(-apart, kind="stable")[: len(self.counts)]
        far, apart = np.concatenate([self.far, other.far])[order], apart[order]
        sums, counts = self.sums + other.sums, self.counts + other.counts
        return BlockSums(sums, counts, self.score + other.score, far, apart)

    def means(self) -> np.ndarray:
        """The next centres (k, d) float64; those without rows go to the rows in `far`."""
        points = self.sums / np.maximum(self.counts, 1)[:, None]
        empty = np.flatnonzero(self.counts == 0)
        points[empty] = self.far[: len(empty)]
        return points


def block_sums(block: np.ndarray, centres: Centres, *, far: bool = False) -> BlockSums:
    """One block's part of a pass.

    Parameters
    ----------
    block : np.ndarray
        (m, d) float32.
    centres : Centres
        The k present ones.
    far : bool, optional
        Also find the rows that lie farthest, where a centre stands without rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = (rng.standard_normal((80, 3)) + 9 * (np.arange(80)[:, None] >= 40)).astype(np.float32)
    >>> centres = Centres(np.array([[0.0, 0, 0], [9, 9, 9]]), x.mean(0, dtype=np.float64))
    >>> block_sums(x, centres).counts.tolist()
    [40, 40]
    """
    from scipy.sparse import csr_array

    scores = centres.scores(block)
    labels = scores.argmin(1)
    best = np.take_along_axis(scores, labels[:, None], 1)[:, 0]
    m, (k, d) = len(block), centres.points.shape
    hot = csr_array((np.ones(m), (labels, np.arange(m))), (k, m))
    apart, rows = np.empty(0, np.float32), np.empty((0, d), np.float32)
    if far:
        apart = best + centres.from_origin(block)
        order = np.argsort(-apart, kind="stable")[:k]
        apart, rows = apart[order], block[order]
    counts = np.bincount(labels, minlength=k)
    return BlockSums(hot @ block, counts, float(best.sum(dtype=np.float64)), rows, apart)


def kmeans_in_blocks(
    rows: np.ndarray, k: int, restarts: int, seed: int, apply: Apply | None = None
) -> Centres:
    """k-means of many rows.

    Starts are tried with scikit-learn's k-means++ and a few passes of Lloyd on a part of a sample,
    the best of them to their end on the sample of at least A_CENTRE rows a centre; the best of
    these goes on over all rows until a pass wins less than STILL of the inertia.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float16, float32 or float64, memory-mapped or not; read in blocks.
    k : int
        Clusters.
    restarts : int
        Starts on the sample.
    seed : int
        Of the sample and the starts.
    apply : Callable, optional
        Prepares a block (m, d) -> (m, d') float32; nothing without.

    Returns
    -------
    Centres
        In the prepared space.

    Examples
    --------
    >>> rows = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    >>> kmeans_in_blocks(rows, 3, restarts=2, seed=0).points.shape
    (3, 3)
    """
    centres = _start_on_sample(rows, k, restarts, seed, apply)
    total = sum_of_squares(rows, centres, apply)
    before = np.inf
    for number in range(1, PASSES + 1):
        title = f"kmeans, pass {number}"
        found = one_pass(rows, centres, apply, title)
        if (found.counts == 0).any():
            found = one_pass(rows, centres, apply, title, far=True)
        inertia = max(total + found.score, 0.0)
        still = before - inertia <= STILL * inertia and found.counts.all()
        if still or number == PASSES:
            break
        before, centres = inertia, centres.moved_to(found.means())
    return Centres(centres.points, centres.origin, inertia, number)


def _start_on_sample(
    rows: np.ndarray, k: int, restarts: int, seed: int, apply: Apply | None = None
) -> Centres:
    """The best of some starts on a sample of the rows (n, d), and the sample's mean as origin."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    chosen = sample_rows(len(rows), max(SAMPLE, A_CENTRE * k), seed)
    few = np.asarray(rows[chosen], np.float32)
    few = few if apply is None else apply(few)
    # k-means++ costs more than the passes do, and its starts differ after some of these already.
    fewer = few[sample_rows(len(few), max(FEW, A_START * k), seed)] if restarts > 1 else few
    seeds = np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=restarts)
    with warnings.catch_warnings(), one_thread_each():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tried = [KMeans(k, n_init=1, max_iter=TRIED, random_state=s).fit(fewer) for s in seeds]
        best = sorted(tried, key=lambda solver: solver.inertia_)[:KEPT]
        ends = [KMeans(k, n_init=1, init=solver.cluster_centers_).fit(few) for solver in best]
    points = min(ends, key=lambda solver: solver.inertia_).cluster_centers_
    return Centres(points.astype(np.float64), few.mean(0, dtype=np.float64))


def coarse_cells(
    rows: np.ndarray, count: int, seed: int = 0, apply: Apply | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Many small cells of rows: centres of a few passes over a sample, and every row's nearest.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float, read in blocks.
    count : int
        Cells, at most n; some may be empty.
    seed : int, optional
        Of the sample and the start.
    apply : Callable, optional
        Prepares a block (m, d) -> (m, d') float32.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Centres (count, d') float32 and the cell of each row (n,) int64.

    Examples
    --------
    >>> rows = np.repeat(np.eye(3, dtype=np.float32), 50, axis=0)
    >>> centres, cells = coarse_cells(rows, 3)
    >>> centres.shape, cells.shape
    ((3, 3), (150,))
    """
    from sklearn.cluster import KMeans

    few = np.asarray(rows[sample_rows(len(rows), A_CELL * count, seed)], np.float32)
    few = few if apply is None else apply(few)
    with one_thread_each():
        solver = KMeans(count, n_init=1, max_iter=CELL_PASSES, random_state=seed).fit(few)
    centres = solver.cluster_centers_.astype(np.float32)
    return centres, nearest_centres(rows, centres, apply)


def nearest_centres(
    rows: np.ndarray, centres: np.ndarray, apply: Apply | None = None
) -> np.ndarray:
    """The nearest of centres (k, d') of each row (n, d): (n,) int64.

    Parameters
    ----------
    rows : np.ndarray
        (n, d), also memory-mapped.
    centres : np.ndarray
        (k, d').
    apply : callable, optional
        Prepares a block (b, d) -> (b, d').

    Examples
    --------
    >>> nearest_centres(np.array([[0.1], [0.9]]), np.array([[0.0], [1.0]]))
    array([0, 1])
    """
    found = [part for _, part in over_shards(rows, _nearest_of_shard, centres, apply)]
    return np.concatenate(found)


def _nearest_of_shard(rows: np.ndarray, centres: np.ndarray, apply: Apply | None) -> np.ndarray:
    half = np.square(centres).sum(1) / 2

    def work(block: np.ndarray) -> np.ndarray:
        ready = block if apply is None else apply(block)
        return (ready @ centres.T - half).argmax(1)

    return np.concatenate([labels for _, labels in each_block(rows, work)])


def one_pass(
    rows: np.ndarray,
    centres: Centres,
    apply: Apply | None = None,
    what: str = "",
    *,
    far: bool = False,
) -> BlockSums:
    """The sums of all rows, added shard by shard in their order.

    Parameters
    ----------
    rows : np.ndarray
        (n, d), also memory-mapped.
    centres : Centres
        As they are.
    apply : callable, optional
        Prepares a block before it is measured.
    what : str
        Name on the progress bar; "" for none.
    far : bool
        Whether the rows farthest from their centres are kept, too.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [8.0]], np.float32)
    >>> centres = Centres(np.array([[0.0], [9.0]]), rows.mean(0, dtype=np.float64))
    >>> found = one_pass(rows, centres)
    >>> found.counts.tolist(), found.sums.ravel().tolist()
    ([2, 1], [1.0, 8.0])
    """
    bar = progress(None, what, total=len(rows), unit="row", leave=False) if what else None
    found = nothing_yet(centres)
    for place, part in over_shards(rows, shard_sums, centres, apply, far):
        found = found.plus(part)
        if bar is not None:
            bar.update(place.stop - place.start)
    if bar is not None:
        bar.close()
    return found


def shard_sums(
    rows: np.ndarray, centres: Centres, apply: Apply | None = None, far: bool = False
) -> BlockSums:
    """The sums of a shard (m, d), added block by block in their order; arguments as for `one_pass`.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [8.0]], np.float32)
    >>> centres = Centres(np.array([[0.0], [9.0]]), rows.mean(0, dtype=np.float64))
    >>> shard_sums(rows, centres, far=True).far.ravel().tolist()
    [1.0, 8.0]
    """

    def work(block: np.ndarray) -> BlockSums:
        return block_sums(block if apply is None else apply(block), centres, far=far)

    found = nothing_yet(centres)
    for _, part in each_block(rows, work):
        found = found.plus(part)
    return found


def nothing_yet(centres: Centres) -> BlockSums:
    """The sums of no rows.

    Examples
    --------
    >>> nothing_yet(Centres(np.zeros((2, 3)), np.zeros(3))).counts.tolist()
    [0, 0]
    """
    k, d = centres.points.shape
    far = np.empty((0, d), np.float32), np.empty(0, np.float32)
    return BlockSums(np.zeros((k, d)), np.zeros(k, np.int64), 0.0, *far)


def sum_of_squares(rows: np.ndarray, centres: Centres, apply: Apply | None = None) -> float:
    """Sum of the squared distances of all rows (n, d) to the origin of the centres.

    Parameters
    ----------
    rows : np.ndarray
        (n, d), also memory-mapped.
    centres : Centres
        Whose origin.
    apply : callable, optional
        Prepares a block before it is measured.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [8.0]], np.float32)
    >>> sum_of_squares(rows, Centres(np.array([[0.0], [9.0]]), origin=np.array([3.0])))
    38.0
    """

    def work(block: np.ndarray) -> float:
        ready = block if apply is None else apply(block)
        return float(centres.from_origin(ready).sum(dtype=np.float64))

    return sum(part for _, part in each_block(rows, work))
