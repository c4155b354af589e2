"""Words to work: which stages and commands there are, and how one is parsed and run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from imclust.artifacts import made_by
from imclust.checks import Refusal

STAGES = {  # in pipeline order
    "challenges": ("Challenges", "list the challenges: rules, boards, and what each still needs"),
    "download": ("Download", "fetch or find a challenge's images, check them, index them"),
    "encoders": ("Encoders", "list the encoders, and which weights are at hand"),
    "plan": ("Plan", "choose a network and divide a time budget, by this machine's speed"),
    "train": ("Train", "train an encoder on the images to cluster"),
    "encode": ("Encode", "images to latents"),
    "gather": ("Gather", "join latents that several machines encoded"),
    "reduce": ("Reduce", "latents to a smaller space: PCA, KernelPCA, t-SNE"),
    "cluster": ("Cluster", "give every image a cluster"),
    "place": ("Place", "give further images the clusters of an answer"),
    "finetune": ("Finetune", "train a classifier on published labels or on confident clusters"),
    "score": ("Score", "measure the answer, against labels where there are some"),
    "submit": ("Submit", "write submission.csv, for two clusters its inverted twin; or check one"),
    "report": ("Report", "one page about a run, its pictures, and the summary that ends it"),
    "plot": ("Plot", "pictures of an answer for papers and slides"),
    "upload": ("Upload", "send a submission to its leaderboard, once, and follow its score"),
    "leaderboard": ("Leaderboard", "show the ledger of submissions, best first"),
    "reproduce": ("Reproduce", "make a submission again and compare the bytes"),
    "package": ("Package", "the winner's hand-over: one folder or zip that runs elsewhere"),
}
COMMANDS = {  # these run the stages, one after another
    "cluster-folder": ("ClusterFolder", "a folder of images: clusters, a table, a page to look at"),
    "run": ("Run", "the same on a challenge, up to its submission"),
}


def parse(argv: list[str]) -> tuple[Callable[[Any], Any], Any]:
    """argv -> (the stage's or command's run function, its frozen config).

    Imports that one only.
    """
    import tyro

    name = argv[0]
    if name not in STAGES | COMMANDS:
        raise Refusal(f"stage must be one of {', '.join([*STAGES, *COMMANDS])}; got {name!r}.")
    home = "commands" if name in COMMANDS else "stages"
    module = importlib.import_module(f"imclust.{home}.{name.replace('-', '_')}")
    cfg = tyro.cli(
        getattr(module, (STAGES | COMMANDS)[name][0]),
        args=argv[1:],
        prog=f"python -m imclust {name}",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    return module.run, cfg


def call(argv: Sequence[str]) -> None:
    """Run one stage in this process as its command would; manifests name that command."""
    run, cfg = parse(list(argv))
    with made_by(argv):
        run(cfg)


def words(config: Any) -> list[str]:
    """The flags that make a method's config, those left at their defaults aside.

    Fields are texts, numbers, paths, truth values, or tuples of these.
    """
    found: list[str] = []
    for field in fields(config):
        value = getattr(config, field.name)
        flag = "--" + field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            found += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return found
