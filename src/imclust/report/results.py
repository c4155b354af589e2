"""An assignment by file: which image file is in which cluster, for people and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from imclust.core.look_records import Look
from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.name_records import name_shares, named
from imclust.core.records import Assignment, read_csv
from imclust.core.tables import replace_tables
from imclust.data.images import ImageRow, indexed

TABLE = ("file", "cluster", "name", "confidence", "runner_up", "distance", "name_share")
LOOK_AT = ("file", "what", "value", "copy_of")
TABLES = ("assignments.csv", "set_aside.csv", "look_at.csv")  # that people read
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what cells begin with that spreadsheets compute
SURE = 0.8  # share of a cluster's images that a name is seen in, from which on it is not told
CENTRAL = 3  # files that stand for a cluster in a summary


class AssignedImage(NamedTuple):
    """One image.

    Parameters
    ----------
    file : str
        Its path below the folder (or in the zip), with forward slashes.
    cluster : int
        From 0.
    confidence : float
        In [0, 1].
    runner_up : int
        The second choice.
    distance : float
        Cosine distance in [0, 2] to the centre of its cluster.
    name : str
        What the cluster is called, "" where it has no name.
    """

    file: str
    cluster: int
    confidence: float
    runner_up: int
    distance: float
    name: str = ""


@dataclass(frozen=True)
class FolderAssignment:
    """Every image of a folder with its cluster.

    Parameters
    ----------
    rows : list[AssignedImage]
        Of the images that could be read, in the order of the index.
    images : list[ImageRow]
        Of the index, row i that of `rows[i]`.
    set_aside : list[tuple[str, str]]
        (file, why it cannot be read).
    names : list[str]
        Of the clusters, "" where one has none; K of them.
    shares : Sequence[float | None]
        Of the images of each cluster, in which its name is seen, where that is known.
    """

    rows: list[AssignedImage]
    images: list[ImageRow]
    set_aside: list[tuple[str, str]]
    names: list[str]
    shares: Sequence[float | None] = ()

    @classmethod
    def load(cls, assignment: Path, index: Path, names_at: Path | None = None) -> FolderAssignment:
        """The `assignment` artefact of the images of an `index` artefact, joined by id.

        Clusters that nobody named are called as the `names` artefact in `names_at` has it.

        The images themselves need not be there any more.
        """
        doc = read_manifest(assignment, Assignment.kind)
        by_id = {row["id"]: row for row in read_csv(artifact_file(assignment, "assignment.csv"))}
        names = named(doc, names_at)
        rows, images, aside = [], [], []
        for image, file in indexed(index):
            if image.problem:
                aside.append((file, image.problem))
            elif image.id in by_id:
                rows.append(_placed(file, by_id[image.id], names))
                images.append(image)
        return cls(rows, images, aside, names, name_shares(doc, names_at))

    def doubtful(self, cluster: int) -> float | None:
        """The share of a cluster's images that its name is seen in, where that is not most."""
        share = self.shares[cluster] if self.shares else None
        return share if share is not None and share < SURE else None

    def title(self, cluster: int) -> str:
        """`3`, or `3 cats` when it has a name."""
        return f"{cluster} {self.names[cluster]}".strip()

    def members(self, cluster: int) -> list[int]:
        """Numbers of the rows of a cluster, nearest to its centre first."""
        mine = [i for i, row in enumerate(self.rows) if row.cluster == cluster]
        return sorted(mine, key=lambda i: (self.rows[i].distance, self.rows[i].file))

    def write(self, folder: Path, look: Path | None = None) -> Path:
        """`assignments.csv`, and `set_aside.csv` where images were; each in one step.

        With a `look` artefact also `look_at.csv`: of copies, spoilt and odd images, and of those
        that cannot be read.
        """
        table = [
            (
                _path(r.file),
                r.cluster,
                _text(r.name),
                f"{r.confidence:.4f}",
                r.runner_up,
                f"{r.distance:.4f}",
                self._share(r.cluster),
            )
            for r in self.rows
        ]
        aside: str | None = None
        if self.set_aside:
            aside = _csv(("file", "problem"), [(_path(f), why) for f, why in self.set_aside])
        texts: dict[str, str | None] = {TABLES[0]: _csv(TABLE, table), TABLES[1]: aside}
        if look is not None:
            texts[TABLES[2]] = _csv(LOOK_AT, self._look_at(look))
        replace_tables(folder, texts)
        return folder / TABLES[0]

    def _share(self, cluster: int) -> str:
        share = self.shares[cluster] if self.shares else None
        return "" if share is None else f"{share:.2f}"

    def _look_at(self, look: Path) -> list[tuple[str, str, str, str]]:
        file = {image.id: row.file for image, row in zip(self.images, self.rows, strict=True)}
        found = [
            (_path(file[f.id]), f.what, f"{f.value:.4f}", _path(file.get(f.of, "")))
            for f in Look.load(look).findings
            if f.id in file
        ]
        return found + [
            (_path(name), f"cannot be read: {why}", "", "") for name, why in self.set_aside
        ]


def _placed(file: str, row: dict[str, str], names: list[str]) -> AssignedImage:
    cluster = int(row["cluster"])
    return AssignedImage(
        file,
        cluster,
        float(row["confidence"]),
        int(row["runner_up"]),
        float(row["distance"]),
        names[cluster],
    )


def _path(file: str) -> str:
    """A file's path as no spreadsheet takes for a formula: `./=a.png` is the very same file."""
    return f"./{file}" if file.startswith(FORMULAS) else file


def _text(name: str) -> str:
    """A name as no spreadsheet takes for a formula: behind an apostrophe, which shows as text."""
    return f"'{name}" if name.startswith(FORMULAS) else name


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(header)
    w.writerows(rows)
    return out.getvalue()


def printable(name: str) -> str:
    """A file's name for a terminal: line ends and control characters as escapes.

    Examples
    --------
    >>> printable("a" + chr(10) + "b.jpg")
    'a\\\\nb.jpg'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
