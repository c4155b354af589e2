"""The order of the stages for individuals: clusters from pairs, with no K."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from imclust.cli.pipeline import Predictor, embedding, encode_command, train_command
from imclust.cli.run_paths import RunPaths
from imclust.cli.steps import Command, Step
from imclust.core.files import replaced_file
from imclust.core.manifest import MANIFEST, read_manifest
from imclust.core.pair_records import names_by_id
from imclust.core.records import read_csv, write_csv

LINK = Predictor("link")
FOLDS = 3  # of the known identities, one tuned encoder each


def pair_steps(
    at: RunPaths,
    encoder: Iterable[str],
    link: Iterable[str] = (),
    *,
    tune: bool = False,
    guess: bool = False,
) -> Iterator[Step]:
    """From the index to clusters, and a map of them.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    encoder : iterable of str
        Flags of the encoder.
    link : iterable of str
        Further flags of `link`.
    tune : bool
        Whether encoders are tuned on the known identities, one for each fold of them.
    guess : bool
        Nothing is done yet.

    Examples
    --------
    >>> at = RunPaths(Path(), "photos", "link-seed0", "timm", 0)
    >>> [step.title for step in pair_steps(at, (), guess=True)]
    ['encoder', 'latents', 'pairs', 'clusters', 'map']
    """
    index, weights = ("--index", str(at.index)), at.encoded / "weights"
    latents, pairs = at.encoded / "latents-flip", at.reduced / "pairs"
    seed = ("--seed", str(at.seed))
    learns = seed if at.encoded == at.reduced else ()
    yield Step("encoder", (train_command(at.index, weights, at.encoder, encoder, *learns),))
    yield Step("latents", ((*encode_command(at.index, weights, latents), "--flip"),))
    space = ("--features", str(latents))
    tuned: Command = ()
    if tune:
        step, folders = _tuning(at, weights)
        yield step
        pairs, tuned = at.reduced / "tuned" / "pairs", ("--tuned", *map(str, folders))
    yield Step("pairs", (("pairs", *space, *tuned, *index, "--out", str(pairs), *seed),))
    out, link = ("--out", str(at.clusters)), tuple(link)
    if "--names-from" not in link and not guess:
        link = (*link, *_names_kept(at))
    yield Step("clusters", (("link", "--pairs", str(pairs), *space, *index, *out, *seed, *link),))
    small, flat = at.reduced / "pca", embedding(at, LINK)
    yield Step("map", (
        ("reduce", *space, "--out", str(small), *seed, "pca"),
        ("reduce", "--features", str(small), "--out", str(flat), *seed, "tsne"),
    ))  # fmt: skip


def _tuning(at: RunPaths, weights: Path) -> tuple[Step, list[Path]]:
    """An encoder tuned for each fold of the known identities, and where its features lie."""
    index, seed = ("--index", str(at.index)), ("--seed", str(at.seed))
    commands: list[Command] = []
    folders = []
    for fold in range(FOLDS):
        home = at.reduced / "tuned" / str(fold)
        out = ("--out", str(home / "weights"), "--folds", str(FOLDS), "--fold", str(fold))
        commands.append(("metric", *index, "--weights", str(weights), *out, *seed))
        folders.append(home / "latents-flip")
        commands.append((*encode_command(at.index, home / "weights", folders[-1]), "--flip"))
    return Step("tuning", tuple(commands)), folders


def _names_kept(at: RunPaths) -> Command:
    """Flags of `link` that let clusters keep their names when images have come since.

    The answer that is there will be replaced: its names go into a table beside it before, with
    those that were given up earlier, and stay there for as long as the images stay the same.
    """
    table = at.folder / "names-before.csv"
    if (at.clusters / MANIFEST).is_file():
        doc = read_manifest(at.clusters)
        if doc.get("names") and doc["inputs"].get("index") != read_manifest(at.index)["digest"]:
            names = names_by_id(at.clusters)
            old = {r["cluster"] for r in read_csv(table)} if table.is_file() else set()
            gone = [("", name) for name in sorted(old - set(names.values()))]
            with replaced_file(table) as fresh:
                write_csv(fresh, ("id", "cluster"), [*names.items(), *gone])
    return ("--names-from", str(table)) if table.is_file() else ()
