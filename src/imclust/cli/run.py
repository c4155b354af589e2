"""`run`: a challenge from its images to a submission, with the encoder and head that do best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imclust.cli.parser import config_flags
from imclust.cli.pipeline import (
    Encoder,
    RunPaths,
    Step,
    data_set_name,
    enough_to_vote,
    index_step,
    learn_steps,
    look_steps,
    run_steps,
)
from imclust.cli.progress_display import format_duration
from imclust.clustering.effort import Level
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import home_of
from imclust.core.log import say
from imclust.core.manifest import read_manifest

if TYPE_CHECKING:
    Method = Any
else:
    Method = CHALLENGES.union()

ROWS = 3000  # images that are expected of a challenge, before its index is there


@dataclass(frozen=True)
class Run:
    """Cluster a challenge's images (or texts) and write its submission and report.

    `run_baseline.sh` rebuilds published walkthroughs; this takes what does best without labels: a
    pretrained network and plain pixels (the homework's autoencoder where the rules forbid that,
    a transformer for texts), and the head `auto`.
    """

    challenge: Method
    """Which challenge, with its own flags."""
    n_clusters: int | Literal["auto"] | None = None
    """K; unless given what the challenge says, or else `auto`, a vote on it."""
    seed: int = 0
    """Random choices."""
    effort: Level = "normal"
    """How much `auto` tries: quick, normal or thorough; the clock decides nothing."""
    set_aside_corrupt: bool = False
    """Go on without the images that cannot be read; their rows get the largest cluster."""
    name: str | None = None
    """Of the data set, in data/raw, data/runs and submissions; after the challenge unless given."""
    workspace: Path = Path()
    """Where data/ and submissions/ go."""


def run(cfg: Run) -> None:
    """Run the command and say where its results are."""
    entry = CHALLENGES.for_config(cfg.challenge)
    name = cfg.name or _name(cfg, entry.name)
    encoder: Encoder = "conv-ae" if home_of(cfg.challenge).track == "scratch" else "timm"
    encoder = "text" if entry.name == "texts" else encoder
    count = "" if cfg.n_clusters is None else f"k{cfg.n_clusters}-".replace("kauto", "auto")
    at = RunPaths(cfg.workspace, name, f"{encoder}-auto-{count}seed{cfg.seed}", encoder, cfg.seed)
    pixels = [] if encoder == "text" else ["pixels"]
    titles = ["index", "encoder", "latents", *pixels, "clusters", "map"]
    took = run_steps(_steps(cfg, entry.name, at), [*titles, "scores", "submission", "report"], ROWS)
    doc = read_manifest(at.clusters)
    say("")
    say(f"K = {doc['n_clusters']}, sizes {' '.join(map(str, doc['sizes']))}")
    say(
        f"{format_duration(sum(took.values()))}: "
        + "  ".join(f"{t} {s:.1f}" for t, s in took.items() if s)
    )
    for path in sorted(at.submission.glob("*.csv")):
        say(f"submission: {path}")
    say(f"look at it: python -m webbrowser -t {at.report.resolve().as_uri()}")


def _steps(cfg: Run, challenge: str, at: RunPaths) -> Iterator[Step]:
    flags = ["--set-aside-corrupt"] if cfg.set_aside_corrupt else []
    if isinstance(cfg.n_clusters, int):
        flags += ["--n-clusters", str(cfg.n_clusters)]
    yield index_step(at.raw, [challenge, *config_flags(cfg.challenge)], flags)
    index = at.raw / "index"
    own = read_manifest(index)["n_clusters"]
    k = cfg.n_clusters or (None if own else "auto")
    if k == "auto":
        enough_to_vote(index, "say how many clusters there are: --n-clusters K")
    yield from learn_steps(at, None if k is None else str(k), cfg.effort)
    yield from look_steps(at, [])


def _name(cfg: Run, challenge: str) -> str:
    """Of the challenge, its data or its board, as `run_baseline.sh` has it."""
    data = getattr(cfg.challenge, "data_dir", None)
    board = getattr(cfg.challenge, "board", None)
    if data is not None:
        return data_set_name(challenge, data, cfg.workspace)
    if board is not None:
        plain = str(board).removeprefix("https://")
        return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in plain)
    return challenge
