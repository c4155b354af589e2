"""Typed results on disk.

A folder is an artefact when, and only when, it holds `manifest.json`, which is written last; the
folder is then renamed into place in one step. A kill at any moment leaves either the old artefact
or the new one, never half of one. Work in progress lies beside it in `.<name>.partial`.

What is read is checked against the manifest's digests first (`artifact_file`), and the manifest
against a digest of its own. An artefact replaces a folder only where imclust made that folder.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imclust.core.code_digest import code_digest
from imclust.core.errors import DamagedArtifactError, input_error
from imclust.core.files import files_below, remove_work, replace_text
from imclust.core.locks import try_lock
from imclust.core.log import say
from imclust.core.manifest import (
    KEY,
    MANIFEST,
    file_sums,
    parse_json,
    read_manifest,
    sums_digest,
    verify_artifact,
    write_manifest,
)
from imclust.core.reproducibility import environment

SCHEMA = 2
_command: ContextVar[list[str] | None] = ContextVar("command", default=None)


@dataclass(frozen=True)
class ArtifactSpec:
    """Everything that decides an artefact: equal specs give equal bytes.

    Parameters
    ----------
    kind : str
        What the folder will hold.
    config : mapping
        Resolved settings, JSON values only.
    inputs : mapping of str to Path
        Role to the folder of a finished artefact.
    modules : tuple of str
        Full names of the modules that make it: the stage and its method. Whatever they import
        counts too.
    """

    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Path]
    modules: tuple[str, ...]

    def key(self) -> dict[str, Any]:
        """The part of the manifest that is compared to tell whether an artefact is up to date."""
        return {
            "kind": self.kind,
            "schema": SCHEMA,
            "config": json.loads(json.dumps(self.config)),
            "inputs": {role: read_manifest(p)["digest"] for role, p in self.inputs.items()},
            "code": code_digest(*self.modules),
        }

    def track(self) -> str:
        """`open` as soon as one input used pretrained weights, else `scratch`."""
        tracks = {read_manifest(p).get("track", "scratch") for p in self.inputs.values()}
        return "open" if "open" in tracks else "scratch"

    def learned_from(self) -> dict[str, str]:
        """What labels an input was learned from, if one was: it stays with all that follows."""
        sources = [read_manifest(p).get("learned_from") for p in self.inputs.values()]
        return next(({"learned_from": s} for s in sources if s), {})


def make_artifact(
    out: Path,
    spec: ArtifactSpec,
    write: Callable[[Path], dict[str, Any]],
    *,
    force: bool = False,
    keep_partial: bool = False,
) -> bool:
    """Make the artefact `out` unless it is there already, whole and up to date.

    Parameters
    ----------
    out : Path
        The artefact's folder.
    spec : ArtifactSpec
        What decides it.
    write : callable
        Writes the files into the staging folder it is given and returns further facts for the
        manifest. With `keep_partial`, it may find what an interrupted run of the very same spec
        left there, and continue from it.
    force : bool
        Make it even if it is up to date.
    keep_partial : bool
        Keep the staging folder when `write` fails or is interrupted.

    Returns
    -------
    bool
        Whether it was made now.

    Raises
    ------
    InputError
        An input is missing or damaged, `out` is something that imclust did not make, or another
        process is at work on the same artefact.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> def write(folder):
    ...     (folder / "x.txt").write_text("1")
    ...     return {"rows": 1}
    >>> spec = ArtifactSpec("numbers", {"seed": 0}, {}, ("imclust.core.checks",))
    >>> with TemporaryDirectory() as place:
    ...     make_artifact(Path(place) / "numbers", spec, write)
    True
    """
    refuse_to_replace(out, spec.kind)
    key = spec.key()
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.parent / f".{out.name}.lock"
    with try_lock(lock, f"{out} must be written", "wait for it, or write to another folder"):
        _recover(out)
        if not force and is_current(out, key):
            say(f"{spec.kind} {out} is up to date")
            return False
        for folder in spec.inputs.values():
            verify_artifact(folder)
        partial = _staging(out, key, resume=keep_partial and not force)
        began, cpu = time.monotonic(), time.process_time()
        try:
            facts = write(partial)
        except BaseException:
            if not keep_partial:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        sums = file_sums(partial)
        doc = key | {"track": spec.track()} | spec.learned_from() | facts
        doc |= {
            "files": sums,
            "digest": sums_digest(sums),
            "inputs_at": {r: os.path.relpath(p, out) for r, p in spec.inputs.items()},
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "argv": _command.get() or [],
            **environment(),
        }
        write_manifest(partial, doc)
        refuse_to_replace(out, spec.kind)
        _swap(partial, out)
    return True


def refuse_to_replace(out: Path, kind: str) -> None:
    """Refuse an output folder that holds anything but an artefact of this kind.

    Parameters
    ----------
    out : Path
        Where an artefact shall go: absent, an empty folder, or an artefact of the same kind with
        no file beside those that its manifest lists.
    kind : str
        Of the artefact.

    Raises
    ------
    InputError
        It is something else: a file, a device, a link, a folder of somebody's files.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     refuse_to_replace(Path(place), "features")  # empty: allowed
    """
    found = _not_ours(out, kind)
    if found:
        allowed = f"a new or empty folder, or an artefact ({kind}) that imclust wrote there"
        raise input_error(f"the output {out}", allowed, found, "choose another folder")


def is_artifact(folder: Path) -> bool:
    """Whether imclust made a folder, and no file lies beside those that its manifest lists.

    Examples
    --------
    >>> is_artifact(Path("/nowhere"))
    False
    """
    doc = parse_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    return doc is not None and not _not_ours(folder, doc.get("kind", ""))


def _not_ours(out: Path, kind: str) -> str:
    """What at `out` would be lost if an artefact went there; empty where nothing would."""
    if not os.path.lexists(out):
        return ""
    if out.is_symlink() or not out.is_dir():
        return "a link" if out.is_symlink() else "a file" if out.is_file() else "a device"
    here = files_below(out)
    if not here:
        return ""
    doc = parse_json(out / MANIFEST) if (out / MANIFEST).is_file() else None
    if doc is None or not isinstance(doc.get("files"), dict) or "schema" not in doc:
        return f"a folder that holds {here[0]} and no manifest of imclust's"
    if doc.get("kind") != kind:
        return f"an artefact of another kind ({doc.get('kind')!r})"
    ours = {MANIFEST, *doc["files"]}
    odd = [name for name in here if name not in ours or (out / name).is_symlink()]
    return f"a folder that holds {odd[0]} too" if odd else ""


@contextmanager
def recorded_command(argv: Sequence[str]) -> Iterator[None]:
    """Inside the block, manifests name this command, a stage and its flags, as their maker.

    A command that runs several stages gives each its own, so that each can be made again alone.

    Examples
    --------
    >>> with recorded_command(["encode", "--out", "z"]):
    ...     current_command()
    ['encode', '--out', 'z']
    """
    before = _command.set(list(argv))
    try:
        yield
    finally:
        _command.reset(before)


def current_command() -> list[str]:
    """The command that manifests name just now; empty through Python.

    Examples
    --------
    >>> current_command()
    []
    """
    return list(_command.get() or [])


def is_current(out: Path, key: Mapping[str, Any]) -> bool:
    """Whether `out` was made by this very spec and still holds the bytes that were written.

    What is damaged is said, and counts as not there.

    Examples
    --------
    >>> is_current(Path("/nowhere"), {"kind": "features"})
    False
    """
    if not (out / MANIFEST).is_file():
        return False
    try:
        doc = read_manifest(out)
        if any(doc.get(k) != v for k, v in key.items()):
            return False
        verify_artifact(out)
    except DamagedArtifactError as e:
        say(f"{str(e).split('; run ')[0]}; it is made again")
        return False
    return True


def _staging(out: Path, key: Mapping[str, Any], *, resume: bool) -> Path:
    """The staging folder: what an interrupted run of the same spec left, or an empty one."""
    partial = out.parent / f".{out.name}.partial"
    note = partial / KEY
    text = json.dumps(key, sort_keys=True)
    if resume and note.is_file() and note.read_text() == text:
        return partial
    remove_work(partial, KEY, MANIFEST)
    partial.mkdir()
    replace_text(note, text)
    return partial


def _swap(partial: Path, out: Path) -> None:
    """Put a complete staging folder in the place of `out`."""
    old = out.parent / f".{out.name}.old"
    remove_work(old, MANIFEST)
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
    remove_work(out.parent / f".{out.name}.old", MANIFEST)


def plain(config: Any) -> dict[str, Any]:
    """A frozen config as JSON values, for a manifest.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> plain(make_dataclass("Settings", [("size", int), ("out", Path)])(32, Path("a")))
    {'size': 32, 'out': 'a'}
    """
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
