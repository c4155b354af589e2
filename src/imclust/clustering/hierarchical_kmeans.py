"""k-means of very many clusters through a level of fewer: each coarse cell is cut on its own, then
centres are moved by rows that compare those of their own and neighbouring cells only.

A pass costs NEAR n sqrt(k) distances where Lloyd's over all centres costs n k. Levels and samples
as in Vo et al. 2024 (Automatic Data Curation for Self-Supervised Learning), but from the top down;
cells get centres in proportion to their rows, as the best ones lie in many dimensions (Zador 1982).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imclust.clustering.block_kmeans import Apply, Centres, coarse_cells
from imclust.core.log import progress
from imclust.core.shards import MappedRows, is_elsewhere, over_items

NEAR = 6  # cells whose centres a row is compared with, its own included
SAMPLE = 64  # rows a centre that a cell is cut by, drawn from its own
CUTS = 10  # passes of k-means within a cell
PASSES = 10  # over all rows at most
STILL = 1e-4  # of the inertia: a pass that wins less is the last


def hierarchical_kmeans(
    rows: np.ndarray, k: int, seed: int = 0, apply: Apply | None = None
) -> Centres:
    """Centres of k clusters, for k from some hundreds to a hundred thousand.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float, memory-mapped or not; n at least k.
    k : int
        Clusters.
    seed : int, optional
        Of samples and starts.
    apply : Callable, optional
        Prepares rows (m, d) -> (m, d') float32.

    Returns
    -------
    Centres
        (k, d') in the prepared space. The inertia is that within neighbouring cells: a bound from
        above of that at the nearest of all centres.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    >>> hierarchical_kmeans(rows, 50).points.shape
    (50, 3)
    """
    _, cells = coarse_cells(rows, max(1, round(k**0.5)), seed, apply)
    order, sizes = np.argsort(cells, kind="stable"), np.bincount(cells)
    members = [m for m in np.split(order, np.cumsum(sizes)[:-1]) if len(m)]
    shares = proportional_counts(np.array([len(m) for m in members]), k)
    ends = np.cumsum(shares)
    owned = [np.arange(end - share, end) for end, share in zip(ends, shares, strict=True)]

    sources = [_source(rows, m) for m in members]
    pieces = zip(sources, shares.tolist(), range(seed, seed + len(members)), strict=True)
    found = list(over_items([[*source, share, s] for source, share, s in pieces], _cut, apply))
    points = np.concatenate([p for p, _ in found]).astype(np.float64)
    middles = np.stack([middle for _, middle in found])
    near = nearest_cells(middles)
    rivals = [np.concatenate([owned[c] for c in cells]) for cells in near]
    items = [[*source, mine] for source, mine in zip(sources, rivals, strict=True)]
    origin = middles.mean(0)
    before = np.inf
    for number in range(1, PASSES + 1):
        total, count, inertia = np.zeros_like(points), np.zeros(k, np.int64), 0.0
        title = f"hierarchical kmeans, pass {number}"
        bar = progress(None, title, total=len(rows), unit="row", leave=False)
        for mine, of_cell, (added, counts, far) in zip(
            rivals, members, over_items(items, _sums, points, apply), strict=True
        ):
            total[mine] += added
            count[mine] += counts
            inertia += float(far)
            bar.update(len(of_cell))
        bar.close()
        if before - inertia <= STILL * inertia or number == PASSES:
            break
        before = inertia
        points = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], points)
    return Centres(points, origin, inertia, number)


def _source(rows: np.ndarray, members: np.ndarray) -> list[Any]:
    """A cell's rows as they travel: all rows and which of them, or these alone."""
    if not is_elsewhere():
        return [rows, members]
    mapped = MappedRows.of(rows)
    return [np.ascontiguousarray(rows[members]), None] if mapped is None else [mapped, members]


def _block(rows: np.ndarray, members: np.ndarray | None, apply: Apply | None) -> np.ndarray:
    block = np.ascontiguousarray(rows if members is None else rows[members], np.float32)
    return block if apply is None else apply(block)


def proportional_counts(sizes: np.ndarray, total: int) -> np.ndarray:
    """How many of `total` centres each cell gets, in proportion to its rows: (cells,) int64.

    Parameters
    ----------
    sizes : np.ndarray
        (cells,) int >= 1; their sum is at least `total`, which is at least their number.
    total : int
        To be shared out; every cell gets one at least, and none more than it has rows.

    Examples
    --------
    >>> proportional_counts(np.array([1, 4, 15]), 10).tolist()
    [1, 2, 7]
    """
    counts = np.clip(np.floor(sizes * (total / sizes.sum())), 1, sizes).astype(np.int64)
    while (left := total - int(counts.sum())) != 0:
        want = sizes * (total / sizes.sum()) - counts
        want[counts >= sizes if left > 0 else counts <= 1] = -np.inf if left > 0 else np.inf
        chosen = np.argsort(-want if left > 0 else want, kind="stable")[: abs(left)]
        chosen = chosen[np.isfinite(want[chosen])]
        counts[chosen] += np.sign(left)
    return counts


def _cut(item: list[Any], apply: Apply | None) -> tuple[np.ndarray, np.ndarray]:
    """Centres (k, d') of a cell's rows, by a sample of them, and their mean (d',)."""
    from sklearn.cluster import KMeans

    rows, members, k, seed = item
    which = np.arange(len(rows)) if members is None else members
    if len(which) > SAMPLE * k:
        drawn = np.random.default_rng(seed).choice(len(which), SAMPLE * k, replace=False)
        which = which[np.sort(drawn)]
    block = _block(rows, which, apply)
    middle = block.mean(0, dtype=np.float64)
    if k == 1:
        return middle[None], middle
    solver = KMeans(k, n_init=1, max_iter=CUTS, random_state=seed).fit(block)
    return solver.cluster_centers_, middle


def nearest_cells(middles: np.ndarray, near: int = NEAR) -> np.ndarray:
    """The cells nearest to each of `middles` (cells, d), its own first: (cells, at most `near`)
    int64.

    Examples
    --------
    >>> nearest_cells(np.array([[0.0], [1.0], [9.0]])).tolist()
    [[0, 1, 2], [1, 0, 2], [2, 1, 0]]
    """
    squares = np.square(middles).sum(1)
    apart = squares[:, None] + squares - 2 * middles @ middles.T
    np.fill_diagonal(apart, -np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, :near]


def _sums(
    item: list[Any], centres: np.ndarray, apply: Apply | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Sums (m, d') and counts (m,) of a cell's rows nearest to each of m of the centres, and their
    inertia."""
    from scipy.sparse import csr_array

    source, members, mine = item
    points = centres[mine]
    block = _block(source, members, apply)
    middle = points.mean(0)
    rows, about = block - middle.astype(np.float32), (points - middle).astype(np.float32)
    half = np.square(about).sum(1) / 2
    sums, counts, inertia = np.zeros_like(points), np.zeros(len(points), np.int64), 0.0
    for a in range(0, len(rows), 2048):
        part = rows[a : a + 2048]
        scores = half - part @ about.T
        labels = scores.argmin(1)
        best = 2 * scores[np.arange(len(part)), labels] + np.square(part).sum(1)
        inertia += float(np.maximum(best, 0).sum(dtype=np.float64))
        n = len(part)
        hot = csr_array((np.ones(n), (labels, np.arange(n))), (len(points), n))
        sums += hot @ block[a : a + 2048]
        counts += np.bincount(labels, minlength=len(points))
    return sums, counts, inertia
