"""The order of the stages: the one place that knows it.

Every stage is called as its own command would be, and its manifest names that command: what is up
to date is skipped, a killed run goes on, and each artefact can be made again alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from imclust.cli.parser import run_stage
from imclust.cli.progress_display import Display, Part
from imclust.cli.run_paths import RunPaths
from imclust.core.checks import cluster_count, enough_distinct_rows
from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, read_manifest
from imclust.core.ray_workers import one_cluster
from imclust.core.records import feature_folders

LAYERED = ("--pool", "mean_std", "--layers", "4")  # several layers for `auto` to choose from
# Seconds on 2 cores, as a + b * images: a first guess, corrected by the pace that is measured.
COST = {
    "index": (0.3, 0.001),
    "plan": (20.0, 0.0),
    "start": (30.0, 0.02),
    "encoder": (3.2, 0.0),
    "training": (30.0, 0.02),
    "latents": (0.3, 0.019),
    "pixels": (0.1, 0.001),
    "spaces": (6.0, 0.008),
    "things to look at": (0.4, 0.007),
    "pairs": (5.0, 0.08),
    "tuning": (30.0, 0.3),
    "clusters": (4.0, 0.03),
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
MOST_FITTED = 2000  # images from which on the step `clusters` takes hardly longer
BARS = {
    "index": "inspect",
    "encoder": "train",
    "training": "train",
    "start": "train",
    "latents": "encode",
    "map": "t-SNE",
    "pairs": "match",
    "tuning": "train",
    "things to look at": "look",
}
HOMEWORK = "homework"
Command = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """Stages that the user sees as one.

    Parameters
    ----------
    title : str
        What the user reads, of `COST`.
    commands : tuple of tuple of str
        Words of each stage's command.
    """

    title: str
    commands: tuple[Command, ...]

    def by_ray(self, address: str | None) -> Step:
        """The step with the flag `--ray` for those of its stages that know it; itself for None.

        Examples
        --------
        >>> Step("latents", (("encode", "--out", "z"),)).by_ray("auto").commands
        (('encode', '--ray', 'auto', '--out', 'z'),)
        """
        if address is None:
            return self
        return Step(self.title, tuple(
            (words[0], "--ray", address, *words[1:])
            if words[0] == "encode" or (words[0] == "cluster" and "kmeans" in words)
            else words
            for words in self.commands
        ))  # fmt: skip


@dataclass(frozen=True)
class Predictor:
    """How latents become clusters.

    Parameters
    ----------
    name : str
        A clusterer, or `homework`: KernelPCA, t-SNE, MiniBatchKMeans.
    recipe : str
        Of the homework's.
    count : tuple of str
        Flags of `cluster` that say K, if any do.
    flags : tuple of str
        Further flags of `cluster`.
    method_flags : tuple of str
        Flags of the clusterer itself.
    """

    name: str
    recipe: str = "fast"
    count: Command = ()
    flags: Command = ()
    method_flags: Command = ()


def run_steps(
    steps: Iterable[Step],
    titles: Iterable[str],
    images: int,
    words: Callable[[str], str] = str,
    ray: str | None = None,
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
    ray : str, optional
        Address of a Ray cluster that works for the stages that know how.

    Returns
    -------
    dict of str to float
        Title -> seconds that the step took, 0 if it was up to date.
    """
    parts = [Part(title, expected_seconds(title, images), BARS.get(title, "")) for title in titles]
    cluster = nullcontext() if ray is None else one_cluster()
    with cluster, Display(parts, words) as display:
        for step in steps:
            step = step.by_ray(ray)
            with display.step(step.title, quiet=step.title in {"scores", "report"}) as nothing:
                before = _written(step)
                for command in step.commands:
                    run_stage(command)
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


def index_step(to: Path, source: Iterable[str], flags: Iterable[str], title: str = "index") -> Step:
    """Find the images and look at each.

    Parameters
    ----------
    to : Path
        Folder of the data set.
    source : iterable of str
        The challenge and its flags.
    flags : iterable of str
        Of `download`.
    """
    return Step(title, (("download", "--out", str(to), *flags, *source),))


def train_command(index: Path, out: Path, method: str, flags: Iterable[str], *more: str) -> Command:
    """Words of `train`; `more` are its own flags, `flags` the encoder's."""
    return ("train", "--index", str(index), "--out", str(out), *more, method, *flags)


def encode_command(index: Path, weights: Path, out: Path, *more: str) -> Command:
    """Words of `encode`; `more` are further flags."""
    places = ("--index", str(index), "--weights", str(weights), "--out", str(out))
    return ("encode", *places, *more)


