"""What `cluster` and `link` need for corrections: the assignment before them, and their effect."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.corrections import Corrections, read_corrections
from imclust.clustering.pairwise_constraints import Pairs
from imclust.core.artifacts import (
    ArtifactSpec,
    current_command,
    is_current,
    make_artifact,
    recorded_command,
)
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, file_digest, read_manifest, write_manifest
from imclust.core.wording import counted

TABLE = "assignment.csv"
KEPT = "corrections"  # folder of the files themselves, in that of the corrected assignment
LEFT_OUT = "corrections-left-out"  # beside an assignment: those that it no longer keeps
SUGGESTED = "suggestions.csv"
BEFORE = "before"  # folder of the assignment without corrections, in that of the corrected one
EVIDENCE = ("k.csv", "k.png", "candidates.csv")  # of the assignment without, told of the other too


def read_all(paths: tuple[Path, ...]) -> tuple[list[Corrections], list[str]]:
    """The files in order, and their digests for the manifest.

    Raises
    ------
    InputError
        One cannot be read.

    Examples
    --------
    >>> read_all(())
    ([], [])
    """
    return [read_corrections(path) for path in paths], [file_digest(path) for path in paths]


def kept_files(out: Path) -> list[Path]:
    """The files of corrections that the assignment in `out` was made with, in order.

    Examples
    --------
    >>> kept_files(Path("/nowhere"))
    []
    """
    return sorted((out / KEPT).glob("*.json")) if (out / MANIFEST).is_file() else []


def all_files(out: Path, given: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files that an assignment keeps, and those given now behind them.

    A file that is kept already counts once. One that was saved from the page of the same one as
    the last of those kept, and says all that it says, takes its place.

    Raises
    ------
    InputError
        One cannot be read, or would leave out what an earlier one says.

    Examples
    --------
    >>> all_files(Path("/nowhere"), ())
    ()
    """
    kept, said = kept_files(out), {path: read_corrections(path) for path in given}
    known = {file_digest(path) for path in kept}
    fresh = [path for path in given if file_digest(path) not in known] if kept else list(given)
    if not kept or not fresh:
        return (*kept, *fresh)
    first, last = said[fresh[0]], read_corrections(kept[-1])
    if first.assignment != last.assignment or first.assignment == file_digest(out / TABLE):
        return (*kept, *fresh)
    if not first.says_all_of(last):
        allowed = f"made for the assignment as it is now, or of all that {last.path} says"
        do = (
            "save them from the page as it is now, or add --without-corrections to give up what "
            "was said before"
        )
        raise input_error(f"the corrections {fresh[0]}", allowed, "less of it", do)
    return (*kept[:-1], *fresh)


def belong_to_base(out: Path, base: Path | None) -> bool:
    """Whether what the assignment in `out` was corrected with is part of a `base` already, from
    which it is to be grown.

    Examples
    --------
    >>> belong_to_base(Path("/nowhere"), None)
    False
    """
    if base is None or not (out / MANIFEST).is_file():
        return False
    return bool(read_manifest(out)["inputs"].get("grown from") != read_manifest(base)["digest"])


def leave_out(at: Path, out: Path | None = None) -> None:
    """Keep the files of an assignment that is to be made without them, beside it.

    Parameters
    ----------
    at : Path
        The artefact that has them.
    out : Path, optional
        The assignment, where it is another.

    Examples
    --------
    >>> kept = Path("run/clusters") / KEPT
    >>> kept.mkdir()
    >>> _ = (kept / "0.json").write_text("{}")
    >>> leave_out(Path("run/clusters"))
    corrections left out: they are kept in run/corrections-left-out
    """
    out, kept = out or at, kept_files(at)
    for path in kept:
        to = out.with_name(LEFT_OUT) / f"{file_digest(path)[:12]}.json"
        to.parent.mkdir(exist_ok=True)
        if not to.exists():
            shutil.copyfile(path, to)
    if kept:
        say(f"corrections left out: they are kept in {out.with_name(LEFT_OUT)}")


