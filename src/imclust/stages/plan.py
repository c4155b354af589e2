"""`plan`: how large a network this machine can train on these images in a given time, and whether
in 16 or 32 bit."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.effort import seconds_of
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.checks import in_range, seconds
from imclust.core.errors import input_error
from imclust.core.files import replace_text
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import write_csv
from imclust.core.reproducibility import TrainingPrecision, check_device
from imclust.data.images import load_index
from imclust.data.loader import all_pixels
from imclust.encoders import ENCODERS
from imclust.encoders._base import MOST_EPOCHS

PLAN = "plan.txt"
SIDES, WIDTHS = (32, 64, 96, 128), (16, 32, 64)
PRECISIONS: tuple[TrainingPrecision, ...] = ("float32", "bfloat16")  # measured on the smallest
WANTED = 40  # epochs: below it a smaller network learns more
TRAINED = 0.75  # share of the budget; heads, encoding and pictures have the rest
SEARCHED = 0.4  # share of the budget for the searches of `auto`, at most
UNEQUAL = 2.6  # times as long as expected does a search take in a dozen spaces of unequal kind
FURTHER = 0.7  # of the time of the first search, does each further one take
MOST = 5  # searches
GUESSED = (512, 10)  # columns and K that they are expected to meet
SAMPLE = 512  # images that the speed is measured on
ENOUGH = 2  # times what MOST_EPOCHS of the measured encoder take, no training is given more
LEAST = 0.1  # seconds of a training
LEFT = 0.3  # share of the budget that other spaces leave at least


@dataclass(frozen=True)
class BudgetPlan:
    """Choose side, width and precision of the images' network, and divide a budget among its
    trainings."""

    index: Path
    """An `index` artefact, from `download`."""
    out: Path
    """Where the plan goes: plan.txt (side, width, precision, searches of `auto`, seconds of each
    training), speeds.csv."""
    budget: str = "20m"
    """Time for everything, such as 90s, 20m or 1h."""
    shares: tuple[float, ...] = (1.0,)
    """Parts of the training time, one for each training."""
    aside: float = 0.0
    """Seconds an image that spaces take which need no training; at most 0.7 of the budget."""
    encoder: str = "simclr"
    """Whose speed is measured; it has flags --size, --width and --precision."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        check_device(self.device)
        seconds(self.budget)
        if not self.shares or min(self.shares) <= 0:
            raise input_error("--shares", "numbers above 0", self.shares, "write for example 2 1")
        in_range("plan", "aside", self.aside, 0, 3600)
        config = ENCODERS[self.encoder].config
        if not {"size", "width", "precision"} <= set(config.__dataclass_fields__):
            allowed = "an encoder with --size, --width and --precision"
            raise input_error("--encoder", allowed, self.encoder, "take simclr")


def run(cfg: BudgetPlan) -> None:
    """Read an `index`, measure this machine, write a `plan`.

    A plan that was made stays, so that a killed run goes on as it began.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("plan --index raw/index --out run/plan --budget 10m".split())  # doctest: +SKIP
    plan for 10m: 32 px, width 64, bfloat16, about 1356 epochs in 450 s of training
    0
    """
    names = ("budget", "shares", "aside", "encoder", "device")
    config = {name: getattr(cfg, name) for name in names}
    modules = (__name__, ENCODERS[cfg.encoder].method.__module__)
    spec = ArtifactSpec("plan", config, {"index": cfg.index}, modules)
    make_artifact(cfg.out, spec, lambda folder: _plan(cfg, folder), force=cfg.force)
    doc = read_manifest(cfg.out, "plan")
    n, times = read_manifest(cfg.index, "index")["rows"]["train"], doc["train_seconds"]
    several = "trainings of {}" if len(times) > 1 else "{} of training"
    epochs = [min(MOST_EPOCHS, doc["images_per_second"] * time / n) for time in times]
    say(
        f"plan for {cfg.budget}: {doc['side']} px, width {doc['width']}, {doc['precision']}, about "
        f"{_listed(epochs)} epochs in {several.format(_listed(times) + ' s')}"
    )
    given, aside = seconds(cfg.budget), cfg.aside * n
    if max(search_seconds(1, n), aside / (1 - LEFT)) > given:
        least = aside + sum(times) + doc["search_seconds"]
        say(f"  that is too short for these images, which take about {least:.0f} s")


def _listed(numbers: Sequence[float]) -> str:
    """`24 and 24`."""
    return " and ".join(f"{number:.0f}" for number in numbers)


