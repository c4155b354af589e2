"""What is shown of very many clusters: the largest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imclust.core.manifest import read_manifest
from imclust.core.nearest_records import NearestAssignment, clusters_of
from imclust.core.records import Assignment

LARGEST = 200  # clusters that are shown of very many
MOST = 100_000  # images on a page; of more, a random part


def shown_part(folder: Path) -> tuple[Assignment, np.ndarray]:
    """The part of an assignment that can be shown, and the clusters that its columns are.

    Few clusters are all there. Of very many, the images of the LARGEST, at most MOST of them, with
    the probabilities that were told of these; a row no longer sums to one.

    Parameters
    ----------
    folder : Path
        The `assignment` artefact.

    Returns
    -------
    tuple of Assignment and np.ndarray
        (m, k) and (k,) int64, ascending.

    Examples
    --------
    >>> part, numbers = shown_part(Path("run/clusters"))
    >>> len(part.ids), numbers.tolist()
    (24, [0, 1])
    """
    found = clusters_of(folder)
    if isinstance(found, Assignment):
        return found, np.arange(found.probabilities.shape[1])
    sizes = np.array(read_manifest(folder)["sizes"])
    numbers = np.sort(np.argsort(-sizes, kind="stable")[:LARGEST])
    rows = np.flatnonzero(np.isin(found.clusters, numbers))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST])
    return _among(found, rows, numbers), numbers


def _among(found: NearestAssignment, rows: np.ndarray, numbers: np.ndarray) -> Assignment:
    """Some rows (m,) with their probabilities of some clusters (k,) alone."""
    column = np.full(max(int(found.nearest[rows].max()), int(numbers.max())) + 1, -1)
    column[numbers] = np.arange(len(numbers))
    p = np.zeros((len(rows), len(numbers)), np.float32)
    for rank in reversed(range(found.nearest.shape[1])):
        at, value = column[found.nearest[rows, rank]], found.probabilities[rows, rank]
        told = np.flatnonzero(at >= 0)
        # Of equals the first is the image's own.
        p[told, at[told]] = value[told] if rank else np.nextafter(value[told], np.float32(2))
    return Assignment(found.ids[rows], found.splits[rows], p)
