"""The order of the stages: the one place that knows it.

Every stage is called as its own command would be, and its manifest names that command: what is up
to date is skipped, a killed run goes on, and each artefact can be made again alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imclust.cli.run_paths import RunPaths
from imclust.cli.steps import Command, Step
from imclust.core.manifest import read_manifest
from imclust.core.records import feature_folders

LAYERED = ("--pool", "mean_std", "--layers", "4")  # several layers for `auto` to choose from
HOMEWORK = "homework"


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

    Examples
    --------
    >>> index_step(Path("raw"), ["digits"], []).commands
    (('download', '--out', 'raw', 'digits'),)
    """
    return Step(title, (("download", "--out", str(to), *flags, *source),))


def train_command(index: Path, out: Path, method: str, flags: Iterable[str], *more: str) -> Command:
    """Words of `train`; `more` are its own flags, `flags` the encoder's.

    Parameters
    ----------
    index, out : Path
        The `index` artefact, and where the weights go.
    method : str
        Name of the encoder.
    flags : iterable of str
        Of the encoder.
    *more : str
        Of `train` itself.

    Examples
    --------
    >>> train_command(Path("raw/index"), Path("w"), "pixels", ["--size", "16"])
    ('train', '--index', 'raw/index', '--out', 'w', 'pixels', '--size', '16')
    """
    return ("train", "--index", str(index), "--out", str(out), *more, method, *flags)


def encode_command(index: Path, weights: Path, out: Path, *more: str) -> Command:
    """Words of `encode`; `more` are further flags.

    Parameters
    ----------
    index, weights, out : Path
        The artefacts, and where the latents go.
    *more : str
        Further flags.

    Examples
    --------
    >>> encode_command(Path("raw/index"), Path("w"), Path("z"))
    ('encode', '--index', 'raw/index', '--weights', 'w', '--out', 'z')
    """
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

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "kmeans-seed0", "timm", 0)
    >>> [(step.title, step.commands[0][0]) for step in encode_steps(at, ["--size", "224"])]
    [('encoder', 'train'), ('latents', 'encode')]
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
    """Plain pixels as a second space: nothing to learn, and fast.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> [command[0] for command in pixel_step(at).commands]
    ['train', 'encode']
    """
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

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "kmeans-seed0", "timm", 0)
    >>> made = cluster_steps(at, Predictor("kmeans"), [Path("latents")])
    >>> [[words[0] for words in step.commands] for step in made]
    [['cluster'], ['reduce', 'reduce']]
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
    """The two-dimensional space to draw, which the homework's predictor clusters, too.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    how : Predictor
        What clusters.
    split : str
        `train`, or `val` for validation images on their own.

    Examples
    --------
    >>> at = RunPaths(Path("w"), "photos", "auto-seed0", "timm", 0, ())
    >>> embedding(at, Predictor("auto")).name
    'map'
    """
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

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "kmeans-seed0", "timm", 0)
    >>> made = result_steps(at, Predictor("kmeans"), Path("latents"), submit=())
    >>> [step.title for step in made]
    ['scores', 'submission', 'report']
    """
    labels, scores = str(at.raw / "labels"), str(at.folder / "scores")
    assigned: Command = ("--assignment", str(assignment or at.clusters))
    index = ("--index", str(at.index))
    measured: Command = ("--weights", str(weights)) if weights else ()
    drawn: Command = ("--embedding", str(embedding(at, how)))
    if validation:
        measured += ("--val-assignment", str(at.folder / "val-clusters"))
        drawn += ("--val-embedding", str(embedding(at, how, "val")))
    spaces = ("--spaces", str(latents), str(embedding(at, how)))
    out = ("--out", scores)
    yield Step(
        "scores", (("score", *assigned, *index, "--labels", labels, *measured, *out, *spaces),)
    )
    if submit is not None:
        handed = ("--log", str(at.ledger), "--scores", scores, *submit)
        out = ("--out", str(at.submission))
        yield Step("submission", (("submit", *assigned, *index, *out, *handed),))
        assigned = ("--submission", str(at.submission))
    out = ("--out", str(at.folder / "report"))
    yield Step(
        "report",
        (("report", *assigned, "--scores", scores, "--labels", labels, *drawn, *out, *page),),
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
    tower: str = "",
    asked: Command = (),
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
    tower : str
        The text tower of the last of `strong`, which then tells what is seen and clusters are
        called.
    asked : tuple of str
        Flags of `name` that have a model name clusters, which may fail.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "auto-seed0", "timm", 0)
    >>> [step.title for step in best_steps(at, Predictor("auto"), (), None)]
    ['encoder', 'latents', 'pixels', 'clusters', 'map', 'scores', 'report']
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
        yield Step("names", name_commands(at, strong, tower, asked), optional=bool(asked))
        at_words = (strong[-1] if tower else at).words
        page = (*page, "--names", str(at.names), "--words", str(at_words))
    yield from result_steps(drawn, how, latents, submit=submit, page=page)


def name_commands(
    at: RunPaths, strong: Sequence[RunPaths], tower: str, asked: Command = ()
) -> tuple[Command, ...]:
    """Tell what is seen in every image, and name the clusters by it.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    strong : Sequence[RunPaths]
        Of further networks.
    tower : str
        The text tower of the last of these, if any.
    asked : tuple of str
        Flags of `name` that have a model name them.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "auto-seed0", "timm", 0)
    >>> [command[0] for command in name_commands(at, (), "")]
    ['words', 'name']
    """
    home = strong[-1] if tower else at
    features = ("--features", str(home.encoded / "latents"))
    words: Command = ("words", *features, "--out", str(home.words))
    name: Command = ("name", "--assignment", str(at.clusters), *features, "--out", str(at.names))
    if tower:
        words, name = (*words, "--text-tower", tower), (*name, "--words", str(home.words))
    if asked or not tower:
        name = (*name, "--index", str(at.index))
    if asked:
        name = (*name, "--look", str(at.look), *asked)
    return words, name


def predict_steps(at: RunPaths, raw: Path, out: Path) -> Iterator[Step]:
    """Images of an index into the clusters that are there.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    raw : Path
        The folder with the `index` of the new images.
    out : Path
        Where everything goes.

    Examples
    --------
    >>> import shutil
    >>> at = RunPaths(Path(), "photos", "first", "pixels", 0)
    >>> _ = shutil.copytree("run", at.folder)
    >>> [step.commands[0][0] for step in predict_steps(at, Path("new"), Path("placed"))]
    ['encode', 'predict']
    """
    index = raw / "index"
    encode, spaces = [], []
    for number, features in enumerate(feature_folders(at.clusters), 1):
        weights = os.path.normpath(features / read_manifest(features)["inputs_at"]["weights"])
        spaces.append(str(out / f"latents-{number}"))
        encode.append(encode_command(index, Path(weights), Path(spaces[-1])))
    yield Step("new latents", tuple(encode))
    known = ("--assignment", str(at.clusters), "--index", str(index), "--features", *spaces)
    yield Step("new clusters", (("predict", *known, "--out", str(out / "clusters")),))
