"""What a folder's clusters were when further images came: the images, their clusters, the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imclust.core.manifest import artifact_file, facts_of, read_manifest
from imclust.core.name_records import found_names
from imclust.core.npy import open_npy
from imclust.core.records import Assignment, read_csv, write_csv

CARRIED = ("names", "view", "head", "k_words", "k_clear", "level", "levels")


@dataclass(frozen=True)
class Base:
    """An assignment that later images join; it needs nothing beside itself.

    Images that an earlier one knew and that were gone when it was made are among them, so that they
    find their place, or the one that they were to be moved to, when they come back.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    digests : np.ndarray
        (n,) str, of each image's bytes.
    probabilities : np.ndarray
        (n, k) float32.
    facts : Mapping[str, Any]
        What its manifest said of the clusters: names by hand, the view, how K was found.
    found_names : Sequence[Sequence[str]]
        (name, evidence) of each cluster as `name` found it; may be empty.
    """

    kind: ClassVar[str] = "base"
    ids: np.ndarray
    digests: np.ndarray
    probabilities: np.ndarray
    facts: Mapping[str, Any]
    found_names: Sequence[Sequence[str]]

    @classmethod
    def of(
        cls,
        assignment: Path,
        digests: Mapping[str, str],
        names: Path | None,
        earlier: Self | None = None,
    ) -> Self:
        """The `assignment` artefact as it is now, with the digest of every image by its id; and
        what it grew from, if it did."""
        rows, doc = Assignment.load(assignment), read_manifest(assignment)
        facts = {name: doc[name] for name in CARRIED if name in doc}
        facts |= {"n_clusters": doc["n_clusters"], "corrected": doc.get("corrections")}
        facts |= {"before": doc.get("grown"), "colours": doc.get("colours")}
        mine = np.array([digests.get(i, "") for i in rows.ids.tolist()], dtype=str)
        ids, p = rows.ids, np.asarray(rows.probabilities)
        if earlier is not None:
            gone = earlier._gone(set(ids.tolist()), p.shape[1], doc.get("corrections") or {})
            ids, mine, p = (np.concatenate(pair) for pair in zip((ids, mine, p), gone, strict=True))
        return cls(ids, mine, p, facts, found_names(names))

    def _gone(
        self, there: set[str], k: int, corrections: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, digests and posteriors (m, k) of its images that are not `there`, in the clusters
        that became of its own."""
        awaited = corrections.get("awaited") or {}
        rows = [row for row, i in enumerate(self.ids.tolist()) if i not in there]
        p = np.zeros((len(rows), k), np.float32)
        was = corrections.get("was") or range(self.probabilities.shape[1])
        for old in range(self.probabilities.shape[1]):
            p[:, was[old]] += self.probabilities[rows, old]
        # Those that came and went since it was made are known by their names alone.
        others = [i for i in awaited if i not in there and i not in set(self.ids.tolist())]
        ids = np.concatenate([self.ids[rows], np.array(others, dtype=str)])
        digests = np.concatenate([self.digests[rows], np.full(len(others), "")])
        p = np.concatenate([p, np.zeros((len(others), k), np.float32)])
        for number, i in enumerate(ids.tolist()):
            if i in awaited:
                p[number] = np.eye(k, dtype=np.float32)[awaited[i]]
        return ids, digests, p

    def save(self, folder: Path) -> dict[str, Any]:
        """Write tables and arrays; returns the facts for the manifest."""
        write_csv(folder / "images.csv", ("id", "digest"), zip(self.ids, self.digests, strict=True))
        np.save(folder / "probabilities.npy", self.probabilities.astype(np.float32))
        return dict(self.facts) | {"found_names": [list(pair) for pair in self.found_names]}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`."""
        doc = facts_of(read_manifest(folder, cls.kind))
        rows = read_csv(artifact_file(folder, "images.csv"))
        ids, digests = (np.array([r[name] for r in rows], dtype=str) for name in ("id", "digest"))
        p = np.asarray(open_npy(artifact_file(folder, "probabilities.npy")))
        return cls(ids, digests, p, doc, doc.pop("found_names"))

    def rows_of(self, ids: np.ndarray, digests: np.ndarray) -> np.ndarray:
        """The row here of each image (n,): the same file, or one of the same bytes, so that a copy
        or a new name finds it; -1 for an image that came since or was changed. Where the bytes are
        not known, the name is enough."""
        by_id = {i: row for row, i in enumerate(self.ids.tolist())}
        by_digest = {d: row for row, d in reversed(list(enumerate(self.digests.tolist()))) if d}
        known = np.full(len(ids), -1, np.int64)
        for n, (i, d) in enumerate(zip(ids.tolist(), digests.tolist(), strict=True)):
            row = by_id.get(i, -1)
            same = row >= 0 and self.digests[row] in {"", d}
            known[n] = row if same else by_digest.get(d, -1)
        return known

    def carried(self, k: int) -> dict[str, Any]:
        """What its facts say of a clustering into k clusters, of which the first are its own."""
        facts = {name: self.facts[name] for name in CARRIED if name in self.facts}
        more = k - self.facts["n_clusters"]
        if "names" in facts:
            facts["names"] = [*facts["names"], *[""] * more]
        if self.found_names:
            facts["found_names"] = [*map(list, self.found_names), *[None] * more]
        return facts
