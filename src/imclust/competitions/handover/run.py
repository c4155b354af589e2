"""What a hand-over does on another machine: prepare the data, train, predict.

Paths come from SETTINGS.json alone, the commands from steps.json. Everything is written below the
folders that SETTINGS.json names.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imclust.competitions.replay import differing_files, replay
from imclust.competitions.replay_plan import USER, ReplayPlan, Step
from imclust.core.artifacts import refuse_to_replace
from imclust.core.errors import InputError, input_error
from imclust.core.files import new_folder
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, file_digest, read_manifest

SETTINGS = {  # SETTINGS.json: what each path is for
    "RAW_DATA_DIR": "data/raw",
    "PROCESSED_DATA_DIR": "data/processed",
    "CHECKPOINT_DIR": "checkpoints",
    "MODEL_DIR": "models",
    "SUBMISSION_DIR": "predictions",
}
STEPS = "steps.json"
SHIPPED = "submission"


@dataclass(frozen=True)
class Package:
    """An unpacked hand-over.

    Parameters
    ----------
    root : Path
        Its folder.
    paths : dict[str, Path]
        The folders of SETTINGS.json.
    steps : tuple[Step, ...]
        All commands.
    submission : str
        The submission's folder below that of the artefacts.
    data : tuple[str, ...]
        Names of the files and folders that belong into RAW_DATA_DIR.
    prediction : tuple[int, ...]
        Numbers of the steps that predict.
    training : tuple[int, ...]
        Of those that train.
    weights : tuple[str, ...]
        Folders of the artefacts that the package ships.
    """

    root: Path
    paths: dict[str, Path]
    steps: tuple[Step, ...]
    submission: str
    data: tuple[str, ...]
    prediction: tuple[int, ...]
    training: tuple[int, ...]
    weights: tuple[str, ...]

    @classmethod
    def load(cls, root: Path) -> Package:
        """Read the package in a folder.

        Raises
        ------
        InputError
            SETTINGS.json lacks a path or is no JSON.
        """
        doc = json.loads((root / STEPS).read_text())
        try:
            given = json.loads((root / "SETTINGS.json").read_text())
            paths = {name: root / given[name] for name in SETTINGS}
        except (ValueError, KeyError, TypeError) as e:
            got = f"{type(e).__name__}: {e}"
            allowed = f"JSON with {', '.join(SETTINGS)}"
            raise input_error("SETTINGS.json", allowed, got, "mend it") from None
        steps = tuple(_step(s) for s in doc.pop("steps"))
        return cls(root, paths, steps, **_tuples(doc))

    def downloads(self) -> tuple[int, ...]:
        """Numbers of the steps that prepare the data."""
        return tuple(n for n in self.prediction if self.steps[n].argv[0] == "download")

    def run(self, numbers: tuple[int, ...], work: Path) -> None:
        """Run some of the steps in a folder of artefacts."""
        raw = self.paths["RAW_DATA_DIR"]
        missing = [name for name in self.data if not (raw / name).exists()]
        if missing:
            raise input_error(
                f"RAW_DATA_DIR ({raw})",
                f"a folder that holds {', '.join(self.data)}",
                f"no {', '.join(missing)}",
                "put the competition's data there",
            )
        chosen = tuple(self.steps[n] for n in numbers)
        replay(chosen, work.resolve(), say, user=str(raw.resolve()))


def described(plan: ReplayPlan) -> dict[str, Any]:
    """steps.json of a plan: the fields of `Package`, user's data by name in RAW_DATA_DIR.

    Raises
    ------
    InputError
        Two of the user's files have one name.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> doc = described(plan_of(Path("submissions/first")))
    >>> doc["data"], doc["prediction"], doc["weights"]
    (['photos'], [0, 2, 3, 4], ['run/weights'])
    """
    names = {path: Path(path).name for path in plan.user}
    if len(set(names.values())) < len(names):
        got = ", ".join(sorted(names))
        raise input_error("the user's files", "of different names", got, "rename one and run again")
    numbers = {name: n for n, step in enumerate(plan.steps) for name in step.outputs}
    shipped = {
        name
        for step in plan.steps
        if any(plan.docs[o]["kind"] == "weights" for o in step.outputs)
        for name in step.outputs
    }
    downloads = {n for n, step in enumerate(plan.steps) if step.argv[0] == "download"}
    predicting = _before(plan, {plan.submission}, numbers, shipped) | downloads
    training = _before(plan, shipped, numbers, set()) | downloads
    return {
        "steps": [_portable(step, names) for step in plan.steps],
        "submission": plan.submission,
        "data": sorted(names.values()),
        "prediction": sorted(predicting),
        "training": sorted(training),
        "weights": sorted(shipped),
    }


def prepare_data(package: Package) -> None:
    """Read, check and index the images.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> _ = Path(STEPS).write_text(json.dumps(described(plan_of(Path("submissions/first")))))
    >>> _ = Path("SETTINGS.json").write_text(json.dumps(SETTINGS))
    >>> main(prepare_data, Path())  # refused: the images are not there
    2
    """
    package.run(package.downloads(), package.paths["PROCESSED_DATA_DIR"])


def train(package: Package) -> None:
    """Learn the weights anew, in CHECKPOINT_DIR, and put them into MODEL_DIR.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> _ = Path(STEPS).write_text(json.dumps(described(plan_of(Path("submissions/first")))))
    >>> _ = Path("SETTINGS.json").write_text(json.dumps(SETTINGS))
    >>> main(train, Path())  # refused: the images are not there
    2
    """
    work, models = package.paths["CHECKPOINT_DIR"], package.paths["MODEL_DIR"]
    package.run(package.training, work)
    for name in package.weights:
        bring(work / name, models / name)
    say(f"weights: {models}")


def predict(package: Package) -> None:
    """The submission from the weights in MODEL_DIR, into SUBMISSION_DIR; compared with that sent.

    Artefacts that the weights were made from are there as manifests alone: where they came from.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> _ = Path(STEPS).write_text(json.dumps(described(plan_of(Path("submissions/first")))))
    >>> _ = Path("SETTINGS.json").write_text(json.dumps(SETTINGS))
    >>> main(predict, Path())  # refused: the images are not there
    2
    """
    work = package.paths["PROCESSED_DATA_DIR"]
    prepare_data(package)  # first: an index that is a manifest alone would look damaged to it
    bring_models(package, work)
    package.run(tuple(n for n in package.prediction if n not in package.downloads()), work)
    out = package.paths["SUBMISSION_DIR"]
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted((work / package.submission).glob("*.csv")):
        shutil.copyfile(path, out / path.name)
        say(f"submission: {out / path.name}")
    other = differing_files(package.root / SHIPPED, out)
    for d in other:
        say(f"{d.file}: {d.rows} of {d.of} rows are not those of {SHIPPED}/{d.file}")
    if not other:
        say(f"same bytes as in {SHIPPED}/")


def main(act: Callable[[Package], None], root: Path) -> int:
    """Run one entry point; returns the exit status.

    Parameters
    ----------
    act : callable
        `prepare_data`, `train` or `predict`.
    root : Path
        The folder of the package.

    Returns
    -------
    int
        0 done, 130 interrupted, else that of a refusal.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> _ = Path(STEPS).write_text(json.dumps(described(plan_of(Path("submissions/first")))))
    >>> _ = Path("SETTINGS.json").write_text(json.dumps(SETTINGS))
    >>> main(lambda package: say(package.submission), Path())
    submissions/first
    0
    """
    try:
        act(Package.load(root))
    except InputError as e:
        sys.stderr.write(f"{act.__name__}: {e}\n")
        return e.status
    except KeyboardInterrupt:
        sys.stderr.write(f"{act.__name__}: interrupted; the same command goes on.\n")
        return 130
    return 0


def _before(
    plan: ReplayPlan, wanted: set[str], numbers: dict[str, int], given: set[str]
) -> set[int]:
    """Numbers of the steps that artefacts need, but for what is given."""
    found: set[int] = set()
    todo = sorted(wanted)
    while todo:
        name = todo.pop()
        if name in given or numbers[name] in found:
            continue
        found.add(numbers[name])
        for output in plan.steps[numbers[name]].outputs:
            inputs = plan.docs[output]["inputs_at"].values()
            named = (os.path.normpath(os.path.join(output, there)) for there in inputs)
            todo += [name for name in named if name in numbers]  # others are the user's
        words = (w.partition("/")[2] for w in plan.steps[numbers[name]].argv)
        todo += [w for w in words if w in numbers]
    return found


def _portable(step: Step, names: dict[str, str]) -> dict[str, Any]:
    words = [
        f"{USER}/{names[w.removeprefix(USER)]}" if w.startswith(USER) else w for w in step.argv
    ]
    return {**asdict(step), "argv": words, "variables": dict(step.variables)}


def _step(doc: dict[str, Any]) -> Step:
    return Step(**_tuples(doc))


def _tuples(doc: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in doc.items()}


def bring_models(package: Package, work: Path) -> None:
    """Copy the weights to their places in a folder of artefacts, and the manifests of what they
    were made from where nothing is.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> _ = Path(STEPS).write_text(json.dumps(described(plan_of(Path("submissions/first")))))
    >>> _ = Path("SETTINGS.json").write_text(json.dumps(SETTINGS))
    >>> _ = shutil.copytree("run/weights", "models/run/weights")
    >>> bring_models(Package.load(Path()), Path("work"))
    >>> Path("work/run/weights/weights.safetensors").is_file()
    True
    """
    models = package.paths["MODEL_DIR"]
    for manifest in sorted(models.rglob(MANIFEST)):
        name = manifest.parent.relative_to(models)
        if name.as_posix() in package.weights or not (work / name / MANIFEST).is_file():
            bring(manifest.parent, work / name)


def bring(source: Path, to: Path) -> None:
    """Copy an artefact in one step; one that is there already stays.

    Examples
    --------
    >>> bring(Path("run/clusters"), Path("work/clusters"))
    >>> read_manifest(Path("work/clusters"))["kind"]
    'assignment'
    """
    there = to / MANIFEST
    if there.is_file() and file_digest(there) == file_digest(source / MANIFEST):
        return
    refuse_to_replace(to, read_manifest(source)["kind"])
    with new_folder(to) as fresh:
        shutil.copytree(source, fresh, dirs_exist_ok=True)
        shutil.rmtree(to, ignore_errors=True)
