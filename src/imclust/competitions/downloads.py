"""Files on their way in: staged beside their place, checked, and renamed into it.

A file is staged in `.<name>.partial/`. What was checked is kept in `files.json` of the folder
(size, sha256, where from), so that a file that is there and right is not fetched again. What came
but is not the file stays as `.<name>.rejected`; a good file is never replaced by it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.competitions.archives import UNPACKED, remove_unpacked
from imclust.core.errors import InputError, ServiceError, input_error
from imclust.core.file_signatures import mismatch
from imclust.core.files import MARK, files_below, remove_work, replace_text, replaced_file
from imclust.core.locks import try_lock
from imclust.core.log import say
from imclust.core.manifest import file_digest

RECORD = "files.json"
MADE = ".made.json"


@dataclass(frozen=True)
class Expected:
    """What a file must turn out to be; what is None or "" is not checked.

    Parameters
    ----------
    size : int | None
        bytes.
    sha256 : str
        hexadecimal.
    check : Callable[[Path], None] | None
        Further check of the content, raises `InputError`; given the staged path.
    """

    size: int | None = None
    sha256: str = ""
    check: Callable[[Path], None] | None = None


@contextmanager
def stage(to: Path) -> Iterator[Path]:
    """The staging folder of a file, locked; it stays when the block fails, for the next run.

    Examples
    --------
    >>> with stage(Path("raw/x.npy")) as staging:
    ...     staging.name
    '.x.npy.partial'
    >>> staging.exists()
    False
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    lock = to.parent / f".{to.name}.lock"
    with try_lock(lock, f"{to} must be fetched", "wait for it"):
        staging = to.parent / f".{to.name}.partial"
        if not (staging / MARK).is_file():
            remove_work(staging)
        staging.mkdir(exist_ok=True)
        (staging / MARK).touch()
        try:
            yield staging
        except BaseException:
            if files_below(staging) == [MARK]:
                shutil.rmtree(staging)
            raise
        shutil.rmtree(staging)


@contextmanager
def made_file(to: Path) -> Iterator[Path]:
    """A path to write a file to that imclust makes itself; it becomes `to` when the block ends.

    What was made is kept in `.made.json` of the folder, so that a file of somebody else's under
    that name is told from an earlier one of ours.

    Raises
    ------
    InputError
        A file that imclust did not make is there, with other bytes.

    Examples
    --------
    >>> with made_file(Path("made/a.txt")) as fresh:
    ...     _ = fresh.write_text("made")
    >>> Path("made/a.txt").read_text()
    'made'
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    made = _made(to.parent)
    with replaced_file(to) as fresh:
        yield fresh
        digest = file_digest(fresh)
        ours = any(_holds(to, d) for d in (digest, made.get(to.name, "")))
        if os.path.lexists(to) and not ours:
            do = "move it away, or set --out (NAME) to another folder"
            raise input_error(str(to), "free for a file that is made here", "another one", do)
    replace_text(
        to.parent / MADE, json.dumps(made | {to.name: digest}, indent=1, sort_keys=True) + "\n"
    )


def save_array(to: Path, array: np.ndarray) -> Path:
    """Write an array that imclust makes itself, as by `made_file`; returns its path.

    Examples
    --------
    >>> save_array(Path("raw/x.npy"), np.zeros((2, 3))).as_posix()
    'raw/x.npy'
    """
    with made_file(to) as fresh, fresh.open("wb") as f:
        np.save(f, array, allow_pickle=False)
    return to


def settle(staged: Path, to: Path, expected: Expected, source: str) -> None:
    """Check a staged file and put it in its place; one that fails is kept as `.<name>.rejected`.

    Parameters
    ----------
    staged : Path
        The file, as by `stage`.
    to : Path
        Its place.
    expected : Expected
        What it must be.
    source : str
        Where it came from, for the record.

    Raises
    ------
    ServiceError
        Wrong-content or corrupt. An older file at `to` stays as it was.

    Examples
    --------
    >>> with stage(Path("fetched/a.txt")) as staging:
    ...     _ = (staging / "body").write_text("four")
    ...     settle(staging / "body", Path("fetched/a.txt"), Expected(size=4), "https://example.org")
    >>> record(Path("fetched"))["a.txt"]["size"]
    4
    """
    try:
        _verify(staged, to.name, expected)
    except InputError:
        os.replace(staged, to.with_name(f".{to.name}.rejected"))
        raise
    staged.chmod(0o644)
    facts = {"size": staged.stat().st_size, "sha256": file_digest(staged)}
    known = record(to.parent).get(to.name)
    if os.path.lexists(to) and not (known and _holds(to, known["sha256"])):
        kept = _free_name(to)
        os.rename(to, kept)
        say(f"{to.name} is not as imclust fetched it and is kept as {kept.name}")
    os.replace(staged, to)
    _remember(to, facts | {"source": source})
    to.with_name(f".{to.name}.rejected").unlink(missing_ok=True)


def _holds(path: Path, digest: str) -> bool:
    """Whether a file is there with these bytes: a name alone does not say whose it is."""
    return path.is_file() and file_digest(path) == digest


def _free_name(path: Path) -> Path:
    """`images (1).zip` for `images.zip`, or the next number that is free."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.stem} ({number}){path.suffix}")):
        number += 1
    return kept


