"""What the artefacts hold: features, assignments, labels, and tables as CSV. Joined by id."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imclust.core import checks
from imclust.core.errors import InputError, input_error
from imclust.core.manifest import artifact_file, read_manifest

NEAREST = "nearest.npy"  # of an assignment of very many clusters, see `nearest_records`


@dataclass(frozen=True)
class Features:
    """One space. Row i of `x` belongs to image `ids[i]`, which is of split `splits[i]`.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str, unique.
    splits : np.ndarray
        (n,) str, `train` or `val`.
    x : np.ndarray
        (n, d) float32 or float16, finite; memory-mapped when loaded.
    """

    kind: ClassVar[str] = "features"
    ids: np.ndarray
    splits: np.ndarray
    x: np.ndarray

    def __post_init__(self) -> None:
        checks.shaped("x", self.x, "n d", n=len(self.ids))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`, memory-mapped."""
        from imclust.core.npy import open_npy

        read_manifest(folder, cls.kind)
        ids, splits, x = (
            open_npy(artifact_file(folder, f"{n}.npy")) for n in ("ids", "splits", "x")
        )
        return cls(ids, splits, x)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays; returns the facts for the manifest."""

        from imclust.core.npy import NpyRows

        checks.finite("features", self.x)
        save_rows(folder, self.ids, self.splits)
        half = self.x.dtype == np.float16
        with NpyRows(folder / "x.npy", self.x.shape, half=half) as file:
            file.write(0, np.asarray(self.x, np.float16 if half else np.float32))
        return {"rows": len(self.ids), "dims": self.x.shape[1]}

    def part(self, split: str) -> Self:
        """The rows of one split, in order; still memory-mapped when they lie side by side."""
        rows = (self.splits == split).nonzero()[0]
        keep = slice(rows[0], rows[-1] + 1) if len(rows) and _adjacent(rows) else rows
        return type(self)(self.ids[keep], self.splits[keep], self.x[keep])

    def at(self, ids: np.ndarray) -> np.ndarray:
        """Rows of `x` in the order of `ids`; a missing id is an error, never a silent drop.

        Still memory-mapped where these are all ids in their order.
        """
        if np.array_equal(self.ids, ids):
            return self.x
        return self.x[rows_of_ids(self.ids, ids)]

    def alongside(self, other: Self) -> np.ndarray:
        """Rows of `other.x` in the order of these ids; both must hold the same ids.

        Still memory-mapped where the orders agree.

        Raises
        ------
        InputError
            One has an id that the other has not.
        """
        if np.array_equal(self.ids, other.ids):
            return other.x
        odd = set(self.ids.tolist()) ^ set(other.ids.tolist())
        if odd:
            raise input_error(
                "spaces that are clustered together",
                "of the same ids",
                f"{len(odd)} that only one of two has, first {min(odd)!r}",
                "encode the same rows in each",
            )
        return other.at(self.ids)


def parts_of(folder: Path, x: np.ndarray) -> list[np.ndarray]:
    """The spaces that lie side by side in the x (n, d) of the `features` in `folder`, as views.

    Examples
    --------
    >>> [part.shape for part in parts_of(Path("run/latents"), np.ones((24, 3072)))]
    [(24, 3072)]
    """
    widths = read_manifest(folder, Features.kind).get("parts") or [x.shape[1]]
    ends = np.cumsum(widths)
    return [x[:, end - width : end] for end, width in zip(ends, widths, strict=True)]


def rows_where(x: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Rows of x (n, ...) where keep (n,) is true; no copy of those that lie side by side.

    Examples
    --------
    >>> rows_where(np.arange(4), np.array([False, True, True, False])).tolist()
    [1, 2]
    """
    rows = np.flatnonzero(keep)
    if len(rows) and _adjacent(rows):
        return np.asarray(x[rows[0] : rows[-1] + 1])
    return np.asarray(x[rows])


def _adjacent(rows: np.ndarray) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1)


def save_rows(folder: Path, ids: np.ndarray, splits: np.ndarray) -> None:
    """Write `ids.npy` and `splits.npy`.

    Examples
    --------
    >>> save_rows(Path("run"), np.array(["a", "b"]), np.array(["train", "val"]))
    >>> np.load("run/splits.npy", allow_pickle=False).tolist()
    ['train', 'val']
    """
    np.save(folder / "ids.npy", ids.astype(str), allow_pickle=False)
    np.save(folder / "splits.npy", splits.astype(str), allow_pickle=False)


