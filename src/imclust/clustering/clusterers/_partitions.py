"""Heads that know clusters only, without centres: their posteriors, and where further rows go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np

from imclust.clustering.clusterers._base import (
    Clustering,
    Rows,
    concatenate_views,
    on_sample,
    prepared_views,
    several_spaces,
)
from imclust.clustering.neighbors import nearest_neighbors

VOTERS = 10  # nearest rows that have a say in a row's posterior
OWN_SHARE = 0.55  # of a fitted row's posterior, for its own cluster; above a half, so that it wins
Partition = Callable[..., "tuple[np.ndarray, dict[str, Any]]"]


def partition(bound: int | None = None, *, several: bool = True) -> Callable[[Partition], Any]:
    """Decorator that makes a clusterer of `head(views, n_clusters, cfg, seed) -> (labels, facts)`.

    The head gets its spaces prepared as `cfg.prepare` says, a list of (n, d_v), and returns the
    cluster of every row, (n,) int in [0, K) or -1 for noise.

    Parameters
    ----------
    bound : int | None, optional
        Rows that it is fitted to at the most, see `on_sample`; None for any number.
    several : bool, optional
        Whether it takes several spaces as they are, else one of them all.
    """

    def wrap(head: Partition) -> Any:
        @wraps(head)
        def clusterer(z: Rows, n_clusters: int, cfg: Any, seed: int) -> Clustering:
            views, apply = prepared_views(z, cfg.prepare)
            labels, facts = head(views, n_clusters, cfg, seed)
            return by_neighbours(labels, n_clusters, views, apply, **facts)

        made = clusterer if bound is None else on_sample(bound)(clusterer)
        return several_spaces(made) if several else made

    return wrap


def by_neighbours(
    labels: np.ndarray, k: int, views: list[np.ndarray], apply: Callable[[Any], Any], **facts: Any
) -> Clustering:
    """The Clustering of a partition that has no centres, through each row's nearest rows.

    A fitted row's posterior is OWN_SHARE for its own cluster plus the rest shared among its
    nearest rows'; a further row takes the mean posterior of its nearest fitted rows, weighted by
    the inverse of the squared distance (Shepard 1968), so that a fitted row that comes again
    gets its own.

    Parameters
    ----------
    labels : np.ndarray
        (n,) int in [0, k); -1 for noise, which joins its neighbours' clusters.
    views : list[np.ndarray]
        Prepared rows (n, d_v) that distances are taken in.
    apply : Callable[[Any], Any]
        Prepares further rows.
    """

    rows = concatenate_views(views)
    voters = min(VOTERS, len(rows) - 1)
    near, _ = nearest_neighbors(rows, rows, voters, same=True)
    hot = np.zeros((len(rows), k), np.float32)
    known = labels >= 0
    hot[known, labels[known]] = 1
    share = hot[near].mean(1)
    share += np.float32(1e-6) / k
    share /= share.sum(1, keepdims=True)
    p = np.where(known[:, None], OWN_SHARE * hot + (1 - OWN_SHARE) * share, share)
    p = p.astype(np.float32)
    return Clustering(p, partial(from_neighbours, apply=apply, rows=rows, p=p), facts)


def from_neighbours(
    new: Rows, apply: Callable[[Any], Any], rows: np.ndarray, p: np.ndarray
) -> np.ndarray:
    """Posteriors (m, k) float32 of further rows: the mean of their nearest fitted rows', weighted
    by the inverse of the squared distance (Shepard 1968).

    Parameters
    ----------
    new : Rows
        (m, d), or a list of spaces.
    apply : Callable[[Any], Any]
        Prepares them as the fitted rows were.
    rows : np.ndarray
        (n, d') the fitted rows, prepared.
    p : np.ndarray
        (n, k) their posteriors.
    """

    queries = concatenate_views(apply(new))
    near, _ = nearest_neighbors(queries, rows, min(VOTERS, len(rows) - 1))
    out = np.empty((len(queries), p.shape[1]), np.float32)
    for a in range(0, len(queries), 1024):
        mine = near[a : a + 1024]
        # Differences, not the expanded square: a row must be at distance 0 of itself exactly.
        square = np.square(rows[mine] - queries[a : a + 1024, None]).sum(2, dtype=np.float64)
        weight = 1 / np.maximum(square, 1e-12)
        weight /= weight.sum(1, keepdims=True)
        out[a : a + 1024] = np.einsum("qv,qvk->qk", weight, p[mine])
    return out / out.sum(1, keepdims=True)
