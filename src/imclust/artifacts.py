"""Typed results on disk.

A folder is an artefact when, and only when, it holds `manifest.json`, which is written last; the
folder is then renamed into place in one step. A kill at any moment leaves either the old artefact
or the new one, never half of one. Work in progress lives beside it in `.<name>.partial`.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from imclust import checks
from imclust.checks import Refusal, refusal
from imclust.log import say
from imclust.repro import environment

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
KEY = ".key.json"
SCHEMA = 1


def file_digest(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def source_digest(*modules: str) -> str:
    """Digest of the source of the modules that decide an artefact's numbers."""
    h = hashlib.sha256()
    for name in sorted(modules):
        h.update((Path(__file__).parent / (name.replace(".", "/") + ".py")).read_bytes())
    return h.hexdigest()[:16]


def read_manifest(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """The manifest of a finished artefact.

    Raises:
        Refusal: nothing finished is there, or it is of another kind.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise refusal(
            str(folder),
            f"a finished {kind or 'artefact'}",
            "no manifest.json",
            "run the stage that writes it first",
        )
    doc: dict[str, Any] = json.loads(path.read_text())
    if kind is not None and doc["kind"] != kind:
        raise refusal(str(folder), f"an artefact of kind {kind!r}", repr(doc["kind"]), "check path")
    return doc


def lineage(*folders: Path) -> dict[Path, dict[str, Any]]:
    """Manifests of artefacts and of everything they were made from, first made first."""
    found: dict[Path, dict[str, Any]] = {}

    def visit(folder: Path) -> None:
        folder = Path(os.path.normpath(folder))
        if folder not in found:
            doc = read_manifest(folder)
            for there in doc["inputs_at"].values():
                visit(folder / there)
            found[folder] = doc

    for folder in folders:
        visit(folder)
    return found


@dataclass(frozen=True)
class Order:
    """Everything that decides an artefact: equal orders give equal bytes.

    Args:
        kind: what the folder will hold.
        config: resolved settings, JSON values only.
        inputs: role -> folder of a finished artefact.
        code: names of the imclust modules whose source decides the numbers.
    """

    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Path]
    code: tuple[str, ...]

    def key(self) -> dict[str, Any]:
        """The part of the manifest that is compared to tell whether an artefact is up to date."""
        return {
            "kind": self.kind,
            "schema": SCHEMA,
            "config": json.loads(json.dumps(self.config)),
            "inputs": {role: read_manifest(p)["digest"] for role, p in self.inputs.items()},
            "code": source_digest(*self.code),
        }

    def track(self) -> str:
        """`open` as soon as one input used pretrained weights, else `scratch`."""
        tracks = {read_manifest(p).get("track", "scratch") for p in self.inputs.values()}
        return "open" if "open" in tracks else "scratch"


def produce(
    out: Path,
    order: Order,
    write: Callable[[Path], dict[str, Any]],
    *,
    force: bool = False,
    keep_partial: bool = False,
) -> bool:
    """Make the artefact `out` unless it is there already and up to date.

    Args:
        out: the artefact's folder.
        order: what decides it.
        write: writes the files into the staging folder it is given and returns further facts for
            the manifest. With `keep_partial`, it may find what an interrupted run of the very
            same order left there, and continue from it.
        force: make it even if it is up to date.
        keep_partial: keep the staging folder when `write` fails or is interrupted.

    Returns:
        Whether it was made now.

    Raises:
        Refusal: an input is missing, or another process is at work on the same artefact.
    """
    key = order.key()
    out.parent.mkdir(parents=True, exist_ok=True)
    with _lock(out):
        _recover(out)
        if not force and is_current(out, key):
            say(f"{order.kind} {out} is up to date")
            return False
        partial = _staging(out, key, resume=keep_partial and not force)
        began, cpu = time.monotonic(), time.process_time()
        try:
            facts = write(partial)
        except BaseException:
            if not keep_partial:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        files = sorted(p for p in partial.rglob("*") if p.is_file() and p.name != KEY)
        sums = {str(p.relative_to(partial)): [p.stat().st_size, file_digest(p)] for p in files}
        doc = key | {"track": order.track()} | facts
        doc |= {
            "files": sums,
            "digest": hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16],
            "inputs_at": {r: os.path.relpath(p, out) for r, p in order.inputs.items()},
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "argv": sys.argv[1:],
            **environment(),
        }
        replace_text(partial / MANIFEST, json.dumps(doc, indent=1, sort_keys=True) + "\n")
        _swap(partial, out)
    return True


def is_current(out: Path, key: Mapping[str, Any]) -> bool:
    """Whether `out` was made by this very order and still holds its files, by name and size."""
    if not (out / MANIFEST).is_file():
        return False
    doc = read_manifest(out)
    if any(doc.get(k) != v for k, v in key.items()):
        return False
    sizes = {name: size for name, (size, _) in doc["files"].items()}
    return all((out / n).is_file() and (out / n).stat().st_size == s for n, s in sizes.items())


def _staging(out: Path, key: Mapping[str, Any], *, resume: bool) -> Path:
    """The staging folder: what an interrupted run of the same order left, or an empty one."""
    partial = out.parent / f".{out.name}.partial"
    note = partial / KEY
    text = json.dumps(key, sort_keys=True)
    if not (resume and note.is_file() and note.read_text() == text):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        replace_text(note, text)
    return partial


def _swap(partial: Path, out: Path) -> None:
    """Put a complete staging folder in the place of `out`."""
    old = out.parent / f".{out.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    (partial / KEY).unlink(missing_ok=True)
    if out.exists():
        os.rename(out, old)
    os.rename(partial, out)
    shutil.rmtree(old, ignore_errors=True)


def _recover(out: Path) -> None:
    """Finish a `_swap` that a kill cut short: a staging folder with a manifest is complete."""
    partial = out.parent / f".{out.name}.partial"
    if (partial / MANIFEST).is_file():
        _swap(partial, out)
    shutil.rmtree(out.parent / f".{out.name}.old", ignore_errors=True)


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old text or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Hold `out` for this process; the lock goes with the process, however it ends."""
    path = out.parent / f".{out.name}.lock"
    with path.open("a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            f.seek(0)
            raise Refusal(
                f"{out} must be written by one run at a time; got a second one while process "
                f"{f.read().strip() or '?'} is at work on it; wait for it, or set RUN to "
                "another name."
            ) from None
        f.truncate(0)
        f.write(str(os.getpid()))
        f.flush()
        yield


@dataclass(frozen=True)
class Features:
    """One space. Row i of `x` belongs to image `ids[i]`, which is of split `splits[i]`.

    Args:
        ids: (n,) str, unique.
        splits: (n,) str, `train` or `val`.
        x: (n, d) float32, finite; memory-mapped when loaded.
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
        from imclust.npy import open_npy

        read_manifest(folder, cls.kind)
        ids, splits, x = (open_npy(folder / f"{n}.npy") for n in ("ids", "splits", "x"))
        return cls(ids, splits, x)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays; returns the facts for the manifest."""
        import numpy as np

        from imclust.npy import NpyWriter

        checks.finite("features", self.x)
        save_rows(folder, self.ids, self.splits)
        with NpyWriter(folder / "x.npy", self.x.shape) as w:
            w.append(np.asarray(self.x, np.float32))
        return {"rows": len(self.ids), "dims": self.x.shape[1]}

    def part(self, split: str) -> Self:
        """The rows of one split, in order; still memory-mapped when they lie side by side."""
        rows = (self.splits == split).nonzero()[0]
        keep = slice(rows[0], rows[-1] + 1) if len(rows) and _adjacent(rows) else rows
        return type(self)(self.ids[keep], self.splits[keep], self.x[keep])

    def at(self, ids: np.ndarray) -> np.ndarray:
        """Rows of `x` in the order of `ids`; a missing id is an error, never a silent drop."""
        return self.x[positions(self.ids, ids)]


def _adjacent(rows: np.ndarray) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1)


def save_rows(folder: Path, ids: np.ndarray, splits: np.ndarray) -> None:
    """Write `ids.npy` and `splits.npy`."""
    import numpy as np

    np.save(folder / "ids.npy", ids.astype(str), allow_pickle=False)
    np.save(folder / "splits.npy", splits.astype(str), allow_pickle=False)


def positions(have: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Row of each wanted id among the ids at hand: (m,) int64.

    Raises:
        Refusal: an id is missing.
    """
    import numpy as np

    where = {i: r for r, i in enumerate(have.tolist())}
    missing = [i for i in want.tolist() if i not in where]
    if missing:
        raise Refusal(
            f"Rows are joined by id and every id must be known; got {len(missing)} of {len(want)} "
            f"unknown, the first {missing[0]!r}; run the stage before this one again."
        )
    return np.array([where[i] for i in want.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class Assignment:
    """Which image fell into which cluster.

    Args:
        ids: (n,) str. splits: (n,) str.
        probabilities: (n, k) float32, rows sum to one; the cluster is the argmax.
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
        from imclust.npy import open_npy

        read_manifest(folder, cls.kind)
        ids, splits, p = (open_npy(folder / f"{n}.npy") for n in ("ids", "splits", "probabilities"))
        return cls(ids, splits, p)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write arrays and a readable table; returns the facts for the manifest."""
        import numpy as np

        save_rows(folder, self.ids, self.splits)
        np.save(folder / "probabilities.npy", self.probabilities.astype(np.float32))
        confidence = self.probabilities.max(1)
        rows = zip(self.ids, self.splits, self.clusters, confidence, strict=True)
        table = ((i, s, int(c), f"{p:.4f}") for i, s, c, p in rows)
        write_csv(folder / "assignment.csv", ("id", "split", "cluster", "confidence"), table)
        sizes = np.bincount(self.clusters, minlength=self.probabilities.shape[1])
        return {"rows": len(self.ids), "n_clusters": len(sizes), "sizes": sizes.tolist()}

    def part(self, split: str) -> Self:
        """The rows of one split, in order."""
        keep = self.splits == split
        return type(self)(self.ids[keep], self.splits[keep], self.probabilities[keep])


def write_csv(path: Path, header: tuple[str, ...], rows: Any) -> None:
    """A CSV table with `\\n` line ends, as leaderboards expect it."""
    with path.open("w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(header)
        w.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """A CSV table as a list of rows by column name; a byte-order mark is dropped."""
    with path.open(newline="", encoding="utf-8-sig") as f:
        return list(csv.DictReader(f))


def plain(config: Any) -> dict[str, Any]:
    """A frozen config as JSON values, for a manifest."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}


def read_labels(folder: Path) -> dict[str, str]:
    """id -> true class name, for scoring only. Nothing that picks an answer may call this."""
    read_manifest(folder, "labels")
    return {r["id"]: r["label"] for r in read_csv(folder / "labels.csv")}
