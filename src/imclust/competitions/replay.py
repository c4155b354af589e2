"""Running the commands of a plan again in another folder, and comparing what comes out."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclust.competitions.downloads import RECORD
from imclust.competitions.fetch_images import FETCHED
from imclust.competitions.replay_plan import ReplayPlan, Step
from imclust.core.checks import disk_space
from imclust.core.errors import InputError
from imclust.core.files import new_folder
from imclust.core.manifest import file_digest
from imclust.core.records import read_csv
from imclust.core.reproducibility import VARIABLES

TRUST = 5.0  # seconds after which the pace measured counts as much as that of the first time


def replay(
    steps: tuple[Step, ...],
    work: Path,
    say: Callable[[str], None],
    *,
    user: str = "",
    fetched_from: Path | None = None,
    given: tuple[str, ...] = (),
) -> None:
    """Run steps in the folder `work`; what is up to date there is skipped by the stages.

    Parameters
    ----------
    steps : tuple[Step, ...]
        Of a plan.
    work : Path
        Where all artefacts go.
    say : Callable[[str], None]
        Told one line a step.
    user : str, optional
        What `${USER}` stands for.
    fetched_from : Path | None, optional
        A plan's base, whose fetched files are copied instead of fetched again.
    given : tuple[str, ...], optional
        Artefacts below that, which are copied as they are.

    Raises
    ------
    InputError
        A step failed; it has said why.

    Examples
    --------
    >>> replay((), Path("work"), say=lambda line: None)  # no step, nothing to do
    """
    began, first_time = time.monotonic(), 0.0
    for name in given:
        if fetched_from is not None and not (work / name).exists():
            with new_folder(work / name) as fresh:
                shutil.copytree(fetched_from / name, fresh, dirs_exist_ok=True)
    total = sum(step.seconds for step in steps)
    with _Stages(work, user) as stages:
        for number, step in enumerate(steps, 1):
            if fetched_from is not None and step.argv[0] == "download":
                copy_fetched(fetched_from / step.out / "files", work / step.out / "files")
            start = time.monotonic()
            stages.run(step)
            first_time += step.seconds
            now = time.monotonic()
            pace = (TRUST + now - began) / (TRUST + first_time)
            left = (total - first_time) * pace
            about = f"; about {left:.0f} s left" if number < len(steps) else ""
            say(
                f"[{number}/{len(steps)}] {step.title}: {now - start:.1f} s "
                f"(first time {step.seconds:.1f} s{about})"
            )


def copy_fetched(files: Path, to: Path) -> None:
    """Copy the files that the downloader fetched, if it did: the network is asked once.

    Copies, not links: a challenge may unpack or rewrite what lies there.

    Examples
    --------
    >>> _ = Path("raw", RECORD).write_text("{}")
    >>> copy_fetched(Path("raw"), Path("copy"))
    >>> Path("copy", RECORD).is_file()
    True
    """
    if not any((files / name).exists() for name in (RECORD, FETCHED)) or to.exists():
        return
    disk_space(to, sum(p.stat().st_size for p in files.rglob("*") if p.is_file()))
    with new_folder(to) as fresh:
        shutil.copytree(files, fresh, dirs_exist_ok=True)


@dataclass(frozen=True)
class Difference:
    """A file that came out otherwise: how many of how many rows, the header among them."""

    file: str
    rows: int
    of: int


def differing_files(a: Path, b: Path) -> list[Difference]:
    """CSV files of two submissions whose bytes differ, with the number of rows that do.

    Examples
    --------
    >>> _ = shutil.copytree("submissions/first", "again")
    >>> _ = Path("again/submission.csv").write_text("id,label\\n")
    >>> differing_files(Path("submissions/first"), Path("again"))
    [Difference(file='submission.csv', rows=24, of=25)]
    """
    names = sorted({p.name for folder in (a, b) for p in folder.glob("*.csv")})
    found = []
    for name in names:
        old, new = (f.read_bytes() if f.is_file() else b"" for f in (a / name, b / name))
        if old != new:
            lines = (text.splitlines(keepends=True) for text in (old, new))
            pairs = list(itertools.zip_longest(*lines))
            found.append(Difference(name, sum(x != y for x, y in pairs), len(pairs)))
    return found


def first_difference(plan: ReplayPlan, work: Path) -> str | None:
    """The first artefact of the lineage whose numbers are others than those of the original.

    Parameters
    ----------
    plan : ReplayPlan
        Of the original.
    work : Path
        Where it was made again.

    Returns
    -------
    str or None
        Its folder below `work`; None where all are the same.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> first_difference(plan_of(Path("submissions/first")), Path()) is None  # with itself
    True
    """
    for step in plan.steps:
        for name in step.outputs:
            kind = plan.docs[name]["kind"]
            if _numbers(plan.base / name, kind) != _numbers(work / name, kind):
                return name
    return None


def changed_environment(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What is another machine, version or setting between two manifests, one line each.

    Examples
    --------
    >>> changed_environment({"cpus": 2, "git": "a1"}, {"cpus": 4, "git": "a1"})
    ['cores: 2 then, 4 now']
    """
    before, after = (
        {
            "commit": doc.get("git"),
            "device": doc.get("device"),
            "cores": doc.get("cpus"),
            **doc.get("versions", {}),
            **doc.get("variables", {}),
        }
        for doc in (old, new)
    )
    names = [n for n in before | after if before.get(n) != after.get(n)]
    return [f"{n}: {_shown(before.get(n))} then, {_shown(after.get(n))} now" for n in names]


