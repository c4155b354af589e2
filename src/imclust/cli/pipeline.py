"""The whole way, from images to an answer to look at: which stages, in which order, shown as one.

Every stage is called as its own command would be, and its manifest names that command: what is up
to date is skipped, a killed run goes on, and each artefact can be made again alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imclust.cli.parser import run_stage
from imclust.cli.progress_display import Display, Part
from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, read_manifest
from imclust.core.records import feature_folders

LAYERED = ("--pool", "mean_std", "--layers", "4")  # several layers for `auto` to choose from
LONGEST = 80  # characters of a data set's name
# Seconds on 2 cores, as a + b * images: a first guess, corrected by the pace that is measured.
COST = {
    "index": (1.0, 0.002),
    "encoder": (8.0, 0.0),
    "latents": (4.0, 0.006),
    "pixels": (1.0, 0.003),
    "clusters": (15.0, 0.025),
    "map": (4.0, 0.006),
    "scores": (2.0, 0.004),
    "submission": (0.2, 0.0),
    "report": (6.0, 0.005),
    "new index": (1.0, 0.002),
    "new latents": (6.0, 0.01),
    "new clusters": (3.0, 0.001),
}
BARS = {"index": "inspect", "encoder": "train", "latents": "encode", "map": "t-SNE"}
ENCODERS = ("timm", "conv-ae", "text")
Encoder = Literal["timm", "conv-ae", "text"]


@dataclass(frozen=True)
class Step:
    """Stages that the user sees as one.

    Args:
        title: what the user reads, of `COST`. commands: words of each stage's command.
    """

    title: str
    commands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RunPaths:
    """Where a run's artefacts lie, as `run_baseline.sh` has them.

    Args:
        top: the folder of data/ and submissions/. name: of the data set. run: of the run.
        encoder: which one makes the latents. seed: of every random choice.
    """

    top: Path
    name: str
    run: str
    encoder: Encoder
    seed: int

    @property
    def raw(self) -> Path:
        """Index and labels."""
        return self.top / "data" / "raw" / self.name

    @property
    def runs(self) -> Path:
        """All runs on these images."""
        return self.top / "data" / "runs" / self.name

    @property
    def folder(self) -> Path:
        """This run."""
        return self.runs / self.run

    @property
    def clusters(self) -> Path:
        """The `assignment`."""
        return self.folder / "clusters"

    @property
    def submission(self) -> Path:
        """What goes to a leaderboard."""
        return self.top / "submissions" / self.name / self.run

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report" / "report.html"

    def encoded(self) -> Path:
        """Weights and latents; learned from these images they are the run's own."""
        if self.encoder == "conv-ae":
            return self.folder
        own = "_".join(LAYERED) if self.encoder == "timm" else ""
        return self.runs / (self.encoder + own)


def data_set_name(kind: str, data: Path, top: Path) -> str:
    """`folder-photos` for a folder photos; with a digest of the path where that name is taken by
    another folder, or is too long."""
    stem = data.name.rsplit(".", 1)[0] if data.is_file() else data.name
    name = f"{kind}-{stem or 'root'}"
    there = top / "data" / "raw" / name / "index" / MANIFEST
    taken = there.is_file() and read_manifest(there.parent)["config"].get("data_dir") != str(data)
    if not taken and len(name.encode()) <= LONGEST:
        return name
    short = name.encode()[: LONGEST - 9].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}"


def run_steps(steps: Iterable[Step], titles: Iterable[str], images: int) -> dict[str, float]:
    """Do the steps, shown as one run; returns the seconds that each took, 0 if up to date.

    Args:
        steps: in order; each may be made when those before it are done.
        titles: of all of them, to show from the beginning. images: about how many there are.
    """
    parts = [Part(t, COST[t][0] + COST[t][1] * images, BARS.get(t, "")) for t in titles]
    with Display(parts) as display:
        for step in steps:
            with display.step(step.title, quiet=step.title in {"scores", "report"}) as nothing:
                before = _written(step)
                for command in step.commands:
                    run_stage(command)
                if _written(step) == before:
                    nothing()
    return {part.title: part.took * (part.state == "done") for part in parts}


def _written(step: Step) -> list[int]:
    """When the step's artefacts were made; 0 for those that are not."""
    outs = [Path(words[words.index("--out") + 1]) for words in step.commands]
    manifests = [path for out in outs for path in (out / MANIFEST, out / "index" / MANIFEST)]
    return [path.stat().st_mtime_ns if path.is_file() else 0 for path in manifests]


