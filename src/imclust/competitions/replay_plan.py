"""The commands that made a submission, as its manifests hold them, for another folder.

A plan is portable: `${WORK}` stands for the folder of all artefacts, `${USER}` before the absolute
path of what the user brought.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclust.core.base_records import Base
from imclust.core.errors import InputError, input_error
from imclust.core.manifest import MANIFEST, read_manifest

WORK, USER = "${WORK}", "${USER}"
REPLAYED = (
    "download",
    "train",
    "encode",
    "gather",
    "reduce",
    "look",
    "cluster",
    "metric",
    "pairs",
    "link",
    "read",
    "predict",
    "finetune",
    "submit",
)
NESTED = {"download", "finetune"}  # these write several artefacts below --out
# Flags of these stages and their methods that name a file or folder (a test holds this to them).
PATHS = {
    *("--index", "--weights", "--init-weights", "--features", "--assignment", "--published"),
    *("--pairs", "--names-from", "--tuned", "--local-weights", "--file", "--grown-from"),
    *(
        "--n-clusters-from",
        "--data-dir",
        "--sample",
        "--truth",
        "--must-link",
        "--cannot-link",
        "--anchors",
        "--corrections",
        "--copies",
    ),
}
SHARES = {("download", "--published")}  # numbers, though another stage has a path of that name
EITHER = "--known"  # a file, or the labels themselves
MANY = {"--features", "--corrections", "--tuned"}  # flags of several values
# Flag -> its values; they decide no byte.
DROPPED = {
    "--log": 1,
    "--scores": 1,
    "--force": 0,
    "--ray": 1,
    "--ray-rows": 1,
    "--ray-storage": 1,
    "--gpu-share": 1,
}


@dataclass(frozen=True)
class Step:
    """One command.

    Parameters
    ----------
    argv : tuple[str, ...]
        Its words, with `${WORK}` and `${USER}`.
    out : str
        Its folder below `${WORK}`.
    outputs : tuple[str, ...]
        Folders of the artefacts that are wanted of it.
    seconds : float
        What it took.
    variables : Mapping[str, str | None]
        Environment that decides the last digits.
    """

    argv: tuple[str, ...]
    out: str
    outputs: tuple[str, ...]
    seconds: float
    variables: Mapping[str, str | None]

    @property
    def title(self) -> str:
        """`train data/runs/photos/conv-ae-seed0/weights`."""
        return f"{self.argv[0]} {self.outputs[0]}"

    def words(self, work: Path | str, user: str = "") -> list[str]:
        """The command for a folder of artefacts."""
        return [w.replace(WORK, str(work)).replace(USER, user) for w in self.argv]


@dataclass(frozen=True)
class ReplayPlan:
    """The steps that make a submission, first made first.

    Parameters
    ----------
    base : Path
        The folder that holds all artefacts of the original.
    submission : str
        The submission's folder below it.
    docs : Mapping[str, dict[str, Any]]
        Artefact's folder below `base` -> its manifest.
    user : tuple[str, ...]
        Absolute paths of what the user brought.
    given : tuple[str, ...]
        Artefacts below `base` that are taken as they are: what clusters grew from is of images
        that may be gone.
    """

    base: Path
    submission: str
    steps: tuple[Step, ...]
    docs: Mapping[str, dict[str, Any]]
    user: tuple[str, ...]
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where a command was run, told from its --out and from where its result lies now."""

    then: Path
    now: Path
    cwd: Path

    @classmethod
    def of(cls, declared: str, real: Path) -> Origin:
        """`declared`: the value of --out. `real`: that folder now.

        Raises
        ------
        InputError
            They end in different names, so that nothing can be told.
        """
        path = Path(os.path.normpath(declared))
        if path.is_absolute():
            then, now = path, real
            while then.name and then.name == now.name:
                then, now = then.parent, now.parent
            found = cls(then, now, Path.cwd())
        else:
            names = [part for part in path.parts if part != ".."]
            now = real.parents[len(names) - 1] if names else real
            then = now
            found = cls(now, now, now.joinpath(*["_"] * (len(path.parts) - len(names))))
            path = Path(os.path.normpath(found.cwd / path))
        if (then == path) or (not Path(declared).is_absolute() and path != real):
            raise input_error(
                str(real),
                f"where its manifest says, at the end of a path: {declared}",
                "another name",
                "give the folder its old name, or move all folders of the run together",
            )
        return found

    def resolve(self, text: str) -> Path:
        """A path in the command -> where that is now."""
        path = Path(os.path.normpath(self.cwd / text))
        if path.is_relative_to(self.then):
            moved = self.now / path.relative_to(self.then)
            return moved if moved.exists() or not path.exists() else path
        return path


