"""What `look` found: things to look at, groups of copies, neighbours, a line of all images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.npy import open_npy
from imclust.core.records import read_csv, write_csv
from imclust.core.wording import counted


class Finding(NamedTuple):
    """Something about one image.

    Parameters
    ----------
    id : str
        Of the image.
    what : str
        `exact copy`, `near copy`, `dark`, `blurred`, ...
    value : float
        How much; of copies, how like they are.
    of : str
        Of copies, the id of the best picture of its group; else "".
    """

    id: str
    what: str
    value: float
    of: str


def found_words(n: int, what: str) -> str:
    """How many things of a kind were found: `2 near copies`, `1 outlier`; `dark` is so in any
    number.

    Examples
    --------
    >>> found_words(2, "near copy"), found_words(2, "dark")
    ('2 near copies', '2 dark')
    """
    return counted(n, what) if what.endswith(("copy", "outlier")) else f"{n} {what}"


@dataclass(frozen=True)
class Look:
    """Of the images of an index that can be read.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    findings : list[Finding]
        In the order of `ids`.
    neighbours : np.ndarray
        (n, k) int32, the rows most like each, the likest first.
    line : np.ndarray
        (n,) int32, rows in an order in which like ones lie together.
    """

    kind: ClassVar[str] = "look"
    ids: np.ndarray
    findings: Sequence[Finding]
    neighbours: np.ndarray
    line: np.ndarray

    @property
    def copy_of(self) -> dict[str, str]:
        """Id of every copy, exact or near, -> id of the best picture of its group."""
        return {f.id: f.of for f in self.findings if f.of}

    def copies_among(self, ids: np.ndarray, among: np.ndarray) -> tuple[list[int], list[int]]:
        """Rows of other `ids` (n,) that are copies, and those of the best of their groups, where
        both are `among` (n,) bool."""
        where = {i: row for row, i in enumerate(ids.tolist())}
        pairs = [(where[i], where[of]) for i, of in self.copy_of.items()
                 if i in where and of in where]  # fmt: skip
        pairs = [(row, of) for row, of in pairs if among[row] and among[of]]
        return [row for row, _ in pairs], [of for _, of in pairs]

    def save(self, folder: Path) -> dict[str, Any]:
        """Write it; returns the facts for the manifest."""
        np.save(folder / "ids.npy", self.ids.astype(str), allow_pickle=False)
        np.save(folder / "neighbours.npy", self.neighbours.astype(np.int32))
        np.save(folder / "line.npy", self.line.astype(np.int32))
        rows = ((f.id, f.what, f"{f.value:.4f}", f.of) for f in self.findings)
        write_csv(folder / "look_at.csv", Finding._fields, rows)
        kinds = [f.what for f in self.findings]
        return {"found": {what: kinds.count(what) for what in dict.fromkeys(sorted(kinds))}}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`."""
        read_manifest(folder, cls.kind)
        names = ("ids.npy", "neighbours.npy", "line.npy")
        ids, neighbours, line = (open_npy(artifact_file(folder, name)) for name in names)
        table = read_csv(artifact_file(folder, "look_at.csv"))
        findings = [Finding(r["id"], r["what"], float(r["value"]), r["of"]) for r in table]
        return cls(ids, findings, neighbours, line)