def _refuse_other_settings(out: Path, spec: ArtifactSpec) -> None:
    """Refuse to apply what was said of an assignment to that of other settings, before any work."""
    doc, key = read_manifest(out), spec.key()
    was, now = ({**d, "corrections": None} for d in (doc["config"], key["config"]))
    odd = [name for name in sorted(was | now) if was.get(name) != now.get(name)]
    odd += ["images or features"] * (doc["inputs"] != key["inputs"])
    if odd:
        raise input_error(
            f"the assignment in {out}, which is corrected by hand,",
            "asked for with the settings and images that it was made with",
            f"another {odd[0]}",
            "leave the corrections out with --without-corrections, or choose another --out",
        )


def make_corrected(
    out: Path,
    spec: ArtifactSpec,
    make: Callable[[Path], dict[str, Any]],
    corrected: Callable[[list[Corrections], Uncorrected, Path], dict[str, Any]],
    given: tuple[Path, ...],
    *,
    without: bool,
    force: bool,
    base: Path | None = None,
) -> bool:
    """Make an assignment with what was said of it, as `make_artifact`; whether it was made now.

    Parameters
    ----------
    out : Path
        Where it goes.
    spec : ArtifactSpec
        What decides the assignment without corrections.
    make : callable
        Makes that one.
    corrected : callable
        Makes the corrected one of the files, the one without, and the folder.
    given : tuple of Path
        Files that are new.
    without : bool
        Leave out those that `out` keeps.
    force : bool
        Make it even if it is up to date.
    base : Path, optional
        What it is grown from, of which the files that `out` keeps may be part.

    Examples
    --------
    >>> spec = ArtifactSpec("assignment", {"seed": 0}, {}, (__name__,))
    >>> def make(folder):
    ...     _ = (folder / TABLE).write_text("id,cluster\\na,0\\n")
    ...     return {"n_clusters": 1}
    >>> make_corrected(Path("run/other"), spec, make, make, (), without=False, force=False)
    True
    """
    write, whole = make, spec
    alone = without or belong_to_base(out, base)
    paths = given if alone else all_files(out, given)
    if paths:
        if not alone and paths[0] in kept_files(out):
            _refuse_other_settings(out, spec)
        files, digests = read_all(paths)
        whole = replace(spec, config={**spec.config, "corrections": digests})
        write = partial(corrected, files, Uncorrected(spec, make, out))
    if without:
        leave_out(out)
    with _naming_corrections([out / KEPT / _file_name(n) for n in range(len(paths))]):
        return make_artifact(out, whole, write, force=force)


def _file_name(number: int) -> str:
    return f"{number + 1:03}.json"


def keep_files(files: list[Corrections], folder: Path) -> None:
    """Put the files themselves beside the assignment that they corrected.

    Examples
    --------
    >>> file = Corrections(Path("c.json"), 64 * "0", {}, (), {}, (), ())
    >>> _ = file.path.write_text("{}")
    >>> keep_files([file], Path("run"))
    >>> [path.as_posix() for path in Path("run", KEPT).iterdir()]
    ['run/corrections/001.json']
    """
    (folder / KEPT).mkdir()
    for n, file in enumerate(files):
        shutil.copyfile(file.path, folder / KEPT / _file_name(n))


@dataclass(frozen=True)
class Uncorrected:
    """The assignment without corrections.

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

    def bring(self, folder: Path, corrected: str) -> Path:
        """Put it into `folder`, with its evidence; returns where it is there.

        An assignment of the very same spec is copied from --out or from beside it, which saves the
        computing, and so is one that earlier code made, if it is the one that was corrected; else
        it is made again.

        Parameters
        ----------
        corrected : str
            Digest of the table that the first file of corrections speaks of.
        """
        to = folder / BEFORE
        key = self.spec.key()
        places = list(self._places())
        found = next((path for path in places if _is_there(path, key)), None)
        if found is None:
            found = next((path for path in places if _was_there(path, key, corrected)), None)
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


def _was_there(path: Path, key: dict[str, Any], table: str) -> bool:
    """Whether an assignment of this key, but for its code, is whole and has this table."""
    try:
        doc = read_manifest(path)
        return doc["files"][TABLE][1] == table and is_current(path, key | {"code": doc["code"]})
    except (OSError, ValueError, AttributeError, KeyError, InputError):
        return False


@contextmanager
def _naming_corrections(paths: list[Path]) -> Iterator[None]:
    """Inside the block, a manifest's command names these files, which lie with the assignment."""
    words = current_command()
    if words[:1] not in (["cluster"], ["link"]):
        yield
        return
    _, rest = split_corrections(words)
    said = ["--corrections", *map(str, paths)] if paths else []
    with recorded_command([rest[0], *said, *rest[1:]]):
        yield


