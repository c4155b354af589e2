"""Assignments of very many clusters: of each image the few nearest clusters, not all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imclust.core import checks
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.records import NEAREST, Assignment, save_rows, write_csv


@dataclass(frozen=True)
class NearestAssignment:
    """Which image fell into which of very many clusters.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    splits : np.ndarray
        (n,) str.
    nearest : np.ndarray
        (n, m) int32, the nearest clusters; the first is the image's.
    probabilities : np.ndarray
        (n, m) float32, of these; rows sum to one.
    """

    kind: ClassVar[str] = Assignment.kind
    ids: np.ndarray
    splits: np.ndarray
    nearest: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self) -> None:
        checks.shaped("nearest", self.nearest, "n m", n=len(self.ids), m=self.shape[1])
        checks.finite("probabilities", self.probabilities)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, m)."""
        return self.probabilities.shape

    @property
    def clusters(self) -> np.ndarray:
        """(n,) int64."""
        return self.nearest[:, 0].astype(np.int64)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`."""
        from imclust.core.npy import open_npy

        read_manifest(folder, cls.kind)
        names = ("ids.npy", "splits.npy", NEAREST, "nearest_probabilities.npy")
        return cls(*(open_npy(artifact_file(folder, name)) for name in names))

    def part(self, split: str) -> Self:
        """The rows of one split, in order."""
        keep = self.splits == split
        arrays = self.ids, self.splits, self.nearest, self.probabilities
        return type(self)(*(x[keep] for x in arrays))

    def save(
        self, folder: Path, n_clusters: int, distance: np.ndarray, *, parquet: bool = False
    ) -> dict[str, Any]:
        """Write arrays and a readable table; returns the facts for the manifest.

        Parameters
        ----------
        folder : Path
            Of the artefact.
        n_clusters : int
            K.
        distance : np.ndarray
            (n,), cosine distance to the own cluster's centre.
        parquet : bool, optional
            Whether the table is written as assignment.parquet/part-00000.parquet, ..., too.
        """
        save_rows(folder, self.ids, self.splits)
        np.save(folder / NEAREST, self.nearest.astype(np.int32))
        np.save(folder / "nearest_probabilities.npy", self.probabilities.astype(np.float32))
        second = self.nearest[:, min(1, self.nearest.shape[1] - 1)]
        header = ("id", "split", "cluster", "confidence", "runner_up", "distance")
        sure = self.probabilities[:, 0]
        shown = (f"{p:.4f}" for p in sure), second, (f"{d:.4f}" for d in distance)
        columns: list[Iterable[Any]] = [self.ids, self.splits, self.nearest[:, 0], *shown]
        write_csv(folder / "assignment.csv", header, zip(*columns, strict=True))
        if parquet:
            from imclust.core.parquet import write_shards

            numbers = [self.ids, self.splits, self.nearest[:, 0], sure, second, distance]
            write_shards(folder / "assignment.parquet", dict(zip(header, numbers, strict=True)))
        sizes = np.bincount(self.nearest[:, 0], minlength=n_clusters)
        return {"rows": len(self.ids), "n_clusters": n_clusters, "sizes": sizes.tolist()}


def clusters_of(folder: Path) -> Assignment | NearestAssignment:
    """An assignment of few clusters or very many, for who asks for ids and clusters alone.

    Examples
    --------
    >>> clusters_of(Path("run/clusters")).clusters.shape
    (24,)
    """
    if NEAREST in read_manifest(folder, Assignment.kind)["files"]:
        return NearestAssignment.load(folder)
    return Assignment.load(folder)
