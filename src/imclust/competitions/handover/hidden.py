"""What the notebook of a code competition runs: a run's stages on the test set that it finds.

`fit` clusters the hidden images anew, with the weights of the run; `predict` gives them the
clusters of the run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from imclust.competitions.handover.run import Package, bring, bring_models
from imclust.competitions.replay import replay
from imclust.competitions.replay_plan import USER, WORK, Step
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest

Mode = Literal["fit", "predict"]
SETTING = "kernel.json"
KNOWN = "known"  # artefacts of the clusters that `predict` goes by


@dataclass(frozen=True)
class HiddenTest:
    """What the notebook is to do; `kernel.json` of the model's dataset.

    Parameters
    ----------
    mode : 'fit' or 'predict'
        Cluster the hidden images anew, or place them.
    file : str
        The submission's name in the working folder.
    folders : tuple of str
        Names of the run's data that were folders: the competition's own folder may stand for one.
    clusters : str
        The run's clusters, below the folder of artefacts.
    features : tuple of str
        What they were found in, in order.
    index : str
        The images of the submission.
    """

    mode: Mode
    file: str
    folders: tuple[str, ...]
    clusters: str
    features: tuple[str, ...]
    index: str

    @classmethod
    def load(cls, root: Path) -> HiddenTest:
        """Of a model's dataset."""
        doc: dict[str, Any] = json.loads((root / SETTING).read_text(encoding="utf-8"))
        return cls(**doc | {name: tuple(doc[name]) for name in ("folders", "features")})


@dataclass(frozen=True)
class HiddenRun:
    """A run's stages on a competition's data, in parts that several machines can do.

    Parameters
    ----------
    root : Path
        The model's dataset, only read.
    data : Path
        The competition's folder, only read.
    out : Path
        The working folder; artefacts go into `imclust` below it.
    """

    root: Path
    data: Path
    out: Path

    @cached_property
    def package(self) -> Package:
        """The stages."""
        return Package.load(self.root)

    @cached_property
    def test(self) -> HiddenTest:
        """What they are to do."""
        return HiddenTest.load(self.root)

    @property
    def work(self) -> Path:
        """Where artefacts go."""
        return (self.out / "imclust").resolve()

    def prepare(self) -> None:
        """Find and index the images; put the weights, and for `predict` the clusters, in place.

        Raises
        ------
        InputError
            The data is not what the run read, or a stage failed and has said why.
        """
        _link_data(self.package, self.test, self.data.resolve(), self.work / "raw")
        self._replay(_chosen(self.package, {"download"}))
        bring_models(self.package, self.work)
        if self.test.mode == "predict":
            for name in sorted(_artefacts(self.root / KNOWN)):
                bring(self.root / KNOWN / name, self.work / KNOWN / name)

    def encode(self, shard: int = 0, shards: int = 1) -> None:
        """Encode all images, or one of several equal shares of them."""
        steps = _chosen(self.package, {"encode"})
        self._replay(steps if shards == 1 else tuple(_share(s, shard, shards) for s in steps))

    def gather(self, shards: int) -> None:
        """Put the shares of the encodings together."""
        steps = _chosen(self.package, {"encode"})
        self._replay(tuple(_gathering(s, shards, self.test.index) for s in steps))

    def finish(self) -> Path:
        """Cluster or place, and write the submission; its path."""
        if self.test.mode == "predict":
            placed = _placing(self.package, self.test)
            self._replay((placed, *_chosen(self.package, {"submit"})))
        else:
            rest = {step.argv[0] for step in self.package.steps} - {"download", "encode"}
            self._replay(_chosen(self.package, rest))
        to = self.out / self.test.file
        shutil.copyfile(self.work / self.package.submission / "submission.csv", to)
        say(f"submission: {to}")
        return to

    def _replay(self, steps: tuple[Step, ...]) -> None:
        replay(steps, self.work, say, user=str(self.work / "raw"))


def _share(step: Step, shard: int, shards: int) -> Step:
    """An encoding of one of several shares of the images."""
    out = f"{step.out}-shard-{shard}"
    words = [f"{WORK}/{out}" if w == f"{WORK}/{step.out}" else w for w in step.argv]
    return replace(step, argv=(*words, "--shard", f"{shard}/{shards}"), out=out, outputs=(out,))


def _gathering(step: Step, shards: int, index: str) -> Step:
    """`gather` of the shares of an encoding, in its place."""
    shares = [f"{WORK}/{_share(step, i, shards).out}" for i in range(shards)]
    words = ("gather", "--features", *shares, "--index", f"{WORK}/{index}")
    return replace(step, argv=(*words, "--out", f"{WORK}/{step.out}"), outputs=(step.out,))


def _artefacts(folder: Path) -> list[str]:
    return [p.parent.relative_to(folder).as_posix() for p in folder.rglob("manifest.json")]