def plan_of(submission: Path) -> ReplayPlan:
    """How a submission was made.

    Raises
    ------
    InputError
        An artefact was made through Python, or something it was made from has gone.

    Examples
    --------
    >>> plan = plan_of(Path("submissions/first"))
    >>> [step.argv[0] for step in plan.steps], plan.submission
    (['download', 'train', 'encode', 'cluster', 'submit'], 'submissions/first')
    """
    there = Path(os.path.abspath(submission))
    read_manifest(there, "submission")
    docs: dict[Path, dict[str, Any]] = {}
    given: dict[Path, None] = {}
    _visit(there, docs, given)
    base = Path(os.path.commonpath([*(_real_out(p, d) for p, d in docs.items()), *given]))
    if base in docs:
        base = base.parent
    steps: dict[tuple[Path, tuple[str, ...]], list[Path]] = {}
    for path, doc in docs.items():
        steps.setdefault((_real_out(path, doc), tuple(doc["argv"])), []).append(path)
    user: list[str] = []
    made = [
        _step(out, paths, docs, (*docs, *given), base, user) for (out, _), paths in steps.items()
    ]
    below = {path.relative_to(base).as_posix(): doc for path, doc in docs.items()}
    mine = there.relative_to(base).as_posix()
    as_they_are = tuple(path.relative_to(base).as_posix() for path in given)
    return ReplayPlan(base, mine, tuple(made), below, tuple(dict.fromkeys(user)), as_they_are)


def _visit(folder: Path, docs: dict[Path, dict[str, Any]], given: dict[Path, None]) -> None:
    """`lineage`, and the artefacts that a command names without being made from them."""
    if folder in docs:
        return
    doc = read_manifest(folder)
    before = [Path(os.path.normpath(folder / there)) for there in doc["inputs_at"].values()]
    origin = _origin(folder, doc)
    named = [origin.resolve(word) for _, word, is_path in _parsed(doc) if is_path]
    for path in [*before, *(p for p in named if (p / MANIFEST).is_file())]:
        if read_manifest(path)["kind"] == Base.kind:
            given[path] = None
        else:
            _visit(path, docs, given)
    docs[folder] = doc


def _real_out(folder: Path, doc: dict[str, Any]) -> Path:
    return folder.parent if doc["argv"][0] in NESTED else folder


def _origin(folder: Path, doc: dict[str, Any]) -> Origin:
    argv = doc["argv"]
    outs = [word for flag, word, _ in _parsed(doc) if flag == "--out"]
    if not argv or argv[0] not in REPLAYED or not outs:
        raise InputError(
            f"{folder} must have been made by a stage on the command line; got one made through "
            "Python, whose command nobody knows; make it with `python -m imclust`, or run your "
            "own script again."
        )
    return Origin.of(outs[-1], _real_out(folder, doc))


def _parsed(doc: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(flag it belongs to, word, whether it is a path) of every word of a manifest's command.

    A flag itself belongs to none. `--flag=value` comes as two words. The name of the method ends
    a flag of several values, as it does on the command line.
    """
    argv, method = doc["argv"], doc["config"].get("method")
    flag, count = "", 0
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            flag, count = name.replace("_", "-"), 0
            yield "", name, False
            if not equals:
                continue
            word = value
        if count and (flag not in MANY or word == method):
            flag = ""
        count += 1
        yield flag, word, flag in PATHS and (argv[0], flag) not in SHARES


def _step(
    out: Path,
    paths: list[Path],
    docs: dict[Path, dict[str, Any]],
    artefacts: Iterable[Path],
    base: Path,
    user: list[str],
) -> Step:
    doc = docs[paths[0]]
    origin = _origin(paths[0], doc)
    words: list[str] = []
    skip = 0
    for flag, word, is_path in _parsed(doc):
        name = word.replace("_", "-")
        if not flag and name in DROPPED:
            skip = DROPPED[name]
        elif skip and flag in DROPPED:
            skip -= 1
        elif flag == "--out":
            words.append(f"{WORK}/{out.relative_to(base).as_posix()}")
        elif is_path or (flag == EITHER and origin.resolve(word).is_file()):
            # Corrections lie in the assignment that they made: made again, they come first.
            made = () if flag == "--corrections" else artefacts
            words.append(_portable(origin.resolve(word), made, base, user))
        else:
            words.append(word)
    if words[0] == "train":
        words = _as_long(words, doc)
    outputs = tuple(p.relative_to(base).as_posix() for p in paths)
    seconds = sum(docs[p]["seconds"] for p in paths)
    below = out.relative_to(base).as_posix()
    return Step(tuple(words), below, outputs, seconds, doc.get("variables", {}))


def _as_long(words: list[str], doc: dict[str, Any]) -> list[str]:
    """A training under a budget, as one of the steps that it planned, shortened where that was:
    time differs, steps do not."""
    if "--budget" not in words or "steps" not in doc:
        return words
    at = words.index("--budget")
    cuts = [f"{step}:{steps}" for step, steps in doc.get("cuts", ())]
    length = ["--steps", str(doc["planned"] if cuts else doc["steps"])]
    return [*words[:at], *(["--cuts", *cuts] if cuts else ()), *length, *words[at + 2 :]]


def _portable(path: Path, artefacts: Iterable[Path], base: Path, user: list[str]) -> str:
    """A path of a command for another machine."""
    if any(path.is_relative_to(folder) for folder in artefacts):
        return f"{WORK}/{path.relative_to(base).as_posix()}"
    if not path.exists():
        raise input_error(
            str(path), "there, as a stage of this run read it", "nothing there", "put it back"
        )
    user.append(str(path))
    return f"{USER}{path}"
