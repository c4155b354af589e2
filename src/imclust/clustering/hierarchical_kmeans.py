"""k-means of very many clusters through a level of fewer: each coarse cell is cut on its own, then
centres are moved by rows that compare those of their own and neighbouring cells only.

A pass costs NEAR n sqrt(k) distances where Lloyd's over all centres costs n k. Levels and samples
as in Vo et al. 2024 (Automatic Data Curation for Self-Supervised Learning), but from the top down;
cells get centres in proportion to their rows, as the best ones lie in many dimensions (Zador 1982).
"""

from __future__ import annotations

import numpy as np

from imclust.clustering.block_kmeans import Apply, Centres, coarse_cells
from imclust.core.log import progress
from imclust.core.shards import in_parallel

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

    def of(which: np.ndarray) -> np.ndarray:
        block = np.ascontiguousarray(rows[which], np.float32)
        return block if apply is None else apply(block)

    def cut(cell: int) -> tuple[np.ndarray, np.ndarray]:
        return _cut(of, members[cell], int(shares[cell]), seed + cell)

    found = list(in_parallel(range(len(members)), cut))
    points = np.concatenate([p for p, _ in found]).astype(np.float64)
    middles = np.stack([middle for _, middle in found])
    near = _nearest_cells(middles)
    origin = middles.mean(0)
    before = np.inf
    for number in range(1, PASSES + 1):
        fixed = points

        def sums(
            cell: int, points: np.ndarray = fixed
        ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
            rivals = np.concatenate([owned[c] for c in near[cell]])
            return rivals, *_sums(of(members[cell]), points[rivals])

        total, count, inertia = np.zeros_like(points), np.zeros(k, np.int64), 0.0
        title = f"hierarchical kmeans, pass {number}"
        bar = progress(None, title, total=len(rows), unit="row", leave=False)
        for (rivals, added, counts, far), of_cell in zip(
            in_parallel(range(len(members)), sums), members, strict=True
        ):
            total[rivals] += added
            count[rivals] += counts
            inertia += float(far)
            bar.update(len(of_cell))
        bar.close()
        if before - inertia <= STILL * inertia or number == PASSES:
            break
        before = inertia
        points = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], points)
    return Centres(points, origin, inertia, number)


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


def _cut(of: Apply, rows: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (k, d') of a cell's rows, by a sample of them, and their mean (d',)."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    few = rows if len(rows) <= SAMPLE * k else np.sort(rng.choice(rows, SAMPLE * k, replace=False))
    block = of(few)
    middle = block.mean(0, dtype=np.float64)
    if k == 1:
        return middle[None], middle
    solver = KMeans(k, n_init=1, max_iter=CUTS, random_state=seed).fit(block)
    return solver.cluster_centers_, middle


def _nearest_cells(middles: np.ndarray) -> np.ndarray:
    """The NEAR cells nearest to each, its own first: (cells, at most NEAR) int64."""
    squares = np.square(middles).sum(1)
    apart = squares[:, None] + squares - 2 * middles @ middles.T
    np.fill_diagonal(apart, -np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, :NEAR]


def _sums(block: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Sums (m, d') and counts (m,) of the rows nearest to each point, and their inertia."""
    from scipy.sparse import csr_array

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
