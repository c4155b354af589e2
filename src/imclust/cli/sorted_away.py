"""Where `sort --how move` took the images of a run, for the next visit of their folder."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote

from imclust.core.errors import InputError, input_error
from imclust.core.files import replace_text
from imclust.core.log import say
from imclust.core.manifest import parse_json
from imclust.core.wording import counted
from imclust.report.sorting import Sorting

NOTE = "sorted-away.json"  # in the folder of a run
FORMAT = "imclust-sorted-away-1"


def note_sorted(run: Path, into: Path) -> None:
    """Write down, beside a run, that its images are moved into a folder.

    Examples
    --------
    >>> note_sorted(Path("run"), Path("sorted"))
    >>> sorted_away(Path("run"))  # no record of a sorting is there (any more)
    []
    """
    earlier = _noted(run)
    folders = list(dict.fromkeys([*earlier, str(into.absolute())]))
    replace_text(run / NOTE, json.dumps({"format": FORMAT, "into": folders}, indent=1) + "\n")


def sorted_away(run: Path) -> list[tuple[Path, int]]:
    """Folders that hold images moved from a run's folder, and how many each, while that is not
    taken back.

    Examples
    --------
    >>> sorted_away(Path("run"))  # it was never sorted
    []
    """
    found = []
    for folder in map(Path, _noted(run)):
        try:
            sorting = Sorting.load(folder)
        except InputError:  # edited since: `sort --undo` says so
            continue
        if sorting is None or sorting.how != "move":
            continue
        gone = [f for f in sorting.files if f.source and not Path(f.source).exists()]
        if n := sum((folder / f.to).is_file() for f in gone):
            found.append((folder, n))
    return found


def tell_sorted_away(run: Path, images: int) -> str:
    """Say where images of a folder were moved to, and how they come back.

    Parameters
    ----------
    run : Path
        The folder of its run.
    images : int
        How many images are in it now.

    Returns
    -------
    str
        How they come back, for whoever refuses the few that are left; "" where none was moved.

    Raises
    ------
    InputError
        None is: all were moved away.

    Examples
    --------
    >>> tell_sorted_away(Path("run"), 0)  # nothing was moved
    ''
    """
    told = []
    for folder, n in sorted_away(run):
        moved = f"{counted(n, 'image')} moved into {folder} by sort"
        undo = f"python -m imclust sort --into {quote(str(folder))} --undo --yes"
        if not images:
            do = f"bring them back ({undo}), or cluster that folder"
            raise input_error("the folder", "with images in it", f"none: {moved}", do)
        say(f"{moved} count as gone here; this brings them back: {undo}")
        told.append(f"bring back the {moved} ({undo})")
    return " and ".join(told)


def _noted(run: Path) -> list[str]:
    doc = parse_json(run / NOTE) if (run / NOTE).is_file() else None
    return list(map(str, doc["into"])) if doc and doc.get("format") == FORMAT else []
