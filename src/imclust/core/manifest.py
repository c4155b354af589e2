"""Manifests: what an artefact is, what it was made from, and whether it is still whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imclust.core.errors import DamagedArtifactError, input_error
from imclust.core.files import replace_text

MANIFEST = "manifest.json"
KEY = ".key.json"  # of work in progress: what it will be
COMMON = {  # what every manifest holds
    *("kind", "schema", "config", "inputs", "code", "track", "learned_from", "files", "digest"),
    *("inputs_at", "seconds", "cpu_seconds", "peak_mib", "written", "argv"),
    *("versions", "git", "device", "cpus", "variables", "seal"),
}
# Files whose bytes this process has found to be right, by what the system says of them.
_verified: dict[tuple[str, str], tuple[int, int, int]] = {}


def file_digest(path: Path) -> str:
    """sha256 of a file, hexadecimal.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = Path(folder.name, "a").write_bytes(b"")
    >>> file_digest(Path(folder.name, "a"))[:8]
    'e3b0c442'
    >>> folder.cleanup()
    """
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def artifact_file(folder: Path, name: str) -> Path:
    """The path of a file of an artefact whose bytes are those that were written.

    The file is read once to compare its digest with the manifest's; later calls in this process
    trust its size, time of change and inode.

    Parameters
    ----------
    folder : Path
        A finished artefact.
    name : str
        Of the file, as its manifest lists it.

    Raises
    ------
    DamagedArtifactError
        The file has gone, or holds other bytes.
    InputError
        There is no such artefact, or it never had such a file.

    Examples
    --------
    >>> artifact_file(Path("run/clusters"), "assignment.csv").as_posix()
    'run/clusters/assignment.csv'
    """
    files = read_manifest(folder)["files"]
    if name not in files:
        raise input_error(str(folder), f"an artefact with {name}", "none", "check the path")
    _verify(folder, name, files[name])
    return folder / name


def verify_artifact(folder: Path) -> None:
    """Compare every file of an artefact with its manifest.

    Parameters
    ----------
    folder : Path
        A finished artefact.

    Raises
    ------
    DamagedArtifactError
        One has gone, or holds other bytes than were written.

    Examples
    --------
    >>> verify_artifact(Path("run/clusters"))  # whole
    >>> _ = Path("run/clusters/assignment.csv").write_text("id,cluster\\n")
    >>> try:
    ...     verify_artifact(Path("run/clusters"))
    ... except DamagedArtifactError as e:
    ...     str(e).partition(";")[0]
    'run/clusters must be as it was written'
    """
    for name, listed in read_manifest(folder)["files"].items():
        _verify(folder, name, listed)


def _verify(folder: Path, name: str, listed: Sequence[Any]) -> None:
    """Compare a file with (size, digest) of the manifest, unless this process did so already."""
    path, (size, digest) = folder / name, listed
    try:
        state = path.stat()
    except OSError:
        raise _damaged(folder, f"{name} has gone") from None
    stamp = (state.st_size, state.st_mtime_ns, state.st_ino)
    if _verified.get((str(path.absolute()), digest)) == stamp:
        return
    if state.st_size != size:
        raise _damaged(folder, f"{name} has {state.st_size} bytes instead of {size}")
    if file_digest(path) != digest:
        raise _damaged(folder, f"{name} holds other bytes than were written")
    _verified[str(path.absolute()), digest] = stamp


def _damaged(folder: Path, found: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"{folder} must be as it was written; got damage: {found}; run the stage that makes it "
        "again."
    )


def read_manifest(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """The manifest of a finished artefact.

    Parameters
    ----------
    folder : Path
        Of the artefact.
    kind : str, optional
        What the artefact must be, such as ``features``.

    Raises
    ------
    DamagedArtifactError
        The manifest is no manifest, or was changed since it was written.
    InputError
        Nothing finished is there, or it is of another kind.

    Examples
    --------
    >>> doc = read_manifest(Path("run/clusters"), "assignment")
    >>> doc["n_clusters"], doc["sizes"], doc["inputs_at"]
    (2, [12, 12], {'features': '../latents'})
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise input_error(
            str(folder),
            f"a finished {kind or 'artefact'}",
            "no manifest.json",
            "run the stage that writes it first",
        )
    doc = parse_json(path)
    if doc is None or doc.get("seal") != _seal(doc):
        raise _damaged(folder, f"{MANIFEST} is not as it was written")
    if kind is not None and doc["kind"] != kind:
        raise input_error(
            str(folder), f"an artefact of kind {kind!r}", repr(doc["kind"]), "check path"
        )
    return doc


