"""Unpacking zip archives that strangers made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from imclust.core.checks import disk_space
from imclust.core.errors import ServiceError, input_error
from imclust.core.files import files_below, new_folder, replace_text
from imclust.core.locks import try_lock
from imclust.core.log import progress
from imclust.core.manifest import file_digest

MEMBERS = 2_000_000  # more files than that are no data set for one machine
RATIO, SMALL = 200, 1 << 30  # unpacked bytes a packed one, past the first GiB
PIECE = 1 << 20
UNPACKED = ".unpacked.json"


def unzip(archive: Path, folder: Path) -> bool:
    """Unpack `archive` into `folder`, all of it or nothing; returns whether it was done now.

    An archive is refused whole when a single member has an absolute path, climbs out with `..`,
    is a link, shares its name with another (also but for case), is encrypted or damaged (CRC), or
    when it is a bomb: more than 200 bytes a packed byte past the first GiB.

    Raises
    ------
    ServiceError
        Of kind corrupt.
    InputError
        No room on the disk, or another process is at it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     with zipfile.ZipFile(Path(place) / "a.zip", "w") as z:
    ...         z.writestr("b.txt", "c")
    ...     unzip(Path(place) / "a.zip", Path(place) / "a")
    ...     (Path(place) / "a" / "b.txt").read_text()
    True
    'c'
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.parent / f".{folder.name}.lock"
    with try_lock(lock, f"{folder} must be unpacked", "wait for it"):
        digest = file_digest(archive)
        note = folder / UNPACKED
        if note.is_file() and json.loads(note.read_text())["archive"] == digest:
            return False
        _refuse_to_replace(folder)
        with new_folder(folder) as fresh:
            files = _unpack(archive, fresh)
            replace_text(fresh / UNPACKED, json.dumps({"archive": digest, "files": files}) + "\n")
            _refuse_to_replace(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return True


def _refuse_to_replace(folder: Path) -> None:
    """Refuse a folder that holds anything but what was unpacked into it."""
    if not os.path.lexists(folder):
        return
    if odd := _others(folder):
        allowed, do = "new, or as it was unpacked, byte for byte", "move it away"
        raise input_error(f"the folder {folder}", allowed, f"one that holds {odd[0]}", do)


def _others(folder: Path) -> list[str]:
    """What lies in a folder beside what `unzip` put there, byte for byte."""
    if not folder.is_dir():
        return [folder.name]
    note = folder / UNPACKED
    digests = json.loads(note.read_text())["files"] if note.is_file() else {}
    found = [name for name in files_below(folder) if not (digests and name == UNPACKED)]
    return [name for name in sorted(found) if _changed(folder / name, digests.get(name))]


def _changed(path: Path, digest: str | None) -> bool:
    return digest is None or path.is_symlink() or file_digest(path) != digest


def remove_unpacked(folder: Path) -> None:
    """Remove a folder that `unzip` filled, if nothing else lies in it.

    Examples
    --------
    >>> with zipfile.ZipFile("a.zip", "w") as z:
    ...     z.writestr("b.txt", "c")
    >>> unzip(Path("a.zip"), Path("a"))
    True
    >>> remove_unpacked(Path("a"))
    >>> Path("a").exists()
    False
    """
    if not _others(folder):
        shutil.rmtree(folder)
        folder.with_name(f".{folder.name}.lock").unlink(missing_ok=True)


def _unpack(archive: Path, staging: Path) -> dict[str, str]:
    """Write the members below `staging`; their digests by name."""
    digests = {}
    try:
        with zipfile.ZipFile(archive) as z:
            members = _checked(archive, z)
            total = sum(m.file_size for m in members)
            disk_space(staging, total)
            bar = progress(
                None, f"unpacking {archive.name}", total=total, unit="B", unit_scale=True
            )
            with bar:
                for member in members:
                    target = staging / PurePosixPath(member.filename)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    digest = hashlib.sha256()
                    with z.open(member) as source, target.open("wb") as f:
                        while piece := source.read(PIECE):
                            f.write(piece)
                            digest.update(piece)
                            bar.update(len(piece))
                    digests[str(PurePosixPath(member.filename))] = digest.hexdigest()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as e:
        raise _bad(archive, f"a damaged one ({e})", "fetch it again") from None
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as e:
        raise _bad(
            archive, f"a file where a folder must be ({e.filename})", "pack it again"
        ) from None
    return digests


def _checked(archive: Path, z: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive that is safe to unpack.

    Raises
    ------
    ServiceError
        It is not, see `unzip`.
    """
    if not all(m.filename for m in z.infolist()):
        raise _bad(archive, "a member without a name", "pack it again")
    members = [m for m in z.infolist() if not m.is_dir()]
    for m in z.infolist():
        path = PurePosixPath(m.filename)
        drive = len(m.filename) > 1 and m.filename[1] == ":"
        if path.is_absolute() or drive or ".." in path.parts or "\\" in m.filename:
            raise _bad(archive, f"{m.filename!r}, which leads out of its folder", "do not trust it")
        if stat.S_ISLNK(m.external_attr >> 16):
            raise _bad(archive, f"the link {m.filename!r}", "pack it again without links")
        if m.flag_bits & 1:
            raise _bad(archive, f"{m.filename!r}, which is encrypted", "unpack it by hand")
    folded = [str(PurePosixPath(m.filename)).casefold() for m in members]
    if len(set(folded)) != len(folded):
        raise _bad(archive, "two of the same name", "pack it again")
    total, packed = sum(m.file_size for m in members), archive.stat().st_size
    if len(members) > MEMBERS or total > max(SMALL, RATIO * packed):
        got = f"{len(members)} files, {total / 2**30:.0f} GiB from {packed / 2**20:.1f} MiB"
        raise _bad(archive, got, "unpack it by hand if you trust it")
    return members


def _bad(archive: Path, got: str, do: str) -> ServiceError:
    return ServiceError(
        "corrupt", f"{archive.name} must be a sound zip of plain files; got {got}; {do}."
    )
