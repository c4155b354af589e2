"""Further rows get the clusters of those that are clustered already."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from imclust.clustering.blocks import LARGE, sample_rows
from imclust.clustering.classifier import learn_clusters, placed_by
from imclust.clustering.clusterers._base import Clustering, concatenate_views, predict_in_blocks
from imclust.clustering.clusterers._partitions import from_neighbours
from imclust.clustering.dendrogram import centre_distances
from imclust.clustering.preprocessing import Preparation, joined_unit_rows, prepare
from imclust.clustering.views import View


def place_rows(
    view: str | None, old: list[np.ndarray], new: list[np.ndarray], p: np.ndarray
) -> np.ndarray:
    """Posteriors of further rows in the view that `auto` chose; without one, in all spaces as
    units. Of more than LARGE clustered rows, so many are learned from.

    What `auto` prepared is prepared again from the same rows, which gives the same numbers.

    Parameters
    ----------
    view : str | None
        Name of the view, such as `1+3 white`.
    old, new : list[np.ndarray]
        The spaces (n, d_v) of the clustered rows, and (m, d_v) of the further ones.
    p : np.ndarray
        (n, k) float32, posteriors of the clustered rows.

    Returns
    -------
    np.ndarray
        (m, k) float32.

    Examples
    --------
    >>> old = [np.array([[0.0, 1], [0.1, 1], [1, 0], [1, 0.1]], np.float32)]
    >>> p = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)
    >>> place_rows(None, old, [old[0][[0, 3]]], p).argmax(1).tolist()
    [0, 1]
    """
    parts: tuple[int, ...] = tuple(range(len(old)))
    how: Preparation = "unit"
    if view is not None:
        parts, how = View.named(view)
    few = [old[i] for i in parts]
    if many := len(p) > LARGE:
        chosen = sample_rows(len(p), LARGE, 0)
        few, p = [np.asarray(x[chosen]) for x in few], p[chosen]
    made = [prepare(x, how) for x in few]
    apply = partial(_prepared, apply=[m.apply for m in made])
    rows = concatenate_views([m.rows for m in made])
    placed = [new[i] for i in parts]
    if many:
        predict = placed_by(learn_clusters(rows, p.argmax(1), p.shape[1]), apply)
    else:
        predict = partial(from_neighbours, apply=apply, rows=rows, p=p)
    return predict_in_blocks(Clustering(p, predict), placed)


def _prepared(new: Any, apply: list[Any]) -> list[np.ndarray]:
    return [each(x) for each, x in zip(apply, new, strict=True)]


def seen_of(
    old: list[np.ndarray], clusters: np.ndarray, new: list[np.ndarray], p: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Second choice (m,) int64 of further rows, and cosine distance (m,) to the centre of the own
    cluster.

    Parameters
    ----------
    old, new : list[np.ndarray]
        As in `place_rows`.
    clusters : np.ndarray
        (n,) int, of the clustered rows.
    p : np.ndarray
        (m, k), posteriors of the further rows.

    Examples
    --------
    >>> x = [np.eye(2, dtype=np.float32)]
    >>> choice, distance = seen_of(x, np.array([0, 1]), x, np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> choice.tolist(), distance.round(3).tolist()
    ([1, 0], [0.0, 0.0])
    """
    rows = np.arange(len(p))
    c = p.argmax(1)
    others = p.copy()
    others[rows, c] = -1
    k = p.shape[1]
    distance = centre_distances(joined_unit_rows(old), clusters, k, joined_unit_rows(new))
    return others.argmax(1), distance[rows, c]
