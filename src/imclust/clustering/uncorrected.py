"""What `cluster` needs to honour corrections: the answer before them, and what it says of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.corrections import Corrections, read_corrections
from imclust.clustering.pairwise_constraints import Pairs
from imclust.core.artifacts import ArtifactSpec, is_current, make_artifact
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, file_digest, read_manifest, write_manifest

TABLE = "assignment.csv"
BEFORE = "before"  # folder of the answer without corrections, in that of the corrected one
EVIDENCE = ("k.csv", "k.png", "candidates.csv")  # of the answer without, told of the other too


def read_all(paths: tuple[Path, ...]) -> tuple[list[Corrections], list[str]]:
    """The files in order, and their digests for the manifest.

    Raises
    ------
    InputError
        One cannot be read.
    """
    return [read_corrections(path) for path in paths], [file_digest(path) for path in paths]


@dataclass(frozen=True)
class Uncorrected:
    """The answer without corrections.

    Parameters
    ----------
    spec : ArtifactSpec
        What decides it.
    write : Callable[[Path], dict[str, Any]]
        Makes it, as in `make_artifact`.
    out : Path
        Where the corrected one goes.
    """

    spec: ArtifactSpec
    write: Callable[[Path], dict[str, Any]]
    out: Path

    def bring(self, folder: Path) -> Path:
        """Put it into `folder`, with its evidence; returns where it is there.

        An answer of the very same spec is copied from --out or from beside it, which saves the
        computing; else it is made again.
        """
        to = folder / BEFORE
        key = self.spec.key()
        found = next((path for path in self._places() if _is_there(path, key)), None)
        if found is None:
            make_artifact(to, self.spec, self.write)
            (folder / f".{BEFORE}.lock").unlink(missing_ok=True)
        else:
            doc = read_manifest(found)
            for name in (MANIFEST, *doc["files"]):
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found / name, to / name)
            # Its inputs lie elsewhere, seen from here.
            there = {r: os.path.relpath(p, to) for r, p in self.spec.inputs.items()}
            write_manifest(to, doc | {"inputs_at": there})
        for name in EVIDENCE:
            if (to / name).is_file():
                shutil.copyfile(to / name, folder / name)
        return to

    def _places(self) -> Iterator[Path]:
        yield from (self.out, self.out / BEFORE)
        for path in sorted(self.out.parent.iterdir()):
            yield from (path, path / BEFORE)


def _is_there(path: Path, key: dict[str, Any]) -> bool:
    """`is_current`, of folders that may be anything: what cannot be read is not what is wanted."""
    try:
        return is_current(path, key)
    except (OSError, ValueError, AttributeError):
        return False


def of_rows(pairs: Pairs, rows: np.ndarray) -> Pairs:
    """Pairs of places in `rows` (m,) int as pairs of row numbers."""
    return tuple((int(rows[a]), int(rows[b])) for a, b in pairs)


def refuse_another(file: Corrections, earlier: list[Corrections], shown: Path) -> None:
    """Refuse a file that was not made for the answer in the folder `shown`."""
    digest = file_digest(shown / TABLE)
    if file.assignment == digest:
        return
    allowed = f"made for this answer (sha256 of {TABLE} {digest[:12]}...)"
    got = f"those of {file.assignment[:12]}..."
    do = "name the files in the order in which they were made"
    if file.assignment in {e.assignment for e in earlier}:
        got += ", which an earlier file has changed"
        do = "save both again as one file, or the later one from the report of the corrected answer"
    elif not earlier:
        do = (
            "give cluster the settings, seed and inputs of the answer that the report showed, or "
            "save the corrections again from the report of this one"
        )
    raise input_error(f"the corrections {file.path}", allowed, got, do)


def classes_of(facts: dict[str, Any]) -> dict[str, Any]:
    """The names that labels gave the clusters, of merged ones that of the lowest number."""
    if "classes" not in facts:
        return {}
    was = facts["corrections"]["was"]
    first = {new: facts["classes"][old] for old, new in reversed(list(enumerate(was)))}
    return {"classes": [first[new] for new in sorted(first)]}


def report_corrections(facts: dict[str, Any]) -> None:
    """What became of them, for the user."""
    said = facts["corrections"]
    parts = [f"{said['moved']} moved"] * bool(said["moved"])
    parts += [f"{said['followed']} close to them followed"] * bool(said["followed"])
    for name in ("must_link", "cannot_link"):
        parts += [f"{name.replace('_', '-')} pairs: {said[name]}"] * bool(said[name])
    parts += ["clusters " + ", ".join(map(str, g)) + " merged" for g in said["merged"]]
    parts += [f"named: {len(said['names'])}"] * bool(said["names"])
    say(f"corrections: {'; '.join(parts) or 'none'}; K = {facts['n_clusters']}")
