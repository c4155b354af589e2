"""The heads that `auto` runs on a view: (view, k, seed) -> clusters (n,) int64 in [0, k).

Half of them favour even clusters (k-means, Ward, SCAN), half take sizes as they come (average
linkage, HDBSCAN, mixtures with free weights, communities, merges on the graph).

Examples
--------
>>> from imclust.clustering.views import View
>>> side = 9 * np.repeat([-1, 1], 30)[:, None]
>>> x = (side + np.random.default_rng(0).standard_normal((60, 4))).astype(np.float32)
>>> view = View.of([x], (0,), "power", 0)
>>> names = ("kmeans", "diffusion", "spectral", "layout ward", "graph merge")
>>> {tuple(np.bincount(HEADS[name](view, 2, 0)).tolist()) for name in names}
{(30, 30)}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from imclust.clustering.graph_merging import merge_by_graph
from imclust.clustering.neighbor_graph import smooth_features, spectral_labels
from imclust.clustering.ward import merge_to_k

if TYPE_CHECKING:
    from imclust.clustering.views import View

Head: TypeAlias = "Callable[[View, int, int], np.ndarray]"
MOST_ROWS = 3000  # rows that a slow head is fitted to, in proportion to what it costs
PARTS = 4  # small clusters for each wanted one, before they are merged
HALVINGS = 10  # of the range of Leiden's resolution


def kmeans_labels(rows: np.ndarray, k: int, seed: int, restarts: int) -> np.ndarray:
    """k-means (Lloyd 1982) of rows (n, d), the best of some starts; fewer clusters where fewer
    rows differ.

    Parameters
    ----------
    rows : np.ndarray
        (n, d) float.
    k : int
        Clusters.
    seed : int
        Of the starts.
    restarts : int
        How many there are.

    Examples
    --------
    >>> kmeans_labels(np.array([[0.0], [0.1], [5.0], [5.1]]), 2, seed=0, restarts=2)
    array([1, 1, 0, 0])
    """
    from sklearn.cluster import KMeans

    most = _distinct(rows, k)
    return KMeans(most, n_init=restarts, random_state=seed).fit_predict(rows).astype(np.int64)


def _distinct(rows: np.ndarray, most: int) -> int:
    """How many rows differ, counted up to `most`."""
    if len(np.unique(rows[: 4 * most], axis=0)) >= most:
        return most
    return min(most, len(np.unique(rows, axis=0)))


def _kmeans(view: View, k: int, seed: int) -> np.ndarray:
    """k-means on the rows."""
    return kmeans_labels(view.rows, k, seed, 2)


def _diffusion(view: View, k: int, seed: int) -> np.ndarray:
    """k-means on rows drawn towards their neighbours."""
    return kmeans_labels(smooth_features(view.graph, view.rows), k, seed, 2)


def _spectral(view: View, k: int, seed: int) -> np.ndarray:
    """Spectral clusters of the graph (Ng, Jordan and Weiss 2001)."""
    vectors = view.eigenvectors(k)
    if vectors.shape[1] < k:  # as many clusters as rows
        return _layout_ward(view, k, seed)
    return spectral_labels(vectors, k)


def _layout_kmeans(view: View, k: int, seed: int) -> np.ndarray:
    """k-means in the layout."""
    return kmeans_labels(view.layout, k, seed, 5)


def _layout_ward(view: View, k: int, seed: int) -> np.ndarray:
    """Ward's tree (1963) in the layout, as Lowe et al. 2024 have it."""
    return view.ward.cut(k)


def _layout_average(view: View, k: int, seed: int) -> np.ndarray:
    """Average linkage (Sokal and Michener 1958) in the layout."""
    return view.average.cut(k)


def _layout_average_large(view: View, k: int, seed: int) -> np.ndarray:
    """Average linkage in the layout, small branches joined to their neighbours."""
    return view.average.cut_without_small(k)


def _layout_mixture(view: View, k: int, seed: int) -> np.ndarray:
    """Gaussians of free weight and shape in the layout (Dempster, Laird and Rubin 1977)."""
    return _mixture(view.layout, k, seed, "full")


def _mixture(rows: np.ndarray, k: int, seed: int, shape: str) -> np.ndarray:
    from sklearn.mixture import GaussianMixture

    floor = max(1e-2 * float(rows.var(0).mean()), 1e-9)
    solver = GaussianMixture(
        k, covariance_type=shape, reg_covar=floor, max_iter=50, random_state=seed
    )
    return solver.fit_predict(rows.astype(np.float64)).astype(np.int64)