def index_step(to: Path, source: list[str], flags: Iterable[str], title: str = "index") -> Step:
    """Find the images and look at each.

    Args:
        to: folder of the data set. source: the challenge and its flags. flags: of `download`.
    """
    return Step(title, (("download", "--out", str(to), *flags, *source),))


def learn_steps(
    at: RunPaths, n_clusters: str | None, effort: str, corrections: Iterable[Path] = ()
) -> Iterator[Step]:
    """From the index to clusters, and a map of them to look at.

    Args:
        n_clusters: a number, `auto`, or None for what the challenge says.
        effort: of `auto`. corrections: files saved from the page, in order.
    """
    index, encoded, seed = str(at.raw / "index"), at.encoded(), ("--seed", str(at.seed))
    flags = {"timm": LAYERED, "conv-ae": ("--recipe", "fast"), "text": ()}[at.encoder]
    learned = seed if encoded == at.folder else ()
    weights, latents = str(encoded / "weights"), str(encoded / "latents")
    train = ("train", "--index", index, "--out", weights, *learned, at.encoder, *flags)
    yield Step("encoder", (train,))
    encode = ("encode", "--index", index, "--weights", weights, "--out", latents)
    yield Step("latents", (encode,))
    spaces = [latents]
    if at.encoder != "text":  # plain pixels beside them: nothing to learn, and fast
        plain = at.runs / "pixels"
        weights = str(plain / "weights")
        train = ("train", "--index", index, "--out", weights, "pixels")
        spaces.append(str(plain / "latents"))
        encode = ("encode", "--index", index, "--weights", weights, "--out", spaces[-1])
        yield Step("pixels", (train, encode))
    count = ("--n-clusters", n_clusters) if n_clusters else ()
    said = [str(path) for path in corrections]
    count = (*count, "--corrections", *said) if said else count
    fit = ("--split", "train", *seed)
    out = ("--index", index, "--out", str(at.clusters), *fit, *count)
    yield Step("clusters", (("cluster", "--features", *spaces, *out, "auto", "--effort", effort),))
    pca, tsne = str(at.folder / "pca"), str(at.folder / "tsne")
    to_pca = ("reduce", "--features", latents, "--out", pca, *fit, "pca", "--components", "50")
    yield Step("map", (to_pca, ("reduce", "--features", pca, "--out", tsne, *fit, "tsne")))


def look_steps(at: RunPaths, submit: Iterable[str] | None) -> Iterator[Step]:
    """From clusters to numbers, a submission where one is wanted, and the page.

    Args:
        submit: further flags of `submit`; None for no submission.
    """
    index, labels, scores = (str(at.raw / "index"), str(at.raw / "labels"), at.folder / "scores")
    answer = ("--assignment", str(at.clusters))
    spaces = ("--spaces", str(at.encoded() / "latents"), str(at.folder / "tsne"))
    score = ("score", *answer, "--index", index, "--labels", labels)
    yield Step("scores", ((*score, "--out", str(scores), *spaces),))
    if submit is not None:
        ledger = str(at.top / "submissions" / "log.csv")
        handed = ("--log", ledger, "--scores", str(scores), *submit)
        out = ("--index", index, "--out", str(at.submission))
        yield Step("submission", (("submit", *answer, *out, *handed),))
        answer = ("--submission", str(at.submission))
    drawn = ("--embedding", str(at.folder / "tsne"), "--out", str(at.folder / "report"))
    page = ("report", *answer, "--scores", str(scores), "--labels", labels, *drawn)
    yield Step("report", (page,))


def predict_steps(at: RunPaths, raw: Path, out: Path) -> Iterator[Step]:
    """Images of the index in `raw` into the clusters that are there; everything goes to `out`."""
    index = str(raw / "index")
    encode, spaces = [], []
    for number, features in enumerate(feature_folders(at.clusters), 1):
        weights = os.path.normpath(features / read_manifest(features)["inputs_at"]["weights"])
        spaces.append(str(out / f"latents-{number}"))
        encode.append(("encode", "--index", index, "--weights", weights, "--out", spaces[-1]))
    yield Step("new latents", tuple(encode))
    predict = ("predict", "--assignment", str(at.clusters), "--index", index, "--features", *spaces)
    yield Step("new clusters", ((*predict, "--out", str(out / "clusters")),))


def enough_to_vote(index: Path, do: str) -> None:
    """Refuse a vote on K before any work where images are too few for it.

    Raises:
        Refusal: they are; `do` says what to do.
    """
    from imclust.clustering.n_clusters import LEAST
    from imclust.data.images import load_index

    n = sum(row.split == "train" and not row.problem for row in load_index(index))
    if n < LEAST:
        raise input_error("the number of images to tell K from", f"at least {LEAST}", n, do)
