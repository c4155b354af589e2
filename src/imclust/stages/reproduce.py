"""`reproduce`: everything that a submission was made from, made again, and the bytes compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from imclust.competitions.downloads import MADE, RECORD, remove_fetched
from imclust.competitions.replay import (
    Difference,
    changed_environment,
    differing_files,
    first_difference,
    replay,
)
from imclust.competitions.replay_plan import ReplayPlan, plan_of
from imclust.core.artifacts import is_artifact
from imclust.core.errors import InputError, input_error
from imclust.core.files import replace_text
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, read_manifest

NOTE = ".reproduce.json"


class Different(InputError):
    """The submission came out otherwise."""

    status = 1


@dataclass(frozen=True)
class Reproduce:
    """Make a submission again from nothing but its manifests, and compare the bytes.

    The same command goes on after an interruption. Exit status 0: the same bytes; 1: others.
    """

    submission: tyro.conf.Positional[Path]
    """The `submission` artefact, for example submissions/photos/conv-ae-homework-seed0."""
    out: Path | None = None
    """Folder to work in; data/reproduced/<data set>/<run> unless given."""
    keep: bool = False
    """Keep that folder also when the bytes are the same."""


def run(cfg: Reproduce) -> None:
    """Read a `submission`, make it again from its manifests in another folder, compare the bytes.

    Raises
    ------
    Different
        The bytes are not the same.
    InputError
        It cannot be made again.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("reproduce submissions/first".split())  # as long as the run took  # doctest: +SKIP
    >>> main("reproduce run/clusters".split())  # no submission: refused
    2
    """
    plan = plan_of(cfg.submission)
    below = Path(*(plan.base / plan.submission).parts[-2:])
    work = (cfg.out or Path("data/reproduced") / below).resolve()
    _claim(work, plan)
    total = sum(step.seconds for step in plan.steps)
    say(f"{len(plan.steps)} stages, {total:.0f} s the first time, into {work}")
    replay(plan.steps, work, say, fetched_from=plan.base, given=plan.given)
    old, new = plan.base / plan.submission, work / plan.submission
    found = differing_files(old, new)
    if not found:
        say(f"same bytes: {', '.join(sorted(p.name for p in new.glob('*.csv')))}")
        if not cfg.keep:
            _remove_made(work)
        if work.exists():
            say(f"kept in {work}")
        return
    _tell(found, plan, work)
    names = ", ".join(d.file for d in found)
    raise Different(
        f"{cfg.submission} must come out the same; got other bytes in {names}; compare with "
        f"{new}, where everything is kept."
    )


def _claim(work: Path, plan: ReplayPlan) -> None:
    """Make the folder for this plan alone.

    Raises
    ------
    InputError
        It holds something else.
    """
    steps = [asdict(step) for step in plan.steps]
    of = json.dumps({"base": str(plan.base), "submission": plan.submission, "steps": steps})
    note = work / NOTE
    mine = note.is_file() and note.read_text() == of
    if work.is_dir() and any(work.iterdir()) and not mine:
        got = "one that holds something else"
        raise input_error(f"{work}", "an empty or a new folder", got, "delete it, or set --out")
    work.mkdir(parents=True, exist_ok=True)
    replace_text(note, of)


def _remove_made(work: Path) -> None:
    """Take away what the replay made; whatever else lies in the folder stays."""
    for manifest in sorted(work.rglob(MANIFEST)):
        made = manifest.parent
        if is_artifact(made):
            shutil.rmtree(made)
            made.with_name(f".{made.name}.lock").unlink(missing_ok=True)
    for note in (RECORD, MADE):
        for path in sorted(work.rglob(note)):
            remove_fetched(path.parent)
    for name in (NOTE, "log.csv", ".log.csv.lock"):
        (work / name).unlink(missing_ok=True)
    for folder in sorted((p for p in work.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    if not any(work.iterdir()):
        work.rmdir()


def _tell(found: list[Difference], plan: ReplayPlan, work: Path) -> None:
    """Which files differ, where it began, and what is another than then."""
    for difference in found:
        say(f"{difference.file}: {difference.rows} of {difference.of} rows differ")
    first = first_difference(plan, work)
    name = first or plan.submission
    where = f"the first artefact with other numbers is {first}" if first else "no artefact differs"
    say(where)
    lines = changed_environment(plan.docs[name], read_manifest(work / name))
    for line in lines or ["commit, versions, machine and threads are those of then"]:
        say(f"  {line}")