def _layout_hdbscan(view: View, k: int, seed: int) -> np.ndarray:
    """HDBSCAN (Campello, Moulavi and Sander 2013) in the layout.

    Of four least sizes the one whose number of groups is the least above k, merged as Ward does;
    noise joins the nearest row that has a group.
    """
    from sklearn.cluster import HDBSCAN

    from imclust.clustering.neighbors import nearest_neighbors

    rows = view.layout[:: -(-len(view.layout) // MOST_ROWS)]
    found: list[tuple[int, np.ndarray]] = []
    for share in (0.04, 0.02, 0.01, 0.005):
        least = max(2, min(int(share * len(rows)), len(rows) // (2 * k)))
        groups = HDBSCAN(min_cluster_size=least, min_samples=min(5, least), copy=True).fit_predict(
            rows
        )
        count = int(groups.max()) + 1
        found.append((count, groups))
        if count >= k:
            break
    count, groups = found[-1] if found[-1][0] >= k else max(found, key=lambda f: f[0])
    if count < 2:
        return _layout_ward(view, k, seed)
    known = groups >= 0
    near, _ = nearest_neighbors(view.layout, rows[known], 1)
    labels = groups[known][near[:, 0]].astype(np.int64)
    return split_to_k(merge_to_k(labels, view.layout, k), view.layout, k, seed)


def split_to_k(labels: np.ndarray, rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Halve the widest group (n,) by k-means until there are k.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int from 0, of fewer than k groups.
    rows : np.ndarray
        (n, d) float, in which they are wide or narrow.
    k : int
        Clusters.
    seed : int
        Of k-means.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    >>> split_to_k(np.array([0, 0, 0, 0, 1]), rows, 3, seed=0)
    array([2, 2, 0, 0, 1])
    """
    labels = labels.copy()
    for found in range(int(labels.max()) + 1, k):
        spread = [
            float(((rows[labels == c] - rows[labels == c].mean(0)) ** 2).sum())
            for c in range(found)
        ]
        widest = np.flatnonzero(labels == int(np.argmax(spread)))
        halves = kmeans_labels(rows[widest], 2, seed, 1)
        labels[widest[halves == 1]] = found
    return labels


def _graph_merge(view: View, k: int, seed: int) -> np.ndarray:
    """Many small clusters of the layout, merged by how strongly the graph joins them."""
    parts = min(max(PARTS * k, 40), len(view.layout) // 3)
    if parts <= k:
        return _layout_ward(view, k, seed)
    small = kmeans_labels(view.layout, parts, seed, 1)
    if len(np.unique(small)) < k:  # hardly any rows differ
        return _layout_ward(view, k, seed)
    return merge_by_graph(small, view.graph, k)


def leiden(view: View, k: int, seed: int) -> np.ndarray:
    """Leiden communities (Traag, Waltman and van Eck 2019), resolution searched to k.

    Parameters
    ----------
    view : View
        Whose neighbour graph is divided.
    k : int
        Clusters.
    seed : int
        Of the moves.

    Returns
    -------
    np.ndarray
        (n,) int64 in [0, k).

    Examples
    --------
    >>> from imclust.clustering.views import View
    >>> x = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0], [9]], 30, axis=0)
    >>> leiden(View.of([x.astype(np.float32)], (0,), "pca"), k=2, seed=0)[[0, 1, 30, 31]].tolist()
    [1, 1, 0, 0]
    """
    from imclust.clustering.clusterers.leiden import communities

    low, high = 0.02, 20.0 + k
    best: np.ndarray | None = None
    for _ in range(HALVINGS):
        resolution = (low * high) ** 0.5
        labels = communities(view.graph, resolution, seed)
        found = int(labels.max()) + 1
        if found >= k and (best is None or found <= int(best.max()) + 1):
            best = labels
        if found == k:
            break
        low, high = (resolution, high) if found < k else (low, resolution)
    if best is None:
        return _graph_merge(view, k, seed)
    return merge_by_graph(best, view.graph, k)


def scan(view: View, k: int, seed: int) -> np.ndarray:
    """SCAN's heads on the rows (Van Gansbeke et al. 2020); arguments and result as for `leiden`.

    Examples
    --------
    >>> from imclust.clustering.views import View
    >>> x = np.random.default_rng(0).normal(size=(12, 4)) + np.repeat([[0], [9]], 6, axis=0)
    >>> len(np.unique(scan(View.of([x.astype(np.float32)], (0,), "pca"), k=2, seed=0)))
    2
    """
    from imclust.clustering.scan_heads import ScanPlan, scan_heads

    found = scan_heads(view.rows, k, ScanPlan(heads=5, steps=400), seed)
    return found.posteriors(view.rows).argmax(1).astype(np.int64)


CHEAP: dict[str, Head] = {"kmeans": _kmeans, "diffusion": _diffusion, "spectral": _spectral}
LAYOUT: dict[str, Head] = {
    "layout kmeans": _layout_kmeans,
    "layout ward": _layout_ward,
    "layout average": _layout_average,
    "layout average large": _layout_average_large,
    "layout mixture": _layout_mixture,
    "layout hdbscan": _layout_hdbscan,
    "graph merge": _graph_merge,
}
SLOW: dict[str, Head] = {"leiden": leiden, "scan": scan}
HEADS: dict[str, Head] = {**CHEAP, **LAYOUT, **SLOW}
