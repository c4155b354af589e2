"""What can be said of a clustering without labels: the numbers that a choice is made by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imclust.clustering.learnability import learned_by_cluster
from imclust.clustering.metrics import effective_clusters
from imclust.core.shards import in_parallel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from imclust.clustering.views import View

JUDGED = 1000  # rows whose distances to each other are taken for silhouettes
STRUCTURE = (
    "purity",
    "purity macro",
    "purity least",
    "purity adjusted",
    "modularity",
    "silhouette rows",
    "silhouette layout",
    "silhouette layout macro",
    "silhouette own",
)
NAMES = ("learned", "learned macro", *STRUCTURE, "evenness", "smallest")


@dataclass(frozen=True)
class Evidence:
    """Numbers of many clusterings.

    Parameters
    ----------
    names : tuple of str
        Of the columns.
    table : ndarray of shape (clusterings, columns), float64
        The numbers.
    """

    names: tuple[str, ...]
    table: np.ndarray


def evidence(
    whole: list[np.ndarray], own: list[str], views: list[View], compared: np.ndarray, seed: int
) -> Evidence:
    """Numbers of every clustering, pooled over views.

    - learned, learned macro: share of held-out rows whose cluster a linear classifier names
      (TURTLE's score, Gadetsky et al. 2024), and its mean over clusters.
    - purity: weight of the neighbour graph inside clusters; macro and least: over clusters;
      adjusted: less chance, over what chance leaves. modularity: less chance (Newman 2006).
    - silhouette (Rousseeuw 1987): of the rows, cosine, and of the layout, mean over rows and over
      clusters; own: in the layout of the view that it was made in.
    - evenness: effective clusters over K. smallest: log of the least cluster over an even one.

    Parameters
    ----------
    whole : list of ndarray of shape (n,), int
        The clusterings.
    own : list of str
        Name of the view that each was made in.
    views : list of View
        Of all rows; what is judged by.
    compared : ndarray of shape (m,), int64
        The rows that learnability is taken on.
    seed : int
        Of the rows of the silhouettes.

    Examples
    --------
    >>> from imclust.clustering.views import View
    >>> x = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0], [9]], 30, axis=0)
    >>> view = View.of([x.astype(np.float32)], (0,), "power")
    >>> good, bad = np.repeat([0, 1], 30), np.arange(60) % 2
    >>> found = evidence([good, bad], [view.name] * 2, [view], np.arange(60), seed=0)
    >>> learned = found.table[:, NAMES.index("learned")]
    >>> bool(learned[0] > learned[1])
    True
    """
    few = [c[compared] for c in whole]
    learned, macro = learned_by_cluster([v.rows[compared] for v in views], few)
    sizes = [np.bincount(c) for c in whole]
    even = [
        effective_clusters(c, max(len(s), 2)) / max(len(s), 2)
        for c, s in zip(whole, sizes, strict=True)
    ]
    least = [np.log(max(s.min(), 0.5) * len(s) / s.sum()) for s in sizes]
    seen = structure(whole, own, views, compared, seed).values()
    return Evidence(NAMES, np.column_stack([learned, macro, *seen, even, least]))


def structure(
    whole: list[np.ndarray], own: list[str], views: list[View], compared: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The part of `evidence`, by name, that graphs and distances alone tell: purity to silhouettes.

    Parameters
    ----------
    whole, own, views, seed
        As of `evidence`.
    compared : ndarray of shape (m,), int64
        The rows that those of the silhouettes are drawn from.

    Returns
    -------
    dict
        Name -> ndarray of shape (clusterings,), float64, in the order of NAMES.

    Examples
    --------
    >>> from imclust.clustering.views import View
    >>> x = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0], [9]], 30, axis=0)
    >>> view = View.of([x.astype(np.float32)], (0,), "power")
    >>> good, bad = np.repeat([0, 1], 30), np.arange(60) % 2
    >>> found = structure([good, bad], [view.name] * 2, [view], np.arange(60), seed=0)
    >>> bool(found["modularity"][0] > found["modularity"][1])
    True
    """
    rows = compared[np.random.default_rng(seed).permutation(len(compared))[:JUDGED]]
    picked = [np.unique(c[rows], return_inverse=True)[1] for c in whole]

    def seen_in(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inside = np.array([purity(view.graph, c) for c in whole])
        cosine = silhouettes(cosine_distances(view.rows[rows]), picked)
        return inside, cosine, silhouettes(distances(view.layout[rows]), picked)

    seen = list(in_parallel(views, seen_in))
    inside, cosine = (np.mean([each[part] for each in seen], axis=0) for part in (0, 1))
    layouts = np.array([each[2] for each in seen])
    at = {v.name: i for i, v in enumerate(views)}
    mine = [layouts[at[o], i, 0] if o in at else layouts[:, i, 0].mean() for i, o in enumerate(own)]
    columns = np.column_stack([inside, cosine[:, 0], layouts.mean(0), mine])
    return dict(zip(STRUCTURE, columns.T, strict=True))


def purity(graph: csr_array, labels: np.ndarray) -> tuple[float, float, float, float, float]:
    """Weight of a graph (n, n) inside clusters (n,): its share; the mean and the least over
    clusters; adjusted for chance; and what is beyond chance.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> graph = csr_array(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0.0]]))
    >>> purity(graph, np.array([0, 0, 1, 1]))
    (1.0, 1.0, 1.0, 1.0, 0.5)
    """
    coo = graph.tocoo()
    i, j = coo.coords
    k = int(labels.max()) + 1
    volume = np.bincount(labels, graph.sum(1), k)
    same = labels[i] == labels[j]
    inner = np.bincount(labels[i[same]], coo.data[same], k)
    share = inner / np.maximum(volume, 1e-12)
    total, chance = inner.sum() / volume.sum(), ((volume / volume.sum()) ** 2).sum()
    adjusted = (total - chance) / max(1 - chance, 1e-12)
    used = volume > 0
    return (
        float(total),
        float(share[used].mean()),
        float(share[used].min()),
        float(adjusted),
        float(total - chance),
    )


def distances(rows: np.ndarray) -> np.ndarray:
    """Euclidean, (m, d) -> (m, m) float32.

    Examples
    --------
    >>> distances(np.array([[0.0], [3.0]], np.float32))
    array([[0., 3.],
           [3., 0.]], dtype=float32)
    """
    square = (rows * rows).sum(1)
    return np.sqrt(np.maximum(square[:, None] + square - 2 * (rows @ rows.T), 0)).astype(np.float32)


def cosine_distances(rows: np.ndarray) -> np.ndarray:
    """1 - cosine, (m, d) -> (m, m) float32.

    Examples
    --------
    >>> cosine_distances(np.eye(2, dtype=np.float32))
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.maximum(1 - unit @ unit.T, 0).astype(np.float32)


def silhouettes(apart: np.ndarray, labellings: list[np.ndarray]) -> np.ndarray:
    """Mean silhouette over rows, and mean over clusters of theirs: (clusterings, 2).

    Parameters
    ----------
    apart : ndarray of shape (m, m), float32
        Distances, zeros inside.
    labellings : list of ndarray of shape (m,), int
        Each in [0, k), all used.

    Examples
    --------
    >>> apart = distances(np.array([[0.0], [0.1], [5.0], [5.1]], np.float32))
    >>> silhouettes(apart, [np.array([0, 0, 1, 1])]).round(2)
    array([[0.98, 0.98]])
    """
    m = len(apart)
    out = np.zeros((len(labellings), 2))
    for i, c in enumerate(labellings):
        k = int(c.max()) + 1
        if k < 2:
            continue
        hot = np.zeros((m, k), np.float32)
        hot[np.arange(m), c] = 1
        sums, sizes = apart @ hot, hot.sum(0)
        own = np.arange(m), c
        alone = sizes[c] < 2
        a = sums[own] / np.maximum(sizes[c] - 1, 1)
        mean = sums / sizes
        mean[own] = np.inf
        b = mean.min(1)
        s = np.where(alone, 0, (b - a) / np.maximum(np.maximum(a, b), 1e-12))
        out[i] = s.mean(), (np.bincount(c, s, k) / sizes).mean()
    return out
