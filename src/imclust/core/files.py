"""Writing files and folders so that a kill leaves the old or the new one, and nothing of anybody
else's is ever replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imclust.core.errors import input_error

MARK = ".imclust-work"  # in a folder of work in progress: only imclust writes such a file
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # what file managers leave behind


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old text or the new one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     replace_text(Path(place) / "a.txt", "new")
    ...     (Path(place) / "a.txt").read_text()
    'new'
    """
    with replaced_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when the block ends well.

    Parameters
    ----------
    path : Path
        The file that shall be there in the end; its folder exists.

    Yields
    ------
    Path
        Where to write.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replaced_file(Path(folder, "a.txt")) as fresh:
    ...         _ = fresh.write_text("new")
    ...     Path(folder, "a.txt").read_text()
    'new'
    """
    fresh = _fresh(path)
    try:
        yield fresh
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _fresh(path: Path) -> Path:
    """Where `replaced_file` writes what shall be at a path."""
    return path.with_name(f".{path.name}.new")


@contextmanager
def new_folder(to: Path) -> Iterator[Path]:
    """An empty folder beside `to` to fill; it becomes `to` when the block ends well.

    Parameters
    ----------
    to : Path
        Where the folder shall be: nothing or an empty folder is there when the block ends.

    Yields
    ------
    Path
        What to fill; it is removed when the block fails.

    Raises
    ------
    InputError
        Somebody's files lie where work in progress goes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     with new_folder(Path(place) / "to") as work:
    ...         _ = (work / "a.txt").write_text("a")
    ...     files_below(Path(place))
    ['to/a.txt']
    """
    work = to.with_name(f".{to.name}.partial")
    remove_work(work)
    work.mkdir(parents=True)
    (work / MARK).touch()
    try:
        yield work
        (work / MARK).unlink()
        if to.is_dir() and not to.is_symlink():
            to.rmdir()
        os.rename(work, to)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def remove_work(folder: Path, *marks: str) -> None:
    """Remove a folder of work in progress that an interrupted run left.

    Parameters
    ----------
    folder : Path
        It may be absent.
    *marks : str
        Names of further files, beside `MARK`, that only imclust writes; one of which it had only
        begun counts, too.

    Raises
    ------
    InputError
        The folder has files in it and none of the marks: it is somebody else's.

    Examples
    --------
    >>> remove_work(Path("/nowhere"))  # nothing is there, nothing is done
    """
    if not os.path.lexists(folder):
        return
    names = [name for mark in (MARK, *marks) for name in (mark, _fresh(Path(mark)).name)]
    ours = any((folder / name).is_file() for name in names)
    if folder.is_symlink() or not folder.is_dir() or not (ours or _is_empty(folder)):
        do = "move it away"
        raise input_error(str(folder), "free for work in progress", "somebody's files", do)
    shutil.rmtree(folder)


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds no file at any depth, but for what file managers leave behind."""
    return not files_below(folder)


def files_below(folder: Path) -> list[str]:
    """Every file and link below a folder, by its path there with forward slashes, sorted.

    What file managers leave behind does not count.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     (Path(place) / "a").mkdir()
    ...     for name in ("a/b.txt", "c.txt", ".DS_Store"):
    ...         _ = (Path(place) / name).write_text("x")
    ...     files_below(Path(place))
    ['a/b.txt', 'c.txt']
    """
    found = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(p.relative_to(folder).as_posix() for p in found if p.name not in LITTER)
