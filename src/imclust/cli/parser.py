"""Words to work: which stages and commands there are, and how one is parsed and run."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import fields
from typing import Any

from imclust.core.artifacts import recorded_command
from imclust.core.errors import InputError

STAGES = {  # in pipeline order
    "challenges": ("Challenges", "list the challenges: rules, boards, and what each still needs"),
    "download": ("Download", "fetch or find a challenge's images, check them, index them"),
    "encoders": ("Encoders", "list the encoders, and which weights are at hand"),
    "plan": ("BudgetPlan", "choose a network and divide a time budget, by this machine's speed"),
    "train": ("Train", "train an encoder on the images to cluster"),
    "encode": ("Encode", "images to latents"),
    "gather": ("Gather", "join latents that several machines encoded"),
    "reduce": ("Reduce", "latents to a smaller space: PCA, KernelPCA, t-SNE"),
    "cluster": ("Cluster", "give every image a cluster"),
    "predict": ("Predict", "give further images the clusters of an assignment"),
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
        raise InputError(f"stage must be one of {', '.join([*STAGES, *COMMANDS])}; got {name!r}.")
    home = "cli" if name in COMMANDS else "stages"
    module = importlib.import_module(f"imclust.{home}.{name.replace('-', '_')}")
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            cfg = tyro.cli(
                getattr(module, (STAGES | COMMANDS)[name][0]),
                args=argv[1:],
                prog=f"python -m imclust {name}",
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as e:
        if e.code:
            raise _parse_error(e, said.getvalue(), name) from None
        raise
    return module.run, cfg


def _parse_error(end: SystemExit, box: str, name: str) -> InputError:
    """The one sentence of what the option parser draws a box about."""
    cause: BaseException | None = end
    while cause is not None:  # a config that refuses a value says why itself
        if isinstance(cause, InputError):
            return cause
        cause = cause.__context__
    lines = (line.strip(" │\n") for line in box.splitlines())
    words = " ".join(line for line in lines if line and line[0] not in "╭╰─")
    words = words.split(" For full helptext")[0].rstrip(".")
    return InputError(f"{words}; python -m imclust {name} --help lists what there is.")


def run_stage(argv: Sequence[str]) -> None:
    """Run one stage in this process as its command would; manifests name that command."""
    run, cfg = parse(list(argv))
    with recorded_command(argv):
        run(cfg)


def config_flags(config: Any) -> list[str]:
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