def rows_of_ids(have: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Row of each wanted id among the ids at hand: (m,) int64.

    Raises
    ------
    InputError
        An id is missing.

    Examples
    --------
    >>> rows_of_ids(np.array(["a", "b"]), np.array(["b"])).tolist()
    [1]
    """
    where = {i: r for r, i in enumerate(have.tolist())}
    missing = [i for i in want.tolist() if i not in where]
    if missing:
        raise InputError(
            f"Rows are joined by id and every id must be known; got {len(missing)} of {len(want)} "
            f"unknown, the first {missing[0]!r}; run the stage before this one again."
        )
    return np.array([where[i] for i in want.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class Assignment:
    """Which image fell into which cluster.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    splits : np.ndarray
        (n,) str.
    probabilities : np.ndarray
        (n, k) float32, rows sum to one; the cluster is the argmax.
    """

    kind: ClassVar[str] = "assignment"
    ids: np.ndarray
    splits: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self) -> None:
        checks.shaped("probabilities", self.probabilities, "n k", n=len(self.ids))
        checks.finite("probabilities", self.probabilities)

    @property
    def clusters(self) -> np.ndarray:
        """(n,) int64 in [0, k)."""
        return self.probabilities.argmax(1)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`."""
        from imclust.core.npy import open_npy

        doc = read_manifest(folder, cls.kind)
        if NEAREST in doc["files"]:
            got, do = f"{doc['n_clusters']}", "take fewer, or its assignment.csv"
            raise input_error(
                f"clusters of {folder}", "so few that all have probabilities", got, do
            )
        names = ("ids.npy", "splits.npy", "probabilities.npy")
        ids, splits, p = (open_npy(artifact_file(folder, name)) for name in names)
        return cls(ids, splits, p)

    def save(
        self,
        folder: Path,
        evidence: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        parquet: bool = False,
    ) -> dict[str, Any]:
        """Write arrays and a readable table; returns the facts for the manifest.

        Parameters
        ----------
        evidence : tuple[np.ndarray, np.ndarray] | None, optional
            (n,) int second choice and (n,) distance to the own centre, for two further columns,
            `runner_up` and `distance`.
        parquet : bool, optional
            Whether the table is written as assignment.parquet/part-00000.parquet, ..., too.
        """
        save_rows(folder, self.ids, self.splits)
        np.save(folder / "probabilities.npy", self.probabilities.astype(np.float32))
        confidence = self.probabilities.max(1)
        clusters = self.clusters
        header: tuple[str, ...] = ("id", "split", "cluster", "confidence")
        shown = (f"{p:.4f}" for p in confidence)
        columns: list[Iterable[Any]] = [self.ids, self.splits, clusters, shown]
        if evidence is not None:
            header += ("runner_up", "distance")
            columns += [evidence[0], (f"{d:.4f}" for d in evidence[1])]
        write_csv(folder / "assignment.csv", header, zip(*columns, strict=True))
        if parquet:
            from imclust.core.parquet import write_shards

            shown_too = evidence or ()
            numbers = [self.ids, self.splits, clusters.astype(np.int32), confidence, *shown_too]
            write_shards(folder / "assignment.parquet", dict(zip(header, numbers, strict=True)))
        sizes = np.bincount(clusters, minlength=self.probabilities.shape[1])
        return {"rows": len(self.ids), "n_clusters": len(sizes), "sizes": sizes.tolist()}

    def part(self, split: str) -> Self:
        """The rows of one split, in order."""
        keep = self.splits == split
        return type(self)(self.ids[keep], self.splits[keep], self.probabilities[keep])


def cluster_names(doc: Mapping[str, Any], k: int) -> list[str]:
    """What to call the k clusters of an assignment with this manifest, where they are shown.

    That is what corrections or anchors called them, else `cluster 0`, `cluster 1`, ...

    Examples
    --------
    >>> cluster_names({"names": ["sea", ""]}, 2)
    ['sea', 'cluster 1']
    """
    given = next((g for g in (doc.get("names"), doc.get("classes")) if g and len(g) == k), [""] * k)
    return [name or f"cluster {c}" for c, name in enumerate(given)]


def write_csv(path: Path, header: tuple[str, ...], rows: Any) -> None:
    """A CSV table with `\\n` line ends, as leaderboards expect it.

    Examples
    --------
    >>> write_csv(Path("a.csv"), ("id", "cluster"), [("a", 0), ("b", 1)])
    >>> read_csv(Path("a.csv"))
    [{'id': 'a', 'cluster': '0'}, {'id': 'b', 'cluster': '1'}]
    """
    with path.open("w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        quoted = csv.writer(f, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in chain((header,), rows):
            # Python before 3.13 leaves a carriage return without the quotes that it needs.
            (quoted if any("\r" in str(cell) for cell in row) else w).writerow(row)


def read_csv(path: Path) -> list[dict[str, str]]:
    """A CSV table as a list of rows by column name; a byte-order mark is dropped.

    Examples
    --------
    >>> read_csv(Path("raw/labels/labels.csv"))[0]
    {'id': 'dune/00.png', 'label': 'dune'}
    """
    with path.open(newline="", encoding="utf-8-sig") as f:
        return list(csv.DictReader(f))


def read_pairs(path: Path, first: str, second: str) -> list[tuple[str, str]]:
    """Two columns of a table that a user wrote, by name.

    Raises
    ------
    InputError
        It is no such table, or a value is missing.

    Examples
    --------
    >>> read_pairs(Path("raw/labels/labels.csv"), "id", "label")[0]
    ('dune/00.png', 'dune')
    """
    try:
        rows = read_csv(path)
    except (UnicodeDecodeError, ValueError, csv.Error) as e:
        raise input_error(str(path), "a CSV table in UTF-8", str(e), "save it again") from None
    header = [c for c in rows[0] if c] if rows else []
    if not {first, second} <= set(header):
        got = f"columns {','.join(header)}" if rows else "no rows"
        do = "name the columns so in the first line"
        raise input_error(str(path), f"a table with columns {first},{second}", got, do)
    bad = next((i for i, r in enumerate(rows, 2) if not r[first] or not r[second]), None)
    if bad:
        got = f"line {bad} without"
        raise input_error(str(path), "of two values a line", got, "fill it in")
    return [(r[first], r[second]) for r in rows]


def read_labels(folder: Path) -> dict[str, str]:
    """id -> true class name, for scoring only. Nothing that picks an assignment may call this.

    Examples
    --------
    >>> read_labels(Path("raw/labels"))["dune/00.png"]
    'dune'
    """
    read_manifest(folder, "labels")
    return {r["id"]: r["label"] for r in read_csv(artifact_file(folder, "labels.csv"))}


@dataclass(frozen=True)
class PairHints:
    """What is known of pairs of images beside their pixels; ids without a value say nothing.

    Parameters
    ----------
    groups : mapping of str to str
        id -> group; images of two groups are never of one individual.
    photos : mapping of str to str
        id -> photograph that it is cut from; two images of one are of different individuals.
    bursts : mapping of str to str
        id -> track or burst; two images of one are of the same individual.
    """

    groups: Mapping[str, str]
    photos: Mapping[str, str]
    bursts: Mapping[str, str]

    def save(self, folder: Path) -> None:
        """Write `hints.csv`."""
        rows = [(i, g, self.photos.get(i, ""), self.bursts.get(i, ""))
                for i, g in self.groups.items()]  # fmt: skip
        write_csv(folder / "hints.csv", ("id", "group", "photo", "burst"), rows)

    @classmethod
    def load(cls, index: Path) -> Self:
        """Of an `index` artefact; one group without photographs where it knows none."""
        if not (index / "hints.csv").is_file():
            return cls({}, {}, {})
        rows = read_csv(artifact_file(index, "hints.csv"))
        photos, bursts = ({r["id"]: r[c] for r in rows if r[c]} for c in ("photo", "burst"))
        return cls({r["id"]: r["group"] for r in rows}, photos, bursts)

    def group_of(self, ids: np.ndarray) -> np.ndarray:
        """(n,) str: the group of each id."""
        return np.array([self.groups.get(i, "all") for i in ids.tolist()], dtype=str)


def read_published(folder: Path) -> dict[str, str]:
    """id -> class of the labels that the task gives away for learning; disjoint from the others.

    Examples
    --------
    >>> len(read_published(Path("known/published")))
    18
    """
    read_manifest(folder, "published")
    return {r["id"]: r["label"] for r in read_csv(artifact_file(folder, "labels.csv"))}


def feature_folders(assignment: Path) -> list[Path]:
    """The `features` artefacts that an `assignment` was found in, in order.

    Examples
    --------
    >>> feature_folders(Path("run/clusters"))[0].as_posix()
    'run/latents'
    """
    at = read_manifest(assignment, Assignment.kind)["inputs_at"]
    numbers = {role: role.partition(" ") for role in at}
    roles = [role for role, (kind, _, _) in numbers.items() if kind == "features"]
    roles.sort(key=lambda role: int(numbers[role][2] or 1))
    return [Path(os.path.normpath(assignment / at[role])) for role in roles]
