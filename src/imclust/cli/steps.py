"""A run as the user sees it: steps of one or several stages, with the time that each takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from imclust.cli.parser import run_stage
from imclust.cli.progress_display import Display, Part
from imclust.core.errors import ServiceError
from imclust.core.manifest import MANIFEST
from imclust.core.object_storage import probe_storage, storage_url
from imclust.core.ray_workers import one_cluster

# Seconds on 2 cores, as a + b * images: a first guess, corrected by the pace that is measured.
COST = {
    "index": (0.3, 0.001),
    "plan": (5.0, 0.0),
    "start": (30.0, 0.02),
    "encoder": (2.5, 0.0),
    "training": (30.0, 0.02),
    "simclr": (60.0, 0.0),
    "pseudo-labels": (60.0, 0.0),
    "latents": (0.3, 0.019),
    "pixels": (0.1, 0.001),
    "spaces": (6.0, 0.008),
    "things to look at": (0.4, 0.007),
    "pairs": (5.0, 0.08),
    "tuning": (30.0, 0.3),
    "clusters": (3.0, 0.014),
    "map": (0.1, 0.003),
    "names": (0.1, 0.0003),
    "fine-tuning": (20.0, 0.1),
    "validation": (5.0, 0.004),
    "scores": (0.1, 0.0005),
    "submission": (0.2, 0.0),
    "report": (0.6, 0.0025),
    "new index": (1.0, 0.002),
    "new latents": (6.0, 0.01),
    "new clusters": (3.0, 0.001),
}
MOST_FITTED = 3500  # images from which on the step `clusters` takes hardly longer
BARS = {
    "index": "inspect",
    "encoder": "train",
    "training": "train",
    "simclr": "train",
    "pseudo-labels": "train",
    "start": "train",
    "latents": "encode",
    "map": "t-SNE",
    "pairs": "match",
    "tuning": "train",
    "things to look at": "look",
    "names": "names",
}
BY_CLOCK = {"simclr", "pseudo-labels"}  # titles of steps that are given their time
# Stages that know `--ray`, with their methods that do; none named, all of them.
BY_RAY: dict[str, set[str]] = {
    "download": set(),
    "encode": set(),
    "cluster": {"kmeans", "auto"},
    "predict": set(),
    "reduce": {"pca"},
    "look": set(),
}
VALUED = {"--n-clusters", "--features", "--out"}  # flags whose value may be called like a method
Command = tuple[str, ...]


@dataclass(frozen=True)
class RayCluster:
    """The Ray cluster that works for the stages that know how.

    Parameters
    ----------
    address : str or None
        None for this process alone.
    storage : str, optional
        What `download` and `encode` are told as `--ray-storage`, too.
    gpus : float, optional
        What `encode` is told as `--gpu-share`, too.
    """

    address: str | None = None
    storage: str | None = None
    gpus: float = 0.0

    @classmethod
    def of(cls, settings: Any) -> RayCluster:
        """That of a command's `ray`, `ray_storage` and `gpu_share`.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> RayCluster.of(SimpleNamespace(ray="auto", ray_storage=None, gpu_share=0.5)).gpus
        0.5
        """
        return cls(settings.ray, settings.ray_storage, settings.gpu_share)

    def flags(self, stage: str) -> Command:
        """Of a stage that knows them.

        Examples
        --------
        >>> RayCluster("auto", gpus=0.5).flags("encode")
        ('--ray', 'auto', '--gpu-share', '0.5')
        """
        found: Command = ("--ray", str(self.address))
        if self.storage is not None and stage in {"download", "encode"}:
            found += ("--ray-storage", self.storage)
        return (*found, "--gpu-share", str(self.gpus)) if self.gpus and stage == "encode" else found


HERE = RayCluster()


@dataclass(frozen=True)
class Step:
    """Stages that the user sees as one.

    Parameters
    ----------
    title : str
        What the user reads, of `COST`.
    commands : tuple of tuple of str
        Words of each stage's command.
    optional : bool
        Whether the others go on where a service fails it.
    expected : mapping of str to float
        Title -> seconds that steps are now expected to take.
    left_out : str
        Why it is not done, if it is not.
    """

    title: str
    commands: tuple[Command, ...]
    optional: bool = False
    expected: Mapping[str, float] = field(default_factory=dict)
    left_out: str = ""

    def by_ray(self, cluster: RayCluster) -> Step:
        """The step with the flag `--ray` for those of its stages that know it; itself for none.

        Parameters
        ----------
        cluster : RayCluster
            What they are told.

        Examples
        --------
        >>> Step("latents", (("encode", "--out", "z"),)).by_ray(RayCluster("auto")).commands
        (('encode', '--ray', 'auto', '--out', 'z'),)
        """
        if cluster.address is None:
            return self

        def with_flags(words: Command) -> Command:
            named = {word for before, word in pairwise(words) if before not in VALUED}
            methods = BY_RAY.get(words[0])
            knows = methods is not None and (not methods or not named.isdisjoint(methods))
            return (words[0], *(cluster.flags(words[0]) if knows else ()), *words[1:])

        return replace(self, commands=tuple(map(with_flags, self.commands)))


def run_steps(
    steps: Iterable[Step],
    titles: Iterable[str],
    images: int,
    words: Callable[[str], str] = str,
    cluster: RayCluster = HERE,
    unmet: list[ServiceError] | None = None,
) -> dict[str, float]:
    """Do the steps, shown as one run.

    Parameters
    ----------
    steps : iterable of Step
        In order; each may be made when those before it are done.
    titles : iterable of str
        Of all of them, to show from the beginning; one that turns out later is added.
    images : int
        About how many there are.
    words : callable
        Puts what the stages say into other words; "" leaves it out.
    cluster : RayCluster, optional
        Its storage is refused before any work where nothing can be written.
    unmet : list of ServiceError, optional
        Gets what a service failed of optional steps.

    Returns
    -------
    dict of str to float
        Title -> seconds that the step took, 0 if it was up to date.

    Examples
    --------
    >>> words = "reduce --features run/latents --out run/pca pca --components 4"
    >>> took = run_steps([Step("map", (tuple(words.split()),))], ["map"], images=24)
    ...     # doctest: +ELLIPSIS
      pca: 24 rows of 4 numbers are in run/pca
    [1/1] map: ...
    """
    if cluster.storage is not None:
        probe_storage(storage_url(cluster.storage))
    parts = [
        Part(t, expected_seconds(t, images), BARS.get(t, ""), by_clock=t in BY_CLOCK)
        for t in titles
    ]
    joined = nullcontext() if cluster.address is None else one_cluster()
    with joined, Display(parts, words) as display:
        for step in steps:
            step = step.by_ray(cluster)
            for part in parts:
                part.expected = step.expected.get(part.title, part.expected)
            if step.left_out:
                display.leave_out(step.title, step.left_out)
                continue
            with display.step(step.title, quiet=step.title in {"scores", "report"}) as nothing:
                before = _written(step)
                for command in step.commands:
                    try:
                        run_stage(command)
                    except ServiceError as e:
                        if not step.optional or unmet is None:
                            raise
                        unmet.append(e)
                if _written(step) == before:
                    nothing()
    return {part.title: part.took * (part.state == "done") for part in parts}


def expected_seconds(title: str, images: int) -> float:
    """What a step is expected to take here, before anything was measured.

    Examples
    --------
    >>> expected_seconds("index", 1000)
    1.3
    """
    fixed, each = COST[title]
    return fixed + each * (min(images, MOST_FITTED) if title == "clusters" else images)


def _written(step: Step) -> list[tuple[str, int]]:
    """When the step's artefacts were made, those of stages that write several included."""
    outs = [Path(words[words.index("--out") + 1]) for words in step.commands]
    found = [path for out in outs for path in (out / MANIFEST, *out.glob(f"*/{MANIFEST}"))]
    return [(str(path), path.stat().st_mtime_ns) for path in found if path.is_file()]