def encode_steps(
    at: RunPaths,
    flags: Iterable[str],
    *more: str,
    carry: bool = False,
    strong: Sequence[RunPaths] = (),
) -> Iterator[Step]:
    """The run's encoder, and every image through it.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    flags : iterable of str
        Of the encoder.
    *more : str
        Flags of `train`.
    carry : bool
        Whether files that were encoded at an earlier visit are not encoded again.
    strong : Sequence[RunPaths]
        Of further encoders that learn nothing from the images.
    """
    weights = at.encoded / "weights"
    learns = at.encoded == at.reduced
    seed = ("--seed", str(at.seed)) if learns else ()
    train = train_command(at.index, weights, at.encoder, flags, *more, *seed)
    others = [
        train_command(at.index, other.encoded / "weights", other.encoder, other.encoder_words)
        for other in strong
    ]
    yield Step("training" if learns else "encoder", (train, *others))
    again = ("--carry",) if carry else ()
    homes = [at.encoded, *(other.encoded for other in strong)]
    encode = (encode_command(at.index, h / "weights", h / "latents", *again) for h in homes)
    yield Step("latents", tuple(encode))


def pixel_step(at: RunPaths) -> Step:
    """Plain pixels as a second space: nothing to learn, and fast."""
    home = at.runs / "pixels"
    train = train_command(at.index, home / "weights", "pixels", ())
    return Step("pixels", (train, encode_command(at.index, home / "weights", home / "latents")))


def cluster_steps(
    at: RunPaths, how: Predictor, spaces: Iterable[Path], split: str = "train"
) -> Iterator[Step]:
    """From latents to clusters, and a map of them to look at.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    how : Predictor
        What clusters.
    spaces : iterable of Path
        The latents; only the first, unless the clusterer is `auto`.
    split : str
        `train`, or `val` for validation images on their own: then it is one step.
    """
    spaces = list(spaces)
    prefix = "" if split == "train" else f"{split}-"
    fit = ("--split", split, "--seed", str(at.seed))
    small = at.reduced / f"{prefix}{'kernel-pca' if how.name == HOMEWORK else 'pca'}"
    flat = embedding(at, how, split)

    def reduce(source: Path, out: Path, *method: str) -> Command:
        return ("reduce", "--features", str(source), "--out", str(out), *fit, *method)

    def cluster(sources: list[Path], *method: str) -> Command:
        features = ("--features", *map(str, sources), "--index", str(at.index))
        out = ("--out", str(at.folder / f"{prefix}clusters"))
        return ("cluster", *features, *out, *fit, *how.count, *how.flags, *method)

    if how.name == HOMEWORK:
        recipe = ("--recipe", how.recipe)
        found: tuple[Command, ...] = (
            reduce(spaces[0], small, "kernel-pca", *recipe),
            reduce(small, flat, "tsne", *recipe),
            cluster([flat], "minibatch-kmeans", *recipe, *how.method_flags),
        )
        drawn: tuple[Command, ...] = ()
    else:
        sources = spaces if how.name == "auto" else spaces[:1]
        found = (cluster(sources, how.name, *how.method_flags),)
        drawn = (reduce(spaces[0], small, "pca"), reduce(small, flat, "tsne"))
    if prefix:
        yield Step("validation", (*found, *drawn))
        return
    yield Step("clusters", found)
    if drawn:
        yield Step("map", drawn)


def embedding(at: RunPaths, how: Predictor, split: str = "train") -> Path:
    """The two-dimensional space to draw, which the homework's predictor clusters, too."""
    prefix = "" if split == "train" else f"{split}-"
    return at.reduced / f"{prefix}{'tsne' if how.name == HOMEWORK else 'map'}"


