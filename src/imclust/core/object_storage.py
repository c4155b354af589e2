"""Objects on storage that fsspec knows: a folder, s3 and gs (extras of these names), hdfs.

Who may write there is told by the environment or by fsspec's own settings, never by the address.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from imclust.core.errors import DamagedArtifactError, InputError, input_error, masked
from imclust.core.manifest import file_digest

BLOCK = 4 << 20  # bytes that are read at a time
LONGEST = 200  # characters that are told of what a store said
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}  # protocol -> what brings its package
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
        extra = EXTRAS.get(protocol)
        do = f"pip install 'imclust[{extra}]'" if extra else "install it"
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
    with asked(url):
        put_object(at, want)
        got = read_object(at)
        remove_object(at)
    if got != want:
        do = "take another"
        raise input_error(f"the storage {url}", "one that gives back what is put", "else", do)


def object_size(url: str) -> int | None:
    """Bytes of an object; None where there is none.

    Examples
    --------
    >>> object_size("memory://doc-size/nothing")
    """
    with asked(url):
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
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     file = Path(place, "a.txt")
    ...     _ = file.write_text("a")
    ...     name = put_named("memory://doc-named", file)
    ...     fetch_named("memory://doc-named", name, file.with_name("b.txt"))
    ...     name[:8], file.with_name("b.txt").read_text()
    ('ca978112', 'a')
    """
    digest, size = file_digest(file), file.stat().st_size
    name = f"{digest}-{file.name}"
    with asked(top):
        if difference(f"{top}/{name}", size, digest):
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
    with asked(top):
        fs, path = _open(at)
        try:
            fs.get_file(path, str(file))
        except FileNotFoundError:
            raise DamagedArtifactError(f"{at} has gone; repeat the command.") from None
    if file_digest(file) != name[:64]:
        said = f"{at} holds other bytes than were put; repeat the command."
        raise DamagedArtifactError(said)


def read_object(url: str) -> bytes | None:
    """A small object; None where there is none.

    Examples
    --------
    >>> read_object("memory://doc-objects/none")
    """
    fs, path = _open(url)
    try:
        return bytes(fs.cat_file(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def put_object(url: str, data: bytes) -> None:
    """Put a small object, in the place of one that is there.

    Examples
    --------
    >>> put_object("memory://doc-objects/a", b"1")
    >>> read_object("memory://doc-objects/a")
    b'1'
    """
    fs, path = _open(url)
    fs.pipe_file(path, data)


def remove_object(url: str) -> None:
    """Remove an object; it may be gone.

    Examples
    --------
    >>> remove_object("memory://doc-objects/none")
    """
    fs, path = _open(url)
    with suppress(FileNotFoundError):
        fs.rm_file(path)


def remove_folder(url: str) -> None:
    """Remove a folder of a disk if nothing is in it; stores of objects have none.

    Examples
    --------
    >>> remove_folder("s3://bucket/me")  # nothing is asked
    """
    if url.startswith("file://"):
        with suppress(OSError):
            Path(url.removeprefix("file://")).rmdir()


def below(url: str) -> list[str]:
    """Addresses of what lies directly below an address, sorted.

    Examples
    --------
    >>> put_object("memory://doc-below/a", b"1")
    >>> below("memory://doc-below"), below("memory://doc-none")
    (['memory:///doc-below/a'], [])
    """
    fs, path = _open(url)
    try:
        return sorted(fs.unstrip_protocol(at).rstrip("/") for at in fs.ls(path, detail=False))
    except FileNotFoundError:
        return []


def difference(url: str, size: int, digest: str) -> str:
    """How an object differs from what it must hold; empty when it does not.

    Parameters
    ----------
    url : str
        The object's.
    size : int
        Bytes that it must have.
    digest : str
        Their sha256, hexadecimal.

    Examples
    --------
    >>> difference("memory://doc-objects/none", 1, "0" * 64)
    'has gone'
    """
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


def _open(url: str) -> tuple[Any, str]:
    """The file system of an address, with nothing remembered, and the path there."""
    from fsspec.core import url_to_fs

    # A folder on a disk is made as files come; a bucket never is.
    more = {"auto_mkdir": True} if re.match("(file|local)://", url) else {}
    fs, path = url_to_fs(url, **more)
    fs.invalidate_cache()
    return fs, path


@contextmanager
def asked(url: str) -> Iterator[None]:
    """Inside the block, what a store refuses is one sentence.

    Examples
    --------
    >>> with asked("memory://doc-objects"):
    ...     remove_object("memory://doc-objects/none")
    """
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