def _chosen(package: Package, stages: set[str]) -> tuple[Step, ...]:
    """The steps of the prediction that are of some stages, in their order."""
    steps = (package.steps[n] for n in package.prediction)
    return tuple(step for step in steps if step.argv[0] in stages)


def _placing(package: Package, test: HiddenTest) -> Step:
    """`predict` in the place of the run's `cluster`."""
    features = [f"{WORK}/{name}" for name in test.features]
    known = f"{WORK}/{KNOWN}/{test.clusters}"
    words = (
        *("predict", "--assignment", known, "--index", f"{WORK}/{test.index}"),
        *("--features", *features, "--out", f"{WORK}/{test.clusters}"),
    )
    made = next(s for s in package.steps if test.clusters in s.outputs)
    return Step(words, test.clusters, (test.clusters,), made.seconds, made.variables)


def _link_data(package: Package, test: HiddenTest, data: Path, raw: Path) -> None:
    """Make a folder in which the competition's data has the names that the run knew it by."""
    if not data.is_dir():
        do = "give the folder that the notebook is given"
        raise input_error("the competition's data", "a folder", f"{data}, which is not there", do)
    raw.mkdir(parents=True, exist_ok=True)
    for name in package.data:
        source = data / name
        if not source.exists() and name in test.folders:
            source = data
        if not source.exists():
            found = ", ".join(sorted(p.name for p in data.iterdir())[:10]) or "nothing"
            do = "package a run on data of the competition's own names"
            raise input_error(f"the competition's folder {data}", f"one with {name}", found, do)
        link = raw / name
        if not os.path.lexists(link):
            link.symlink_to(source)
        elif link.resolve() != source.resolve():
            got = f"one to {link.resolve()}"
            raise input_error(str(link), f"a link to {source}", got, "take another working folder")


def read_by_prediction(package: Package) -> set[str]:
    """Names of the user's files that other stages than `download` read on the hidden images.

    Examples
    --------
    >>> from imclust.competitions.handover.run import SETTINGS, STEPS, described
    >>> from imclust.competitions.replay_plan import plan_of
    >>> _ = Path(STEPS).write_text(json.dumps(described(plan_of(Path("submissions/first")))))
    >>> _ = Path("SETTINGS.json").write_text(json.dumps(SETTINGS))
    >>> read_by_prediction(Package.load(Path()))
    set()
    """
    steps = (package.steps[n] for n in package.prediction)
    words = (w for step in steps if step.argv[0] != "download" for w in step.argv)
    return {Path(w).name for w in words if w.startswith(USER)}


def known_artefacts(clusters: Path) -> list[Path]:
    """What `predict` needs of a run: its clusters, their features, the index of these.

    Raises
    ------
    InputError
        The clusters rest on features that no later image can be given.

    Examples
    --------
    >>> [path.as_posix() for path in known_artefacts(Path("run/clusters"))]
    ['run/clusters', 'run/latents', 'raw/index']
    """
    found = [clusters]
    for name, there in read_manifest(clusters)["inputs_at"].items():
        path = Path(os.path.normpath(clusters / there))
        doc = read_manifest(path)
        if name.startswith("features") and "weights" not in doc["inputs_at"]:
            raise input_error(
                "--mode predict", "of a run that clusters what its encoder says",
                f"one upon {path.name}, which later images cannot be placed in", "take --mode fit",
            )  # fmt: skip
        found.append(path)
        found += [
            Path(os.path.normpath(path / at))
            for role, at in doc["inputs_at"].items()
            if role == "index"
        ]
    return list(dict.fromkeys(found))


def main(argv: list[str]) -> int:
    """Do a hidden run, or a part of it; returns the exit status.

    Parameters
    ----------
    argv : list of str
        `MODEL DATA OUT`, as for `HiddenRun`, and behind them `prepare`, `encode I/N` or `finish N`
        for a part.

    Examples
    --------
    >>> from imclust.competitions.handover.kernel import build_model
    >>> from imclust.competitions.handover.settings import NotebookSettings
    >>> from imclust.competitions.replay_plan import plan_of
    >>> build_model(Path("model"), plan_of(Path("submissions/first")), [], NotebookSettings())
    >>> Path("out/imclust/raw").mkdir(parents=True)
    >>> Path("out/imclust/raw/photos").symlink_to("/elsewhere")
    >>> main(["model", "photos", "out"])  # refused: a run of other images works there
    2
    """
    run = HiddenRun(*map(Path, argv[:3]))
    what, *more = argv[3:] or ("all",)
    try:
        if what in {"all", "prepare"}:
            run.prepare()
        if what == "all":
            run.encode()
        if what == "encode":
            run.encode(*map(int, more[0].split("/")))
        if what == "finish":
            run.gather(int(more[0]))
        if what in {"all", "finish"}:
            run.finish()
    except InputError as e:
        sys.stderr.write(f"imclust: {e}\n")
        return e.status
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
