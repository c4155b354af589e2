"""Assignments into so many clusters that of each image only the nearest are told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np

from imclust.clustering.clusterers._base import clusterer_input, reads_blocks
from imclust.clustering.dendrogram import own_distances
from imclust.clustering.many_clusters import MANY, cluster_many, place_many
from imclust.clustering.preprocessing import Preparation, joined_unit_rows
from imclust.core.errors import input_error
from imclust.core.nearest_records import NearestAssignment
from imclust.core.npy import kept_rows
from imclust.core.records import Features, rows_where


def is_many(config: Any, k: int | str) -> bool:
    """Whether a clusterer with such settings makes so many clusters, in two levels.

    Examples
    --------
    >>> from imclust.clustering.clusterers.kmeans import KMeansConfig
    >>> is_many(KMeansConfig(levels=2), 9999), is_many(KMeansConfig(levels=2), 20)
    (True, False)
    """
    return isinstance(k, int) and k > MANY and getattr(config, "levels", 1) == 2


def refuse_with_many(k: int | str, flags: Mapping[str, bool]) -> None:
    """Refuse flags that need the probabilities of all clusters.

    Parameters
    ----------
    k : int
        Clusters.
    flags : mapping of str to bool
        Name -> whether it is given.

    Examples
    --------
    >>> refuse_with_many(9999, {"--copies": False})
    """
    if given := [name for name, is_given in flags.items() if is_given]:
        do = "leave it out, or take fewer clusters"
        raise input_error(given[0], f"used with at most {MANY} clusters", k, do)


def write_nearest(
    folder: Path,
    first: Features,
    spaces: list[np.ndarray],
    fitted: list[np.ndarray],
    keep: np.ndarray,
    k: int,
    seed: int,
    how: Preparation,
    *,
    parquet: bool = False,
) -> dict[str, Any]:
    """Write an assignment of very many clusters; returns the facts for the manifest.

    Parameters
    ----------
    folder : Path
        Of the artefact.
    first : Features
        Whose ids and splits count.
    spaces, fitted : list of np.ndarray
        All rows (n, d_v), and those that are fitted (m, d_v).
    keep : np.ndarray
        (n,) bool, which are placed.
    k : int
        Clusters.
    seed : int
        Of samples and starts.
    how : Preparation
        Of the rows.
    parquet : bool, optional
        Whether the table is written as Parquet, too.

    Examples
    --------
    >>> import tempfile
    >>> x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    >>> first = Features(np.arange(500).astype(str), np.full(500, "train"), x)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     facts = write_nearest(Path(place), first, [x], [x], np.full(500, True), 50, 0, "raw")
    >>> facts["n_clusters"], sum(facts["sizes"])
    (50, 500)
    """
    with ExitStack() as kept:
        all_kept = [kept_rows(x, keep, folder, kept) for x in spaces]
        ready, rows = (cast("np.ndarray", clusterer_input(_blocks, x)) for x in (fitted, all_kept))
        found = cluster_many(ready, rows, k, seed, how)
        ids, splits = rows_where(first.ids, keep), rows_where(first.splits, keep)
        assignment = NearestAssignment(ids, splits, found.nearest, found.probabilities)
        far = own_distances(joined_unit_rows(all_kept), assignment.clusters, k)
    return assignment.save(folder, k, far, parquet=parquet) | found.facts


def place_nearest(
    folder: Path,
    assignment: NearestAssignment,
    doc: Mapping[str, Any],
    old: list[np.ndarray],
    new: list[np.ndarray],
    ids: np.ndarray,
    copies: tuple[list[int], list[int]],
) -> dict[str, Any]:
    """Write an assignment of further rows to very many clusters; returns the facts.

    Parameters
    ----------
    folder : Path
        Of the artefact.
    assignment : NearestAssignment
        Of the rows that were fitted.
    doc : mapping
        Its manifest.
    old, new : list of np.ndarray
        The spaces (n, d_v) of its rows, and (m, d_v) of the further ones.
    ids : np.ndarray
        (m,) str, of these.
    copies : tuple of list
        Rows of these that are files of clustered images, and the numbers of those, whose clusters
        they get.

    Examples
    --------
    >>> place_nearest(folder, assignment, doc, old, new, ids, ([], []))  # doctest: +SKIP
    """
    how, seed, k = doc["config"]["prepare"], doc["config"]["seed"], int(doc["n_clusters"])
    before, rows = (cast("np.ndarray", clusterer_input(_blocks, x)) for x in (old, new))
    variance = float(doc["inertia"]) / int(doc["rows"])
    found = place_many(before, assignment.clusters, rows, variance, seed, how)
    most = found.nearest.shape[1]
    nearest, p = found.nearest.copy(), found.probabilities.copy()
    twins, of = copies
    nearest[twins], p[twins] = assignment.nearest[of, :most], assignment.probabilities[of, :most]
    placed = NearestAssignment(ids, np.full(len(ids), "train"), nearest, p)
    further = joined_unit_rows(new), placed.clusters
    far = own_distances(joined_unit_rows(old), assignment.clusters, k, further)
    return placed.save(folder, k, far) | {"copies": len(twins)}


@reads_blocks
def _blocks() -> None:
    """How `cluster_many` takes several spaces."""
