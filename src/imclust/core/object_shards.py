"""Shards as objects on storage that has neither locks nor renames: a folder, s3, gs, hdfs, whatever
fsspec knows (s3 by the extra `s3`).

A shard's spec decides its place, `TOP/<digest of the spec>/`. There lie its files, each named
after the digest of its bytes, and a manifest, which is put last and alone tells that the rest is
whole. Two workers at one shard put the same names; whatever a crash leaves is either no shard, or
whole.

An object is overwritten only where its name is the digest of what replaces it, or where it is a
manifest that tells by its seal and its spec that it is that shard's, or is the beginning of what
replaces it. Anything else at such a place is somebody's, and refused.

Who may write there is told by the environment or by fsspec's own settings, never by the address.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from imclust.core.errors import DamagedArtifactError, InputError, input_error, masked
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, file_digest, file_sums, sealed

KIND = "shard"
SCHEMA = 1
BLOCK = 4 << 20  # bytes that are read at a time
LONGEST = 200  # characters that are told of what a store said
PROBE = ".imclust-"  # begins the name of an object that is put and removed at once


def storage_url(given: str, what: str = "--ray-storage") -> str:
    """The full address of storage, or a sentence why it cannot be one; nothing is read there.

    Parameters
    ----------
    given : str
        A folder, or an address such as `s3://bucket/folder`.
    what : str, optional
        The setting, as its user knows it.

    Returns
    -------
    str
        With its protocol, and without a slash at the end.

    Raises
    ------
    InputError
        It names no place, has credentials in it, or is of a protocol that is not known here or
        whose package is missing.

    Examples
    --------
    >>> storage_url("/data/shards"), storage_url("memory://shards/")
    ('file:///data/shards', 'memory://shards')
    """
    protocol, mark, rest = given.partition("://")
    allowed = "a folder, or an address such as s3://bucket/folder"
    if not mark:
        protocol, rest = "file", str(Path(given).expanduser().absolute()) if given else ""
    host = rest.split("/", 1)[0]
    if mark and (":" in host.rpartition("@")[0] or "?" in rest):
        got, do = "one with more", "give credentials in the environment or in fsspec's settings"
        raise input_error(what, "an address without password or parameters", got, do)
    if not rest.strip("/") or "::" in given:
        raise input_error(what, allowed, repr(given), "write it so")
    if importlib.util.find_spec("fsspec") is None:
        do = "pip install fsspec, or leave it out"
        raise input_error(what, "used where fsspec is installed", "no fsspec here", do)
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as e:
        do = "pip install 'imclust[s3]'" if protocol in {"s3", "s3a"} else "install it"
        package = f"used where the package for {protocol}:// is installed"
        raise input_error(what, package, _first_line(e), do) from None
    except ValueError:
        known = "of a protocol that fsspec knows, such as file, s3, gs or hdfs"
        raise input_error(what, known, f"{protocol}://", "check the spelling") from None
    return f"{protocol}://{rest.rstrip('/')}"


def probe_storage(url: str) -> None:
    """Put an object, read and remove it, so that storage that cannot be used is told at once.

    Parameters
    ----------
    url : str
        Of `storage_url`.

    Raises
    ------
    InputError
        No such bucket, no right to write, or what is read is not what was put.

    Examples
    --------
    >>> probe_storage("memory://doc-probe")
    """
    at, want = f"{url}/{PROBE}{uuid4().hex}", uuid4().bytes
    with _asked(url):
        fs, path = _open(at)
        fs.pipe_file(path, want)
        got = fs.cat_file(path)
        fs.rm_file(path)
    if got != want:
        do = "take another"
        raise input_error(f"the storage {url}", "one that gives back what is put", "else", do)


def object_size(url: str) -> int | None:
    """Bytes of an object; None where there is none.

    Examples
    --------
    >>> object_size("memory://doc-size/nothing")
    """
    with _asked(url):
        fs, path = _open(url)
        try:
            return int(fs.info(path)["size"])
        except FileNotFoundError:
            return None


def put_named(top: str, file: Path) -> str:
    """Put a file as an object that is named after its digest, unless that is there, whole.

    Parameters
    ----------
    top : str
        Where it goes.
    file : Path
        What is put.

    Returns
    -------
    str
        The object's name below `top`.

    Examples
    --------
    >>> with TemporaryDirectory() as place:
    ...     file = Path(place, "a.txt")
    ...     _ = file.write_text("a")
    ...     name = put_named("memory://doc-named", file)
    ...     fetch_named("memory://doc-named", name, file.with_name("b.txt"))
    ...     name[:8], file.with_name("b.txt").read_text()
    ('ca978112', 'a')
    """
    digest, size = file_digest(file), file.stat().st_size
    name = f"{digest}-{file.name}"
    with _asked(top):
        if _wrong(f"{top}/{name}", size, digest):
            fs, path = _open(f"{top}/{name}")
            fs.put_file(str(file), path)
    return name


def fetch_named(top: str, name: str, file: Path) -> None:
    """Fetch what `put_named` put.

    Raises
    ------
    DamagedArtifactError
        It has gone, or holds other bytes than its name says.

    Examples
    --------
    >>> try:
    ...     fetch_named("memory://doc-named", "0-a.txt", Path("never"))
    ... except DamagedArtifactError as error:
    ...     str(error)
    'memory://doc-named/0-a.txt has gone; repeat the command.'
    """
    at = f"{top}/{name}"
    with _asked(top):
        fs, path = _open(at)
        try:
            fs.get_file(path, str(file))
        except FileNotFoundError:
            raise _damaged(at, "has gone") from None
    if file_digest(file) != name[:64]:
        raise _damaged(at, "holds other bytes than were put")


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
    >>> top = f"memory://doc-{uuid4().hex}"
    >>> make_shard(top, {"first": 0}, write), make_shard(top, {"first": 0}, write)
    (True, False)
    """
    at = shard_at(top, spec)
    with _asked(top):
        found = _read(f"{at}/{MANIFEST}")
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
    with _asked(top):
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
    >>> top = f"memory://doc-{uuid4().hex}"
    >>> with TemporaryDirectory() as place:
    ...     made = make_shard(top, {"first": 0}, write)
    ...     fetch_shard(top, {"first": 0}, Path(place))["rows"], Path(place, "x.txt").read_text()
    (1, '1')
    """
    at = shard_at(top, spec)
    with _asked(top):
        doc = _ours(_read(f"{at}/{MANIFEST}"), spec)
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
    >>> top = f"memory://doc-{uuid4().hex}"
    >>> make_shard(top, {"first": 0}, lambda folder: {}), remove_shards(top)
    (True, 1)
    """
    gone = 0
    with _asked(top):
        fs, path = _open(top)
        try:
            below = [fs.unstrip_protocol(at) for at in fs.ls(path, detail=False)]
        except FileNotFoundError:
            return 0
        for at in sorted(at.rstrip("/") for at in below):
            doc = _parsed(_read(f"{at}/{MANIFEST}") or b"") or {}
            spec = doc.get("spec")
            if not isinstance(spec, dict) or _ours(_text(doc), spec) is None:
                continue
            if shard_at("", spec) != f"/{at.rpartition('/')[2]}":
                continue
            for name, (_, digest) in doc["files"].items():
                _remove(f"{at}/{digest}-{name}")
            _remove(f"{at}/{MANIFEST}")
            _remove_folder(at)
            gone += 1
        for name in named:
            _remove(f"{top}/{name}")
        _remove_folder(top)
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


