"""`run`: a challenge from its images to a submission, with the encoder and head that do best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from imclust.cli.encoder_choice import EncoderWord, check_strong, strong_paths
from imclust.cli.image_checks import check_count
from imclust.cli.pair_steps import LINK, pair_steps
from imclust.cli.parser import config_flags, parse_stage
from imclust.cli.pipeline import (
    LAYERED,
    Predictor,
    best_steps,
    index_step,
    result_steps,
)
from imclust.cli.progress_display import format_duration
from imclust.cli.run_paths import (
    RunPaths,
    check_writable,
    checked_name,
    data_set_name,
    run_name,
)
from imclust.cli.steps import RayCluster, Step, run_steps
from imclust.clustering.effort import EffortLevel
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import by_pairs, home_of
from imclust.core.checks import given_count, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.ray_workers import check_ray

SHOWN = 40  # clusters whose sizes are told one by one
ROWS = 3000  # images that are expected of a challenge, before its index is there


@dataclass(frozen=True)
class Run:
    """Cluster a challenge's images (or texts) and write its submission and report.

    `run_baseline.sh` rebuilds published walkthroughs; this takes what does best without labels: a
    pretrained network and plain pixels (the homework's autoencoder where the rules forbid that,
    a transformer for texts), and the head `auto`.
    """

    challenge: Annotated[Any, CHALLENGES]
    """Which challenge, with its own flags."""
    n_clusters: int | Literal["auto"] | None = None
    """K; unless given what the challenge says, or else `auto`, a vote on it."""
    seed: int = 0
    """Random choices."""
    effort: EffortLevel = "normal"
    """How much `auto` tries: quick, normal or thorough."""
    encoder: EncoderWord = "light"
    """What looks at the images: `light` comes with the program; `strong`, two large networks
    (DINOv2 and SigLIP2), is fetched once, 684 MiB, and wants a GPU or patience."""
    set_aside_corrupt: bool = False
    """Go on without the images that cannot be read; their rows get the largest cluster."""
    tune: bool = False
    """Of individuals: tune the encoder on the known identities, too."""
    names_from: Path | None = None
    """Of individuals: an earlier answer to keep names of, its folder `clusters` or its
    submission.csv. Where images were added to the same data, names stay without it."""
    name: str | None = None
    """Of the data set, in data/raw, data/runs and submissions; after the challenge unless given."""
    workspace: Path = Path()
    """Where data/ and submissions/ go."""
    ray: str | None = None
    """Have a Ray cluster index, encode, reduce by `pca`, cluster by `auto` or `kmeans`, and place:
    `auto` (that of this machine), `ray://host:port`, or `local:N` workers here. The results are the
    same bytes (of PyTorch on a CPU: as with one thread)."""
    ray_storage: str | None = None
    """With --ray: a folder or an address, such as s3://bucket/folder, that takes finished
    shards until they are joined; nodes need no path but the images'."""
    gpu_share: float = 0.0
    """With --ray: share of a GPU that a worker that encodes takes, such as 0.5; 0 encodes on
    CPUs."""

    def __post_init__(self) -> None:
        given_count(self.n_clusters)
        valid_seed(self.seed)
        check_ray(self.ray, self.ray_storage, gpus=self.gpu_share)