def _plan(cfg: BudgetPlan, folder: Path) -> dict[str, Any]:
    rows = [r for r in load_index(cfg.index) if r.split == "train" and not r.problem]
    budget = seconds(cfg.budget)
    sides = [min(r.width, r.height) for r in rows if r.width]
    largest = next((s for s in reversed(SIDES) if s <= statistics.median(sides)), SIDES[0])
    sizes = itertools.product([s for s in SIDES if s <= largest], WIDTHS)
    parts = training_seconds(budget, len(rows), cfg.aside, cfg.shares)
    share = statistics.mean(parts) / len(rows)  # seconds an image, of each training
    tried: list[dict[str, Any]] = []
    precisions = PRECISIONS
    for side, width in sizes:
        tried += [_speed(cfg, rows[:SAMPLE], side, width, p, share) for p in precisions]
        fastest = max(tried[-len(precisions) :], key=lambda t: t["images_per_second"])
        precisions = (fastest["precision"],)
        if fastest["epochs"] < WANTED:
            break  # what is larger is slower still
    write_csv(folder / "speeds.csv", tuple(tried[0]), [tuple(t.values()) for t in tried])
    fast = [t for t in tried if (t["precision"],) == precisions]
    able = [t for t in fast if t["epochs"] >= WANTED] or fast[:1]
    best = max(able, key=lambda t: (t["side"], t["width"]))
    longest = ENOUGH * MOST_EPOCHS * len(rows) / best["images_per_second"]
    parts = [max(LEAST, min(longest, part)) for part in parts]
    searches = searches_within(budget, len(rows))
    times = [f"{part:.1f}" for part in parts]
    words = [best["side"], best["width"], best["precision"], searches, *times]
    replace_text(folder / PLAN, " ".join(map(str, words)) + "\n")
    searched = {"searches": searches, "search_seconds": search_seconds(searches, len(rows))}
    return {**best, "train_seconds": parts, **searched, "speeds": tried}


def training_seconds(
    budget: float, images: int, aside: float, shares: Sequence[float]
) -> list[float]:
    """The seconds of each training.

    Parameters
    ----------
    budget : float
        Seconds for everything.
    images : int
        Images to learn from.
    aside : float
        Seconds an image that spaces take which need no training.
    shares : sequence of float
        Parts of the training time.

    Examples
    --------
    >>> training_seconds(1200.0, 10_000, 0.02, [3, 1])
    [562.5, 187.5]
    """
    whole = TRAINED * max(budget - aside * images, LEFT * budget)
    return [whole * share / sum(shares) for share in shares]


def searches_within(budget: float, images: int) -> int:
    """How many searches of `auto` a budget buys, 1 to MOST.

    Parameters
    ----------
    budget : float
        Seconds for everything.
    images : int
        Images to cluster.

    Examples
    --------
    >>> [searches_within(60 * minutes, 10_000) for minutes in (2, 5, 20)]
    [1, 3, 5]
    """
    further = int((SEARCHED * budget / search_seconds(1, images) - 1) / FURTHER)
    return min(MOST, 1 + max(0, further))


def search_seconds(searches: int, images: int) -> float:
    """What so many searches of `auto` should take.

    Examples
    --------
    >>> round(search_seconds(3, 10_000) / search_seconds(1, 10_000), 2)
    2.4
    """
    return UNEQUAL * seconds_of(images, *GUESSED, "quick") * (1 + FURTHER * (searches - 1))


def _speed(
    cfg: BudgetPlan,
    rows: list[Any],
    side: int,
    width: int,
    precision: TrainingPrecision,
    share: float,
) -> dict[str, Any]:
    """How many images a second such a network learns from, and epochs of `share` s an image."""
    from imclust.core.reproducibility import isolated_seed, pick_device
    from imclust.training.budget import steps_per_second

    entry, device = ENCODERS[cfg.encoder], pick_device(cfg.device)
    made = entry.method(entry.config(size=side, width=width, precision=precision))
    images: np.ndarray = all_pixels(rows, made.preprocessing, "read")
    plan = made.plan(len(rows))
    assert plan is not None
    with isolated_seed(0, device):
        network = made.network()
    rate = plan.batch * steps_per_second(
        network, made.objective(len(rows), 0), images, made.preprocessing,
        made.suited(plan, images), device=device,
    )  # fmt: skip
    speed = {"images_per_second": round(rate, 1), "epochs": round(share * rate, 1)}
    return {"side": side, "width": width, "precision": precision, **speed}