def _verify(path: Path, name: str, expected: Expected) -> None:
    """Refuse a file that is not what its name and `expected` say.

    Raises
    ------
    ServiceError
        Wrong-content or corrupt.
    InputError
        What `expected.check` refuses.
    """
    if got := mismatch(path, name):
        raise wrong_content(name, got)
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        raise corrupt(name, f"of {expected.size} bytes", f"{size} bytes")
    if expected.sha256 and (digest := file_digest(path)) != expected.sha256:
        raise corrupt(name, f"of sha256 {expected.sha256[:16]}...", f"{digest[:16]}...")
    if Path(name).suffix == ".npy":
        from imclust.core.npy import open_npy

        open_npy(path)
    if expected.check is not None:
        expected.check(path)


def is_right(to: Path, expected: Expected) -> bool:
    """Whether the file is there as it was checked, or, put there by hand, passes the checks now.

    Examples
    --------
    >>> Path("by-hand").mkdir()
    >>> _ = Path("by-hand/a.txt").write_text("four")
    >>> is_right(Path("by-hand/a.txt"), Expected(size=4))
    True
    """
    if not to.is_file():
        return False
    known = record(to.parent).get(to.name)
    if known is None or to.stat().st_size != known["size"]:
        try:
            _verify(to, to.name, expected)
        except InputError as e:
            say(f"{to.name} is there but is not the file ({e}) and is fetched")
            return False
        _remember(to, {"size": to.stat().st_size, "sha256": file_digest(to), "source": "by hand"})
        return True
    fits = expected.sha256 in {"", known["sha256"]} and expected.size in {None, known["size"]}
    return fits and file_digest(to) == known["sha256"]


def record(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> size, sha256 and source of what was fetched into a folder.

    Examples
    --------
    >>> record(Path("raw"))  # nothing was fetched into it
    {}
    """
    path = folder / RECORD
    return json.loads(path.read_text()) if path.is_file() else {}


def _remember(to: Path, facts: dict[str, Any]) -> None:
    known = record(to.parent) | {to.name: facts}
    replace_text(to.parent / RECORD, json.dumps(known, indent=1, sort_keys=True) + "\n")


def remove_fetched(folder: Path) -> None:
    """Take the files out of a folder that were fetched, made or unpacked there.

    Others stay, and so do those that were changed since.

    Examples
    --------
    >>> _ = save_array(Path("raw/x.npy"), np.zeros(3))
    >>> remove_fetched(Path("raw"))
    >>> Path("raw/x.npy").exists(), Path("raw/index").exists()
    (False, True)
    """
    digests = {name: facts["sha256"] for name, facts in record(folder).items()} | _made(folder)
    ours = [folder / name for name, digest in digests.items() if _holds(folder / name, digest)]
    for path in [*ours, folder / RECORD, folder / MADE]:
        path.unlink(missing_ok=True)
        path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
    for note in sorted(folder.glob(f"*/{UNPACKED}")):
        remove_unpacked(note.parent)


def _made(folder: Path) -> dict[str, str]:
    """File name -> sha256 of what imclust made in a folder."""
    note = folder / MADE
    return json.loads(note.read_text()) if note.is_file() else {}


def wrong_content(name: str, got: str) -> ServiceError:
    """The failure of a file that is another kind of thing than its name says.

    Examples
    --------
    >>> str(wrong_content("trainX.npy", "a web page")).partition(";")[0]
    'trainX.npy must be a .npy file'
    """
    do = "open the challenge in a browser, log in, accept its rules, and try again"
    kind = Path(name).suffix or "data"
    return ServiceError("wrong-content", f"{name} must be a {kind} file; got {got}; {do}.")


def corrupt(name: str, allowed: str, got: str) -> ServiceError:
    """The failure of a file of the right kind whose bytes are not those promised.

    Parameters
    ----------
    name : str
        Of the file.
    allowed, got : str
        What it must be, and is.

    Examples
    --------
    >>> str(corrupt("trainX.npy", "of 10 bytes", "9"))
    'trainX.npy must be of 10 bytes; got 9; run the same command again.'
    """
    do = "run the same command again"
    return ServiceError("corrupt", f"{name} must be {allowed}; got {got}; {do}.")