def run(cfg: Run) -> None:
    """Run the command and say where its results are.

    Reads the challenge; writes data/ and submissions/ of the workspace.

    Raises
    ------
    InputError
        A setting, a command or the data; what can be told beforehand, before any work.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("run imagefolder --data-dir photos".split())  # a minute  # doctest: +SKIP
    >>> main("run imagefolder --data-dir nowhere".split())  # refused
    2
    """
    entry = CHALLENGES.for_config(cfg.challenge)
    at = _places(cfg, entry.name)
    check_writable(cfg.workspace)
    if hasattr(cfg.challenge, "sources"):
        cfg.challenge.sources()  # refuses what is not there
    if not by_pairs(cfg.challenge, cfg.n_clusters):
        for flag, given in (("--tune", cfg.tune), ("--names-from", cfg.names_from)):
            if given:
                do = "drop it, or take individuals"
                raise input_error(flag, "left out: it is for individuals", entry.name, do)
    if cfg.encoder == "strong":
        _check_strong(cfg, entry.name, at)
    planned = list(_steps(cfg, entry.name, at, guess=True))
    for step in planned:
        for command in step.commands:
            parse_stage(command)
    titles = [step.title for step in planned]
    cluster = RayCluster.of(cfg)
    took = run_steps(_steps(cfg, entry.name, at), titles, ROWS, cluster=cluster)
    doc = read_manifest(at.clusters)
    say("")
    say(f"K = {doc['n_clusters']}, sizes {sizes_sentence(doc['sizes'])}")
    say(
        f"{format_duration(sum(took.values()))}: "
        + "  ".join(f"{t} {s:.1f}" for t, s in took.items() if s)
    )
    for path in sorted(at.submission.glob("*.csv")):
        say(f"submission: {path}")
    say(f"look at it: python -m webbrowser -t {at.report.resolve().as_uri()}")


def _check_strong(cfg: Run, challenge: str, at: RunPaths) -> None:
    """Refuse strong encoders where none of these may look at the data."""
    pairs = by_pairs(cfg.challenge, cfg.n_clusters)
    if at.encoder != "timm" or pairs:
        why = "compared pair by pair" if pairs else "not for networks that others trained"
        got = f"strong, for {challenge}, which is {why}"
        raise input_error("--encoder", "light here", got, "leave it out")
    check_strong()


def sizes_sentence(sizes: list[int]) -> str:
    """The sizes of the clusters; of many, how many there are of each.

    Examples
    --------
    >>> sizes_sentence([1, 2])
    '1 2'
    """
    if len(sizes) <= SHOWN:
        return " ".join(map(str, sizes))
    counts = sorted(Counter(sizes).items())
    return ", ".join(f"{n} of {size}" for size, n in counts)


def _places(cfg: Run, challenge: str) -> RunPaths:
    encoder = "conv-ae" if home_of(cfg.challenge).track == "scratch" else "timm"
    encoder = "text" if challenge == "texts" else encoder
    data = getattr(cfg.challenge, "data_dir", None)
    board = getattr(cfg.challenge, "board", None)
    name = (
        data_set_name(challenge, cfg.workspace, data, board)
        if cfg.name is None
        else checked_name(cfg.name)
    )
    changed = [] if cfg.effort == "normal" else ["--effort", cfg.effort]
    changed += ["--tune"] if cfg.tune else []
    changed += ["--names-from", str(cfg.names_from)] if cfg.names_from else []
    changed += [] if cfg.encoder == "light" else ["--encoder", cfg.encoder]
    how = LINK.name if by_pairs(cfg.challenge, cfg.n_clusters) else "auto"
    run = run_name(encoder, how, cfg.n_clusters, cfg.seed, flags=changed)
    words = LAYERED if encoder == "timm" else ()
    return RunPaths(cfg.workspace, name, run, encoder, cfg.seed, words)


def _steps(cfg: Run, challenge: str, at: RunPaths, *, guess: bool = False) -> Iterator[Step]:
    """The steps; with `guess`, before anything is there."""
    flags = ["--set-aside-corrupt"] if cfg.set_aside_corrupt else []
    yield index_step(at.raw, [challenge, *config_flags(cfg.challenge)], flags)
    if by_pairs(cfg.challenge, cfg.n_clusters):
        given = ("--names-from", str(cfg.names_from)) if cfg.names_from else ()
        yield from pair_steps(at, at.encoder_words, given, tune=cfg.tune, guess=guess)
        yield from result_steps(at, LINK, at.encoded / "latents-flip", submit=[])
        return
    k = cfg.n_clusters
    if not guess:
        own = read_manifest(at.index)["n_clusters"]
        k = k or (None if own else "auto")
        check_count(at.index, k)
    count = () if k is None else ("--n-clusters", str(k))
    how = Predictor("auto", count=count, method_flags=("--effort", cfg.effort))
    strong = strong_paths(at) if cfg.encoder == "strong" else ()
    yield from best_steps(at, how, at.encoder_words, [], strong=strong)