def split_corrections(words: list[str]) -> tuple[list[str], list[str]]:
    """The files of corrections that a command names, and its other words.

    Examples
    --------
    >>> split_corrections(["cluster", "--corrections", "a.json", "--seed", "1", "kmeans"])
    (['a.json'], ['cluster', '--seed', '1', 'kmeans'])
    """
    files, rest, inside = list[str](), list[str](), False
    methods = {entry.name for entry in CLUSTERERS}
    for word in words:
        ends = word.startswith("--") or word in methods
        inside = word == "--corrections" or (inside and not ends)
        if word != "--corrections":
            (files if inside else rest).append(word)
    return files, rest


def of_rows(pairs: Pairs, rows: np.ndarray) -> Pairs:
    """Pairs of places in `rows` (m,) int as pairs of row numbers.

    Examples
    --------
    >>> of_rows(((0, 1),), np.array([4, 7]))
    ((4, 7),)
    """
    return tuple((int(rows[a]), int(rows[b])) for a, b in pairs)


def refuse_another(file: Corrections, earlier: list[Corrections], shown: Path) -> None:
    """Refuse a file that was not made for an assignment.

    Parameters
    ----------
    file : Corrections
        The file.
    earlier : list of Corrections
        Those that the assignment was corrected with before.
    shown : Path
        The folder of the assignment.

    Raises
    ------
    InputError
        It speaks of another one.

    Examples
    --------
    >>> shown = Path("run/clusters")
    >>> file = Corrections(Path("c.json"), file_digest(shown / TABLE), {}, (), {}, (), ())
    >>> refuse_another(file, [], shown)  # it fits
    """
    digest = file_digest(shown / TABLE)
    if file.assignment == digest:
        return
    allowed = f"made for this assignment (sha256 of {TABLE} {digest[:12]}...)"
    got = f"those of {file.assignment[:12]}..."
    do = "name the files in the order in which they were made"
    if file.assignment in {e.assignment for e in earlier}:
        got += ", which an earlier file has changed"
        do = "save both again as one file, or the later one from the corrected report"
    elif not earlier:
        do = (
            "give the settings, seed and images of the assignment that the page showed, or save "
            "the corrections again from the page of this one"
        )
    raise input_error(f"the corrections {file.path}", allowed, got, do)


def of_grown(
    file: Corrections, earlier: tuple[str, ...], shown: Path, ids: Sequence[str], k: int
) -> Corrections:
    """A file saved before images came or went, as if it were of the clusters that grew from those.

    Parameters
    ----------
    file : Corrections
        Returned as it is where it is of none of the earlier tables.
    earlier : tuple of str
        sha256:K of each.
    shown : Path
        The grown assignment, of images `ids` and with `k` clusters.

    Examples
    --------
    >>> from imclust.clustering.corrections import Corrections
    >>> file = Corrections(Path("c.json"), "0" * 64, {}, (), {}, (), ())
    >>> of_grown(file, (), Path("clusters"), ["a"], 2) is file  # of no earlier table
    True
    """
    counts = dict(text.rsplit(":", 1) for text in earlier)
    if file.assignment not in counts:
        return file
    grown, gone = file.grown(ids, int(counts[file.assignment]), k, file_digest(shown / TABLE))
    if gone:
        n, pairs = counted(gone, "image"), "" if len(grown.awaited) == gone else "; not pairs"
        say(f"{file.path} speaks of {n} now gone: moves wait until they come back{pairs}")
    return grown
