"""The order of the stages for individuals: clusters from pairs, with no K."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imclust.cli.pipeline import Predictor, Step, embedding, encode_command, train_command
from imclust.cli.run_paths import RunPaths

LINK = Predictor("link")


def pair_steps(at: RunPaths, encoder: Iterable[str], link: Iterable[str] = ()) -> Iterator[Step]:
    """From the index to clusters, and a map of them.

    Parameters
    ----------
    at : RunPaths
        Of the run.
    encoder : iterable of str
        Flags of the encoder.
    link : iterable of str
        Further flags of `link`.
    """
    index, weights = ("--index", str(at.index)), at.encoded / "weights"
    latents, pairs = at.encoded / "latents-flip", at.reduced / "pairs"
    seed = ("--seed", str(at.seed))
    learns = seed if at.encoded == at.reduced else ()
    yield Step("encoder", (train_command(at.index, weights, at.encoder, encoder, *learns),))
    yield Step("latents", ((*encode_command(at.index, weights, latents), "--flip"),))
    space = ("--features", str(latents))
    yield Step("pairs", (("pairs", *space, *index, "--out", str(pairs), *seed),))
    out = ("--out", str(at.clusters))
    yield Step("clusters", (("link", "--pairs", str(pairs), *space, *index, *out, *seed, *link),))
    small, flat = at.reduced / "pca", embedding(at, LINK)
    yield Step("map", (
        ("reduce", *space, "--out", str(small), *seed, "pca"),
        ("reduce", "--features", str(small), "--out", str(flat), *seed, "tsne"),
    ))  # fmt: skip