def _shown(value: object) -> str:
    return "not known or not set" if value is None else str(value)


WAIT = 1.0  # seconds that an interrupted stage has to say so
# Commands come as lines of JSON, and how each ended goes back; what they print goes nowhere.
SERVE = """
import json, os, sys
from imclust.__main__ import main
ended = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
try:
    for line in sys.stdin:
        try:
            status = main(json.loads(line))
        except SystemExit as e:
            status = e.code if isinstance(e.code, int) else 1
        ended.write(f"{status}\\n")
        ended.flush()
except KeyboardInterrupt:
    sys.exit(130)
"""


class _Stages:
    """Stages in a process of their own, from this very source; another one where the variables of
    then were others: libraries look at them once."""

    def __init__(self, work: Path, user: str) -> None:
        self._work, self._user = work, user
        self._child: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}

    def run(self, step: Step) -> None:
        environment = self._environment_of(step)
        if self._child is None or environment != self._environment:
            self._end()
            self._work.mkdir(parents=True, exist_ok=True)
            self._environment = environment
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", SERVE],
                cwd=self._work, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        argv = step.words(self._work, self._user)
        if argv[0] == "submit":
            argv[1:1] = ["--log", str(self._work / "log.csv")]
        status = self._status_of(argv)
        if status:
            raise InputError(
                f"Every stage must end well; {step.title} ended with status {status} and said why "
                "above; mend that, and the same command goes on from there."
            )

    def __enter__(self) -> _Stages:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end(WAIT if kind is KeyboardInterrupt else None)

    def _end(self, wait: float | None = None) -> None:
        """Let the process end, which it does once nothing more can come, or after a time."""
        if self._child is not None:
            for stream in (self._child.stdin, self._child.stdout):
                assert stream is not None
                with suppress(BrokenPipeError):
                    stream.close()
            try:
                self._child.wait(wait)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None

    def _environment_of(self, step: Step) -> dict[str, str]:
        environment = dict(os.environ) | {n: v for n, v in step.variables.items() if v is not None}
        for name in VARIABLES:
            if name in step.variables and step.variables[name] is None:
                environment.pop(name, None)
        source = str(Path(__file__).parents[2])
        paths = filter(None, [source, environment.get("PYTHONPATH")])
        return environment | {"PYTHONPATH": os.pathsep.join(paths)}

    def _status_of(self, argv: list[str]) -> int:
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):  # it was killed, which the next line tells
            self._child.stdin.write(json.dumps(argv) + "\n")
            self._child.stdin.flush()
        ended = self._child.stdout.readline()
        return int(ended) if ended else self._child.wait() or 1


def _numbers(folder: Path, kind: str) -> dict[str, str]:
    """Digests of the files that hold an artefact's numbers; none of logs, pictures and times."""
    found = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in {".npy", ".safetensors"} or (
            path.suffix == ".csv" and kind in {"submission", "published"}
        ):
            found[path.name] = file_digest(path)
    if kind == "index" and (folder / "index.csv").is_file():  # but for where the images lie
        rows = read_csv(folder / "index.csv")
        found["index.csv"] = str([[r["split"], r["id"], r["digest"]] for r in rows])
    return found
