"""Sorting taken back: every image where it was, and nothing touched that changed since."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from imclust.core.file_moves import bring_file
from imclust.core.log import progress
from imclust.report.sorting import RECORD, Placed, Sorting, is_made, is_original

Step = Literal["remove", "bring back", "leave", "gone"]


class Undoing(NamedTuple):
    """What happens to one file.

    Parameters
    ----------
    file : Placed
        Which.
    step : {"remove", "bring back", "leave", "gone"}
        Taken away, moved to where it came from, left as it is, or not there.
    why : str
        Of what is left or gone; else "".
    """

    file: Placed
    step: Step
    why: str = ""


def planned_undoing(sorting: Sorting) -> list[Undoing]:
    """What taking a sorting back would do, file by file; nothing is done.

    A copy is taken away only where its original is; else it goes back to where that was.

    Examples
    --------
    >>> from imclust.report.results import FolderAssignment
    >>> from imclust.report.sorting import carry_out, planned_sorting
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> sorting = planned_sorting(clustering, Path("sorted"), "copy")
    >>> carry_out(sorting)
    >>> {undoing.step for undoing in planned_undoing(sorting)}
    {'remove'}
    """
    files = progress(sorting.files, "check", total=len(sorting.files), unit="file")
    return [_decided(sorting, file) for file in files]


def undo(sorting: Sorting, steps: list[Undoing]) -> list[Undoing]:
    """Take a sorting back; what is left or missing stays in the record, all else is as before.

    Interrupted, the same call goes on.

    Parameters
    ----------
    sorting : Sorting
        The record.
    steps : list of Undoing
        As `planned_undoing` has them; each file is looked at once more before it is touched.

    Returns
    -------
    list of Undoing
        What was done.

    Examples
    --------
    >>> from imclust.report.results import FolderAssignment
    >>> from imclust.report.sorting import carry_out, planned_sorting
    >>> clustering = FolderAssignment.load(Path("run/clusters"), Path("raw/index"))
    >>> carry_out(planned_sorting(clustering, Path("sorted"), "copy"))
    >>> sorting = Sorting.load(Path("sorted"))
    >>> done = undo(sorting, planned_undoing(sorting))
    >>> len(done), Path("sorted").exists()
    (24, False)
    """
    done: list[Undoing] = []
    sorting.partial.unlink(missing_ok=True)
    for each in progress(steps, "undo", total=len(steps), unit="file"):
        now = _decided(sorting, each.file)
        done.append(now)
        to = sorting.folder / now.file.to
        if now.step == "remove":
            os.unlink(to)
        elif now.step == "bring back":
            source = Path(now.file.source)
            source.parent.mkdir(parents=True, exist_ok=True)
            partial = source.with_name(f".imclust-undo-{now.file.digest}.partial")
            bring_file(to, source, partial, now.file.digest)
    for folder in sorted(_folders(sorting), key=lambda f: -len(f.parts)):
        if folder != sorting.folder:
            _remove_if_empty(folder)
    left = tuple(each.file for each in done if each.why)
    if left:
        replace(sorting, files=left).save()
        return done
    (sorting.folder / RECORD).unlink()
    if sorting.folder in _folders(sorting):
        _remove_if_empty(sorting.folder)
    return done


def not_back(sorting: Sorting, done: list[Undoing]) -> list[Placed]:
    """Pictures that are not where they came from, after what was done.

    Examples
    --------
    >>> not_back(Sorting(Path("sorted"), "copy", ()), [])
    []
    """
    odd = (each.file for each in done if each.why and each.file.source)
    return [file for file in odd if not is_original(sorting, file)]


def _decided(sorting: Sorting, file: Placed) -> Undoing:
    to = sorting.folder / file.to
    if sorting.how == "link" and is_made(sorting, file):
        return Undoing(file, "remove")
    image_is_back = not file.source or is_original(sorting, file)
    if not os.path.lexists(to):
        if sorting.how == "move" and file.source and not image_is_back:
            return Undoing(file, "gone", f"missing here and at {file.source}")
        return Undoing(file, "gone")
    if not is_made(sorting, file):
        return Undoing(file, "leave", "changed since")
    if image_is_back:
        return Undoing(file, "remove")
    if os.path.lexists(file.source):
        return Undoing(file, "leave", f"another file lies at {file.source}")
    if file.member:
        return Undoing(file, "leave", f"{file.source} has gone")
    return Undoing(file, "bring back")


def _folders(sorting: Sorting) -> Iterator[Path]:
    return (sorting.folder / name for name in sorting.made_folders)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