def result_steps(
    at: RunPaths, how: Predictor, latents: Path, *, assignment: Path | None = None,
    weights: Path | None = None, validation: bool = False, submit: Iterable[str] | None = None,
    page: Iterable[str] = (),
) -> Iterator[Step]:  # fmt: skip
    """From clusters to numbers, a submission where one is wanted, and the page.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    how : Predictor
        What clustered.
    latents : Path
        The space that the silhouette is taken in, beside the map.
    assignment : Path, optional
        The assignment, unless it is the run's clusters.
    weights : Path, optional
        Whose checkpoints are measured, too.
    validation : bool
        Whether validation images were clustered on their own.
    submit : iterable of str, optional
        Further flags of `submit`; None for no submission.
    page : iterable of str
        Further flags of `report`.
    """
    labels, scores = str(at.raw / "labels"), str(at.folder / "scores")
    answer: Command = ("--assignment", str(assignment or at.clusters))
    index = ("--index", str(at.index))
    measured: Command = ("--weights", str(weights)) if weights else ()
    drawn: Command = ("--embedding", str(embedding(at, how)))
    if validation:
        measured += ("--val-assignment", str(at.folder / "val-clusters"))
        drawn += ("--val-embedding", str(embedding(at, how, "val")))
    spaces = ("--spaces", str(latents), str(embedding(at, how)))
    out = ("--out", scores)
    yield Step(
        "scores", (("score", *answer, *index, "--labels", labels, *measured, *out, *spaces),)
    )
    if submit is not None:
        handed = ("--log", str(at.ledger), "--scores", scores, *submit)
        out = ("--out", str(at.submission))
        yield Step("submission", (("submit", *answer, *index, *out, *handed),))
        answer = ("--submission", str(at.submission))
    out = ("--out", str(at.folder / "report"))
    yield Step(
        "report",
        (("report", *answer, "--scores", scores, "--labels", labels, *drawn, *out, *page),),
    )


def best_steps(
    at: RunPaths,
    how: Predictor,
    flags: Iterable[str],
    submit: Iterable[str] | None,
    page: Iterable[str] = (),
    *,
    look: bool = False,
    carry: bool = False,
    strong: Sequence[RunPaths] = (),
) -> Iterator[Step]:
    """From the index to the page by the encoder and clusterer that do best without labels.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    how : Predictor
        What clusters.
    flags : iterable of str
        Of the encoder.
    submit : iterable of str, optional
        Further flags of `submit`; None for no submission.
    page : iterable of str
        Further flags of `report`.
    look : bool
        Whether things to look at, and names, are sought and shown.
    carry : bool
        Whether files that were encoded at an earlier visit are not encoded again.
    strong : Sequence[RunPaths]
        Of further networks: their spaces are clustered, and those of the run's own encoder only
        tell what is alike and what clusters are called.
    """
    yield from encode_steps(at, flags, carry=carry, strong=strong)
    latents = seen = at.encoded / "latents"
    spaces, drawn = [latents], at
    if strong:
        spaces = [other.encoded / "latents" for other in strong]
        latents, drawn = spaces[0], replace(at, encoder_words=strong[0].encoder_words)
    elif at.encoder != "text":
        yield pixel_step(at)
        spaces.append(at.runs / "pixels" / "latents")
    if look:
        command = ("look", "--features", str(seen), "--index", str(at.index))
        yield Step("things to look at", ((*command, "--out", str(at.look)),))
        page = (*page, "--look", str(at.look))
    yield from cluster_steps(drawn, how, spaces)
    if look:
        command = ("name", "--assignment", str(at.clusters), "--features", str(seen))
        yield Step("names", ((*command, "--out", str(at.names)),))
        page = (*page, "--names", str(at.names))
    yield from result_steps(drawn, how, latents, submit=submit, page=page)


def predict_steps(at: RunPaths, raw: Path, out: Path) -> Iterator[Step]:
    """Images of the index in `raw` into the clusters that are there; everything goes to `out`."""
    index = raw / "index"
    encode, spaces = [], []
    for number, features in enumerate(feature_folders(at.clusters), 1):
        weights = os.path.normpath(features / read_manifest(features)["inputs_at"]["weights"])
        spaces.append(str(out / f"latents-{number}"))
        encode.append(encode_command(index, Path(weights), Path(spaces[-1])))
    yield Step("new latents", tuple(encode))
    known = ("--assignment", str(at.clusters), "--index", str(index), "--features", *spaces)
    yield Step("new clusters", (("predict", *known, "--out", str(out / "clusters")),))


def check_count(index: Path, n_clusters: object) -> None:
    """Refuse a K that the images of an index are too few for, before anything is learned.

    Parameters
    ----------
    index : Path
        The `index` artefact.
    n_clusters : int or 'auto' or None
        K as it was given; None is the challenge's own.

    Raises
    ------
    InputError
        There are too few images, or too few that differ, for it; or too few for a vote on it.
    """
    from imclust.clustering.n_clusters import LEAST
    from imclust.data.images import load_index

    doc = read_manifest(index, "index")
    rows = [row for row in load_index(index) if row.split == "train" and not row.problem]
    n, digests = len(rows), {row.digest for row in rows}
    k = n_clusters or doc["n_clusters"]
    if isinstance(k, int):
        cluster_count(k, n)
        if all(digests):
            enough_distinct_rows(k, len(digests), of=doc["content"])
    if k == "auto" and n < LEAST:
        do = "say how many clusters there are: K=<n> (--n-clusters)"
        raise input_error("the number of images to tell K from", f"at least {LEAST}", n, do)