def _open(url: str) -> tuple[Any, str]:
    """The file system of an address, with nothing remembered, and the path there."""
    from fsspec.core import url_to_fs

    # A folder on a disk is made as files come; a bucket never is.
    more = {"auto_mkdir": True} if re.match("(file|local)://", url) else {}
    fs, path = url_to_fs(url, **more)
    fs.invalidate_cache()
    return fs, path


@contextmanager
def _asked(url: str) -> Iterator[None]:
    """Inside the block, what a store refuses is one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as e:  # each store has exceptions of its own
        name, allowed = f"the storage {url}", "one that can be read and written"
        do = "check the bucket or folder, and the credentials in the environment"
        raise input_error(name, allowed, f"{type(e).__name__} ({_first_line(e)})", do) from None


def _first_line(e: BaseException) -> str:
    return masked(next(iter(str(e).splitlines()), ""))[:LONGEST].rstrip(".")


def _read(url: str) -> bytes | None:
    """A small object; None where there is none."""
    fs, path = _open(url)
    try:
        return bytes(fs.cat_file(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


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
    return doc if same else None


def _broken(at: str, doc: Mapping[str, Any]) -> str:
    """What of a shard is not as its manifest says; empty when nothing is."""
    for name, (size, digest) in doc["files"].items():
        if found := _wrong(f"{at}/{digest}-{name}", size, digest):
            return f"{name} {found}"
    return ""


def _wrong(url: str, size: int, digest: str) -> str:
    """How an object differs from what its name says; empty when it does not."""
    fs, path = _open(url)
    try:
        if fs.info(path)["size"] != size:
            return "has another size"
        found = hashlib.sha256()
        with fs.open(path, "rb", block_size=BLOCK) as f:
            while block := f.read(BLOCK):
                found.update(block)
    except FileNotFoundError:
        return "has gone"
    return "" if found.hexdigest() == digest else "holds other bytes than were put"


def _put_manifest(at: str, spec: Mapping[str, Any], text: bytes) -> None:
    """Put a manifest last, unless one that is as good has come meanwhile."""
    found = _read(f"{at}/{MANIFEST}")
    doc = _ours(found, spec)
    if doc is not None and not _broken(at, doc):
        return
    if found is not None and doc is None and not text.startswith(found):
        raise _foreign(at)
    fs, path = _open(f"{at}/{MANIFEST}")
    fs.pipe_file(path, text)


def _remove(url: str) -> None:
    fs, path = _open(url)
    with suppress(FileNotFoundError):
        fs.rm_file(path)


def _remove_folder(url: str) -> None:
    """Remove a folder of a disk if nothing is in it; stores of objects have none."""
    if url.startswith("file://"):
        with suppress(OSError):
            Path(url.removeprefix("file://")).rmdir()


def _foreign(at: str) -> InputError:
    got, do = "a manifest of something else", "move it away, or take other storage"
    return input_error(at, "free, or the place of this shard", got, do)


def _damaged(at: str, found: str) -> DamagedArtifactError:
    return DamagedArtifactError(f"{at} {found}; repeat the command.")