def write_manifest(folder: Path, doc: Mapping[str, Any]) -> None:
    """Write a manifest with its seal, in one step.

    Parameters
    ----------
    folder : Path
        Of the artefact.
    doc : mapping
        JSON values, without a seal or with an earlier one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     write_manifest(Path(place), {"kind": "features", "rows": 4})
    ...     read_manifest(Path(place), "features")["rows"]
    4
    """
    replace_text(folder / MANIFEST, json.dumps(sealed(doc), indent=1, sort_keys=True) + "\n")


def sealed(doc: Mapping[str, Any]) -> dict[str, Any]:
    """A document with a digest of all else in it, which tells whether it was edited.

    Examples
    --------
    >>> doc = sealed({"a": 1})
    >>> sealed(doc) == doc, sealed(doc | {"a": 2}) == doc
    (True, False)
    """
    return dict(doc) | {"seal": _seal(doc)}


def lineage(*folders: Path) -> dict[Path, dict[str, Any]]:
    """Manifests of artefacts and of everything they were made from, first made first.

    Parameters
    ----------
    *folders : Path
        Finished artefacts; what they were made from must be where it was.

    Returns
    -------
    dict of Path to dict
        Folder -> manifest.

    Examples
    --------
    >>> [path.as_posix() for path in lineage(Path("run/clusters"))]
    ['raw/index', 'run/weights', 'run/latents', 'run/clusters']
    """
    found: dict[Path, dict[str, Any]] = {}
    seen = set[str]()  # one artefact may be given by a relative and by an absolute path

    def visit(folder: Path) -> None:
        folder = Path(os.path.normpath(folder))
        if (whole := os.path.abspath(folder)) not in seen:
            seen.add(whole)
            doc = read_manifest(folder)
            for there in doc["inputs_at"].values():
                visit(folder / there)
            found[folder] = doc

    for folder in folders:
        visit(folder)
    return found


def facts_of(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What the stage itself had to say in a manifest: all but what `make_artifact` adds.

    Examples
    --------
    >>> facts_of({"kind": "features", "rows": 4})
    {'rows': 4}
    """
    return {name: value for name, value in doc.items() if name not in COMMON}


def file_sums(folder: Path) -> dict[str, list[Any]]:
    """Size and digest of every file below a folder, by its path there; no manifest, no note.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     _ = Path(place, "a.txt").write_bytes(b"four")
    ...     {name: (size, digest[:8]) for name, (size, digest) in file_sums(Path(place)).items()}
    {'a.txt': (4, '04efaf08')}
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != KEY)
    mine = [p for p in files if p != folder / MANIFEST]
    return {p.relative_to(folder).as_posix(): [p.stat().st_size, file_digest(p)] for p in mine}


def sums_digest(sums: Mapping[str, Any]) -> str:
    """What an artefact is called by those that are made from it: a digest of its `file_sums`.

    Examples
    --------
    >>> sums_digest({"a.txt": [4, "0" * 64]})
    '437520b0801fad6a'
    """
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]


def parse_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     path = Path(place) / "a.json"
    ...     _ = path.write_text('{"k": 3}')
    ...     parse_json(path)
    {'k': 3}
    """
    try:
        doc = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return doc if isinstance(doc, dict) else None


def _seal(doc: Mapping[str, Any]) -> str:
    """Digest of a manifest but for its seal."""
    bare = {name: value for name, value in doc.items() if name != "seal"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()[:32]
