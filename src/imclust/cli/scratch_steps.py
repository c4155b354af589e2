"""The order of the stages with nothing but the images' own pixels, for `RECIPE=scratch-best`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from imclust.cli.pipeline import Predictor, encode_command, train_command
from imclust.cli.run_paths import RunPaths
from imclust.cli.steps import Command, Step, expected_seconds
from imclust.core.checks import seconds
from imclust.core.manifest import MANIFEST, artifact_file, parse_json, read_manifest
from imclust.encoders import ENCODERS

WAYS = ("simclr", "pseudo-labels")  # of learning from views
# Spaces that cost next to nothing: a formula each, or a dictionary learned at once.
FREE = (
    "pixels", "power-spectrum", "colour", "hog", "lbp", "patch-dictionary", "random-conv",
    "scattering",
)  # fmt: skip
DRAWN = {"patch-dictionary", "random-conv"}  # those that a seed decides
# Seconds an image that these take, and that their clusters do, on one core without AVX-512.
ASIDE = 0.0135
# A plan's words, before it is made: checked, never run.
GUESS = ("32", "32", "auto", "1", "60", "60")


def scratch_steps(
    at: RunPaths, budget: str, flags: Iterable[str], *, guess: bool = False
) -> Iterator[Step]:
    """From the index to every space: a plan of the budget, those that cost next to nothing, and
    the codes of both encoders.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    budget : str
        Time for everything, such as 20m.
    flags : iterable of str
        Of both encoders.
    guess : bool
        Nothing is done yet.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "auto-seed0", "scratch-best", 0)
    >>> [step.title for step in scratch_steps(at, "20m", (), guess=True)]
    ['plan', 'spaces', 'simclr', 'pseudo-labels']
    """
    index, out = ("--index", str(at.index)), ("--out", str(at.encoded / "plan"))
    share = ("--shares", *["1"] * len(WAYS), "--aside", str(ASIDE))
    yield Step("plan", (("plan", *index, *out, "--budget", budget, *share),))
    yield replace(free_step(at), expected=_planned(at) if is_planned(at) else {})
    yield from _view_steps(at, plan_words(at, guess=guess), flags)


def expected_of(budget: str, rows: Mapping[str, int]) -> dict[str, float]:
    """What the steps should take before there is a plan: title -> seconds.

    Parameters
    ----------
    budget : str
        Time for everything, such as 20m.
    rows : mapping of str to int
        Images of each split.

    Examples
    --------
    >>> [round(s) for s in expected_of("20m", {"train": 3000}).values()]
    [435, 435, 138, 30]
    """
    from imclust.stages.plan import search_seconds, searches_within, training_seconds

    given, n = seconds(budget), rows.get("train", 0)
    trainings = training_seconds(given, n, ASIDE, [1.0] * len(WAYS))
    searches = searches_within(given, n)
    known = dict(zip(WAYS, trainings, strict=True)) | {"clusters": search_seconds(searches, n)}
    known["spaces"] = expected_seconds("spaces", sum(rows.values()))
    if validated := rows.get("val"):
        known["validation"] = search_seconds(searches, validated)
    return known


def scratch_spaces(at: RunPaths) -> list[Path]:
    """Where the codes and the spaces that cost next to nothing lie.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "auto-seed0", "scratch-best", 0)
    >>> [path.name for path in scratch_spaces(at)][:3]
    ['simclr-latents', 'pseudo-labels-latents', 'latents']
    """
    return [*(_codes(at, way) for way in WAYS), *(_free(at, name) / "latents" for name in FREE)]


def is_planned(at: RunPaths) -> bool:
    """Whether there is a plan; one of an earlier program, which says less, is none.

    Examples
    --------
    >>> is_planned(RunPaths(Path("empty"), "photos", "auto-seed0", "scratch-best", 0))
    False
    """
    manifest = at.encoded / "plan" / MANIFEST
    return manifest.is_file() and "search_seconds" in (parse_json(manifest) or {})


def plan_words(at: RunPaths, *, guess: bool = False) -> tuple[str, ...]:
    """Side, width, precision of the networks, searches of `auto`, seconds of each training.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    guess : bool
        There may be no plan yet.

    Examples
    --------
    >>> at = RunPaths(Path("empty"), "photos", "auto-seed0", "scratch-best", 0)
    >>> plan_words(at, guess=True)
    ('32', '32', 'auto', '1', '60', '60')
    """
    if guess and not is_planned(at):
        return GUESS
    return tuple(artifact_file(at.encoded / "plan", "plan.txt").read_text().split())


def with_searches(how: Predictor, at: RunPaths, *, guess: bool = False) -> Predictor:
    """`auto` with as many searches as the plan bought; another clusterer as it is.

    Parameters
    ----------
    how : Predictor
        What clusters.
    at : RunPaths
        Of the run.
    guess : bool
        There may be no plan yet.

    Examples
    --------
    >>> at = RunPaths(Path("empty"), "photos", "auto-seed0", "scratch-best", 0)
    >>> with_searches(Predictor("auto"), at, guess=True).method_flags[-2:]
    ('--searches', '1')
    """
    if how.name != "auto":
        return how
    searches = ("--searches", plan_words(at, guess=guess)[3])
    flags = ("--effort", "quick", "--kinds", "unequal", "--no-retrain", *searches)
    return replace(how, method_flags=(*flags, *how.method_flags))


def free_step(at: RunPaths) -> Step:
    """Every space that costs next to nothing.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "auto-seed0", "scratch-best", 0)
    >>> len(free_step(at).commands)  # `train` and `encode` of each
    16
    """
    commands: list[Command] = []
    for name in FREE:
        weights = _free(at, name) / "weights"
        seed = ("--seed", str(at.seed)) if name in DRAWN else ()
        commands.append(train_command(at.index, weights, name, (), *seed))
        commands.append(encode_command(at.index, weights, _free(at, name) / "latents"))
    return Step("spaces", tuple(commands))


def free_flags(at: RunPaths) -> Command:
    """Flag of `train` that names these spaces.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "auto-seed0", "scratch-best", 0)
    >>> len(free_flags(at))
    9
    """
    return ("--features", *(str(_free(at, name) / "latents") for name in FREE))


def needs_spaces(encoder: str) -> bool:
    """Whether an encoder learns from these spaces.

    Examples
    --------
    >>> needs_spaces("pseudo-labels"), needs_spaces("simclr")
    (True, False)
    """
    return getattr(ENCODERS[encoder].method, "needs_spaces", False)


def _view_steps(at: RunPaths, plan: tuple[str, ...], flags: Iterable[str]) -> Iterator[Step]:
    """Two ways of learning from views."""
    side, width, precision, _, *times = plan
    flags = ("--size", side, "--width", width, "--precision", precision, *flags)
    for way, time in zip(WAYS, times, strict=True):
        spaces = free_flags(at) if needs_spaces(way) else ()
        more = ("--seed", str(at.seed), "--budget", f"{time}s", *spaces)
        weights = at.encoded / way
        train = train_command(at.index, weights, way, flags, *more)
        yield Step(way, (train, encode_command(at.index, weights, _codes(at, way))))


def _planned(at: RunPaths) -> dict[str, float]:
    """What the plan says that steps take: title -> seconds."""
    plan = read_manifest(at.encoded / "plan", "plan")
    known = dict(zip(WAYS, plan["train_seconds"], strict=True))
    return known | {"clusters": plan["search_seconds"]}


def _codes(at: RunPaths, way: str) -> Path:
    return at.encoded / f"{way}-latents"


def _free(at: RunPaths, name: str) -> Path:
    drawn = f"-seed{at.seed}" if name in DRAWN else ""
    return at.runs / "spaces" / f"{name}{drawn}"
