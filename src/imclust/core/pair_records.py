"""Scores of pairs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imclust.core import checks
from imclust.core.errors import input_error
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.records import Assignment, save_rows, write_csv


@dataclass(frozen=True)
class PairScores:
    """The pairs of images that were looked at; every other pair counts as of two individuals.

    Parameters
    ----------
    ids, splits, groups : np.ndarray
        (n,) str each.
    pairs : np.ndarray
        (m, 2) int64, rows of `ids`, first below second, both of one group.
    names : tuple of str
        Of the f scores.
    scores : np.ndarray
        (m, f) float32; more speaks for the same individual.
    probability : np.ndarray
        (m,) float32, that both are of one individual.
    """

    kind: ClassVar[str] = "pairs"
    ids: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    pairs: np.ndarray
    names: tuple[str, ...]
    scores: np.ndarray
    probability: np.ndarray

    def __post_init__(self) -> None:
        m, f = len(self.pairs), len(self.names)
        checks.shaped("pairs", self.pairs, "m two", m=m, two=2)
        checks.shaped("scores", self.scores, "m f", m=m, f=f)
        checks.finite("scores", self.scores)
        checks.finite("probability", self.probability)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays and a readable table; returns the facts for the manifest."""
        save_rows(folder, self.ids, self.splits)
        arrays = {"groups": self.groups.astype(str), "pairs": self.pairs, "scores": self.scores}
        for name, a in (arrays | {"probability": self.probability}).items():
            np.save(folder / f"{name}.npy", a, allow_pickle=False)
        header = ("first", "second", "group", *self.names, "probability")
        sides = (self.ids[self.pairs[:, i]] for i in range(2))
        where = self.groups[self.pairs[:, 0]]
        cells = ([f"{v:.5g}" for v in row] for row in self.scores)
        rows = zip(*sides, where, cells, self.probability, strict=True)
        table = ((a, b, g, *c, f"{p:.4f}") for a, b, g, c, p in rows)
        write_csv(folder / "pairs.csv", header, table)
        return {"rows": len(self.ids), "pairs": len(self.pairs), "score_names": list(self.names)}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`."""
        from imclust.core.npy import open_npy

        doc = read_manifest(folder, cls.kind)
        names = ("ids", "splits", "groups", "pairs", "scores", "probability")
        a = {n: np.asarray(open_npy(artifact_file(folder, f"{n}.npy"))) for n in names}
        return cls(names=tuple(doc["score_names"]), **a)


def names_by_id(assignment: Path) -> dict[str, str]:
    """id -> name of its cluster, of an assignment whose clusters have names.

    Raises
    ------
    InputError
        They have none.

    Examples
    --------
    >>> len(names_by_id(Path("run/linked")))
    24
    """
    names = read_manifest(assignment, Assignment.kind).get("names")
    if not names:
        do = "name the folder of another"
        raise input_error("--names-from", "an assignment of `link`", str(assignment), do)
    loaded = Assignment.load(assignment)
    pairs = zip(loaded.ids.tolist(), loaded.clusters.tolist(), strict=True)
    return {i: names[c] for i, c in pairs}
