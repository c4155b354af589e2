"""Shards as objects on storage that has neither locks nor renames: see `object_storage`.

A shard's spec decides its place, `TOP/<digest of the spec>/`. There lie its files, each named
after the digest of its bytes, and a manifest, which is put last and alone tells that the rest is
whole. Two workers at one shard put the same names; whatever a crash leaves is either no shard, or
whole.

An object is overwritten only where its name is the digest of what replaces it, or where it is a
manifest that tells by its seal and its spec that it is that shard's, or is the beginning of what
replaces it. Anything else at such a place is somebody's, and refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imclust.core.errors import DamagedArtifactError, InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, file_sums, sealed
from imclust.core.object_storage import (
    asked,
    below,
    difference,
    fetch_named,
    put_named,
    put_object,
    read_object,
    remove_folder,
    remove_object,
)

KIND = "shard"
SCHEMA = 1


def make_shard(
    top: str, spec: Mapping[str, Any], write: Callable[[Path], Mapping[str, Any]]
) -> bool:
    """Make a shard unless it is there already and whole; one that is not is said, and made again.

    Parameters
    ----------
    top : str
        Where shards go.
    spec : mapping
        All that decides the shard, JSON values.
    write : callable
        Writes the files into the empty folder that it is given; returns further facts for the
        manifest, which must not tell times or places: equal specs give equal manifests.

    Returns
    -------
    bool
        Whether it was made now.

    Raises
    ------
    InputError
        Somebody else's manifest lies there, or the storage cannot be used.

    Examples
    --------
    >>> def write(folder):
    ...     _ = (folder / "x.txt").write_text("1")
    ...     return {"rows": 1}
    >>> top = "memory://doc-make"
    >>> make_shard(top, {"first": 0}, write), make_shard(top, {"first": 0}, write)
    (True, False)
    """
    at = shard_at(top, spec)
    with asked(top):
        found = read_object(f"{at}/{MANIFEST}")
        doc = _ours(found, spec)
        if found is not None and doc is None and _parsed(found) is not None:
            raise _foreign(at)  # a whole document: what a crash leaves is the beginning of one
        broken = _broken(at, doc) if doc else ""
    if doc and not broken:
        return False
    if broken:
        say(f"the shard {at} is damaged ({broken}); it is made again")
    with TemporaryDirectory(prefix="imclust-") as place:
        facts = write(Path(place))
        sums = file_sums(Path(place))
        for name in sums:
            put_named(at, Path(place, name))
    fresh = {"kind": KIND, "schema": SCHEMA, "spec": dict(spec), "files": sums, **facts}
    text = (json.dumps(sealed(fresh), indent=1, sort_keys=True) + "\n").encode()
    with asked(top):
        _put_manifest(at, spec, text)
    return True


def fetch_shard(top: str, spec: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Fetch the files of a finished shard into a folder, each compared with its sum.

    Parameters
    ----------
    top : str
        Where shards are.
    spec : mapping
        Of `make_shard`.
    folder : Path
        It exists; files of the same names are replaced.

    Returns
    -------
    dict
        The shard's manifest.

    Raises
    ------
    DamagedArtifactError
        It is not there, or not as it was put.

    Examples
    --------
    >>> def write(folder):
    ...     _ = (folder / "x.txt").write_text("1")
    ...     return {"rows": 1}
    >>> top = "memory://doc-fetch"
    >>> with TemporaryDirectory() as place:
    ...     made = make_shard(top, {"first": 0}, write)
    ...     fetch_shard(top, {"first": 0}, Path(place))["rows"], Path(place, "x.txt").read_text()
    (1, '1')
    """
    at = shard_at(top, spec)
    with asked(top):
        doc = _ours(read_object(f"{at}/{MANIFEST}"), spec)
    if doc is None:
        raise _damaged(at, "has no manifest of it")
    for name, (_, digest) in doc["files"].items():
        fetch_named(at, f"{digest}-{name}", folder / name)
    return doc


def remove_shards(top: str, *named: str) -> int:
    """Remove every shard below `top` whose manifest says that it is one, and objects by name.

    Parameters
    ----------
    top : str
        Where shards are.
    *named : str
        Names of `put_named`.

    Returns
    -------
    int
        Shards that were removed; what else lies there stays.

    Examples
    --------
    >>> top = "memory://doc-remove"
    >>> make_shard(top, {"first": 0}, lambda folder: {}), remove_shards(top)
    (True, 1)
    """
    gone = 0
    with asked(top):
        for at in below(top):
            doc = _parsed(read_object(f"{at}/{MANIFEST}") or b"") or {}
            spec = doc.get("spec")
            if not isinstance(spec, dict) or _ours(_text(doc), spec) is None:
                continue
            if shard_at("", spec) != f"/{at.rpartition('/')[2]}":
                continue
            for name, (_, digest) in doc["files"].items():
                remove_object(f"{at}/{digest}-{name}")
            remove_object(f"{at}/{MANIFEST}")
            remove_folder(at)
            gone += 1
        for name in named:
            remove_object(f"{top}/{name}")
        remove_folder(top)
    return gone


def shard_at(top: str, spec: Mapping[str, Any]) -> str:
    """The address of a shard: another spec, another place.

    Examples
    --------
    >>> shard_at("s3://bucket/me", {"first": 0})
    's3://bucket/me/774188d3de86bd02267a96544a5f6ba3'
    """
    text = json.dumps(spec, sort_keys=True)
    return f"{top}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return doc if isinstance(doc, dict) else None


def _text(doc: Mapping[str, Any]) -> bytes:
    return json.dumps(doc).encode()


def _ours(data: bytes | None, spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest in `data` if it is one of the shard of this spec, as it was put."""
    doc = _parsed(data) if data is not None else None
    if doc is None or doc.get("seal") != sealed(doc)["seal"] or doc.get("kind") != KIND:
        return None
    same = doc.get("schema") == SCHEMA and doc.get("spec") == json.loads(json.dumps(dict(spec)))
    plain = all(Path(name).name == name for name in doc.get("files", ()))  # none leaves its folder
    return doc if same and plain else None


def _broken(at: str, doc: Mapping[str, Any]) -> str:
    """What of a shard is not as its manifest says; empty when nothing is."""
    for name, (size, digest) in doc["files"].items():
        if found := difference(f"{at}/{digest}-{name}", size, digest):
            return f"{name} {found}"
    return ""


def _put_manifest(at: str, spec: Mapping[str, Any], text: bytes) -> None:
    """Put a manifest last, unless one that is as good has come meanwhile."""
    found = read_object(f"{at}/{MANIFEST}")
    doc = _ours(found, spec)
    if doc is not None and not _broken(at, doc):
        return
    if found is not None and doc is None and not text.startswith(found):
        raise _foreign(at)
    put_object(f"{at}/{MANIFEST}", text)


def _foreign(at: str) -> InputError:
    got, do = "a manifest of something else", "move it away, or take other storage"
    return input_error(at, "free, or the place of this shard", got, do)


def _damaged(at: str, found: str) -> DamagedArtifactError:
    return DamagedArtifactError(f"{at} {found}; repeat the command.")
