"""Typed results on disk.

A folder is an artefact when, and only when, it holds `manifest.json`, which is written last; the
folder is then renamed into place in one step. A kill at any moment leaves either the old artefact
or the new one, never half of one. Work in progress lives beside it in `.<name>.partial`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imclust.checks import refusal
from imclust.locks import held
from imclust.log import say
from imclust.repro import environment

MANIFEST = "manifest.json"
KEY = ".key.json"
SCHEMA = 1
COMMON = {  # what every manifest holds
    *("kind", "schema", "config", "inputs", "code", "track", "learned_from", "files", "digest"),
    *("inputs_at", "seconds", "cpu_seconds", "peak_mib", "written", "argv"),
    *("versions", "git", "device", "cpus", "variables"),
}
_command: ContextVar[list[str] | None] = ContextVar("command", default=None)


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

    def learned_from(self) -> dict[str, str]:
        """What labels an input was learned from, if one was: it stays with all that follows."""
        sources = [read_manifest(p).get("learned_from") for p in self.inputs.values()]
        return next(({"learned_from": s} for s in sources if s), {})


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
    lock = out.parent / f".{out.name}.lock"
    with held(lock, f"{out} must be written", "wait for it, or set RUN to another name"):
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
        doc = key | {"track": order.track()} | order.learned_from() | facts
        doc |= {
            "files": sums,
            "digest": hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16],
            "inputs_at": {r: os.path.relpath(p, out) for r, p in order.inputs.items()},
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "argv": _command.get() or sys.argv[1:],
            **environment(),
        }
        replace_text(partial / MANIFEST, json.dumps(doc, indent=1, sort_keys=True) + "\n")
        _swap(partial, out)
    return True


def facts_of(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What the stage itself had to say in a manifest: all but what `produce` puts into each."""
    return {name: value for name, value in doc.items() if name not in COMMON}


@contextmanager
def made_by(argv: Sequence[str]) -> Iterator[None]:
    """Inside the block, manifests name this command, a stage and its flags, as their maker.

    A command that runs several stages gives each its own, so that each can be made again alone.
    """
    before = _command.set(list(argv))
    try:
        yield
    finally:
        _command.reset(before)


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


def plain(config: Any) -> dict[str, Any]:
    """A frozen config as JSON values, for a manifest."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
