"""`sort`: images of a finished run copied, moved or linked into a folder a cluster; and back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Annotated

import tyro

from imclust.cli.sorted_away import note_sorted
from imclust.core.errors import input_error
from imclust.core.locks import temporary_lock
from imclust.core.log import say
from imclust.core.wording import counted
from imclust.data.images import stored_bytes
from imclust.report.finished_run import FinishedRun
from imclust.report.results import printable
from imclust.report.sorting import Sorting, Way, carry_out, planned_sorting, refuse_unsafe
from imclust.report.unsorting import Step, Undoing, not_back, planned_undoing, undo

SHOWN = 10  # files of each kind that are named
AT_WORK = "wait for it"


@dataclass(frozen=True)
class Sort:
    """Sort the images of a run into a folder a cluster, and take that back.

    Shows what would be done; with --yes it is done. The folder keeps a record,
    imclust-sorted.json, of what was made and where it came from.
    """

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """The folder of a finished run; `cluster-folder` says it at its end."""
    into: Path | None = None
    """The folder that gets a folder a cluster; made if need be."""
    how: Way = "copy"
    """What is done with the images: copy, move, or link (symbolic links to them)."""
    xmp: bool = False
    """Also a sidecar, name.ext.xmp, beside every sorted image, with the cluster's name as a
    keyword; images themselves are never edited."""
    undo: bool = False
    """Take back what was sorted into the folder: moved images go where they were."""
    yes: bool = False
    """Do it; without this flag it is only shown."""


def run(cfg: Sort) -> None:
    """Show what sorting, or taking it back, would do; with `--yes` do it.

    Raises
    ------
    InputError
        No folder is named, it is in use, something in it or of the run could be lost, or not every
        picture came back.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("sort run --into sorted".split())  # doctest: +ELLIPSIS
    images  folder
        12  0
        12  1
    24 images, ...
    nothing there is replaced
    nothing was done; add --yes to do it
    0
    """
    if cfg.into is None:
        do = "name the folder that gets the images"
        raise input_error("--into", "given", "none", do)
    folder = cfg.into.expanduser().resolve()
    with temporary_lock(folder, f"{folder} must be sorted", AT_WORK):
        if cfg.undo:
            _undo(cfg, folder)
        else:
            _sort(cfg, folder)


def _sort(cfg: Sort, folder: Path) -> None:
    if cfg.run is None:
        do = "name its folder, data/runs/.../..., or --undo"
        raise input_error("the run to sort", "given", "none", do)
    found = FinishedRun.load(cfg.run)
    images = found.clustering.images
    sorting = planned_sorting(found.clustering, folder, cfg.how, xmp=cfg.xmp)
    earlier = Sorting.load(folder)
    refuse_unsafe(sorting, images, found.data)
    for line in _preview(found, sorting, earlier):
        say(line)
    if not cfg.yes:
        say("nothing was done; add --yes to do it")
        return
    if sorting.how == "move":
        note_sorted(found.folder, folder)
    carry_out(sorting)
    say(f"done; {folder / 'imclust-sorted.json'} says what came from where")
    say(f"take it back: python -m imclust sort --into {quote(str(cfg.into))} --undo --yes")


def _preview(found: FinishedRun, sorting: Sorting, earlier: Sorting | None) -> list[str]:
    pictures = [f for f in sorting.files if f.source]
    sidecars = len(sorting.files) - len(pictures)
    counts = Counter(PurePosixPath(f.to).parent.name for f in pictures)
    lines = ["images  folder", *(f"{n:>6}  {printable(name)}" for name, n in _in_order(counts))]
    images = found.clustering.images
    size = sum(stored_bytes(image) for image in images if Path(image.source).is_file())
    more = f", and as many sidecars ({sidecars})" if sidecars else ""
    done = {"copy": "copied", "move": "moved", "link": "linked"}[sorting.how]
    be = "is" if len(pictures) == 1 else "are"
    lines.append(
        f"{counted(len(pictures), 'image')}, {size / 2**20:.1f} MiB, {be} {done} into "
        f"{sorting.folder}{more}"
    )
    lines.append("nothing there is replaced")
    if sorting.how == "move":
        lines.append(f"{found.data} is left by them: cluster-folder finds them there after --undo")
    if aside := len(found.clustering.set_aside):
        lines.append(f"{aside} that cannot be read stay where they are")
    if earlier is not None:
        lines.append(
            "all of that was done before" if earlier.finished else "an interrupted one goes on"
        )
    return lines


def _in_order(counts: Counter[str]) -> list[tuple[str, int]]:
    """Folders by the number of their cluster, which their names begin with."""
    return sorted(counts.items(), key=lambda pair: int(pair[0].split()[0]))


def _undo(cfg: Sort, folder: Path) -> None:
    sorting = Sorting.load(folder)
    if sorting is None:
        got, do = "no record of it", "name the folder that was given to --into"
        raise input_error(str(folder), "a folder that imclust sorted into", got, do)
    steps = planned_undoing(sorting)
    told: dict[Step, str] = {
        "remove": "taken away",
        "bring back": "moved back",
        "leave": "left as they are",
    }
    pictures = Counter(each.step for each in steps if each.file.source)
    sidecars = Counter(each.step for each in steps if not each.file.source)
    for step, words in told.items():
        more = f", and {counted(sidecars[step], 'sidecar')}" if sidecars[step] else ""
        if pictures[step] or more:
            say(f"{pictures[step]:>6}  {words}{more}")
    if missing := sum(each.step == "gone" and bool(each.why) for each in steps):
        say(f"{missing:>6}  missing")
    for line in _odd(steps):
        say(line)
    if not cfg.yes:
        say("nothing was done; add --yes to do it")
        return
    done = undo(sorting, steps)
    if any(each.why for each in done):
        say(f"{folder / 'imclust-sorted.json'} now names only those that were left or are missing "
            "and where they came from: put them right, and the same command goes on; without that "
            "file the folder is free again")  # fmt: skip
    elif folder.exists() and (rest := sorted(p for p in folder.rglob("*") if not p.is_dir())):
        names = ", ".join(printable(p.relative_to(folder).as_posix()) for p in rest[:SHOWN])
        more = f" and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
        say(f"what was sorted is as it was before; what is not of imclust stays: {names}{more}")
    else:
        say("everything is as it was before the sorting")
    if lost := not_back(sorting, done):
        got = f"{len(lost)} not, the first {printable(lost[0].source)}"
        do = "put right what is named above, and the same command goes on"
        raise input_error("every picture", "back where it was", got, do)


def _odd(steps: list[Undoing]) -> list[str]:
    """Files that are not as they were made, with why."""
    odd = [each for each in steps if each.why]
    lines = [f"        {printable(each.file.to)}: {each.why}" for each in odd[:SHOWN]]
    if len(odd) > SHOWN:
        lines.append(f"        and {len(odd) - SHOWN} more")
    return lines
