"""Words to work: which stages and commands there are, and how one is parsed and run."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import field, fields, make_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from imclust.cli.parse_errors import near, parse_error, refuse_empty
from imclust.core.errors import input_error
from imclust.core.registry import Registry

STAGES = {  # in pipeline order
    "challenges": ("Challenges", "list the challenges: rules, boards, and what each still needs"),
    "download": ("Download", "fetch or find a challenge's images, check them, index them"),
    "encoders": ("Encoders", "list the encoders, and which weights are at hand"),
    "plan": ("BudgetPlan", "choose a network and divide a time budget, by this machine's speed"),
    "train": ("Train", "train an encoder on the images to cluster"),
    "encode": ("Encode", "images to latents"),
    "gather": ("Gather", "join latents that several machines encoded"),
    "reduce": ("Reduce", "latents to a smaller space: PCA, KernelPCA, t-SNE"),
    "look": ("LookStage", "find copies, spoilt and odd pictures, and what is alike"),
    "words": ("Words", "tell what is seen in every image, in words that it is found by"),
    "curate": ("Curate", "choose images to keep: no near copies, even over what there is"),
    "cluster": ("Cluster", "give every image a cluster"),
    "name": ("Name", "name the clusters by what the bundled network sees in them"),
    "metric": ("Metric", "tune an encoder to tell known identities apart, one fold held out"),
    "pairs": ("PairStage", "score pairs of images: are both of one individual?"),
    "link": ("Link", "clusters from pairs, any number of them"),
    "read": ("Read", "an assignment of an answer that was made elsewhere, in any form"),
    "predict": ("Predict", "give further images the clusters of an assignment"),
    "finetune": ("Finetune", "train a classifier on published labels or on confident clusters"),
    "score": ("Score", "measure the assignment, against labels where there are some"),
    "submit": ("Submit", "write submission.csv, for two clusters its inverted twin; or check one"),
    "report": ("Report", "one page about a run, its pictures, and the summary that ends it"),
    "plot": ("Plot", "pictures of an assignment for papers and slides"),
    "upload": ("Upload", "send a submission to its leaderboard, once, and follow its score"),
    "leaderboard": ("Leaderboard", "show the ledger of submissions, best first"),
    "reproduce": ("Reproduce", "make a submission again and compare the bytes"),
    "package": ("Package", "the winner's hand-over: one folder or zip that runs elsewhere"),
    "push": ("Push", "send a package's notebook to a code competition, and submit it, once"),
}
COMMANDS = {  # these run the stages, one after another
    "baseline": ("Baseline", "a challenge by a published recipe, up to its submission and report"),
    "run": ("Run", "a challenge with the encoder and head that do best, up to the same"),
    "cluster-folder": ("ClusterFolder", "a folder of images: clusters, a table, a page to look at"),
}
RUN_COMMANDS = {  # these take the assignment of a finished run to other places
    "sort": ("Sort", "copy, move or link its images into a folder a cluster; and take that back"),
    "find": ("Find", "list its images that show what words say"),
    "export": ("Export", "write it for other programs: ImageFolder, COCO, FiftyOne, Parquet, ..."),
}
ALL = STAGES | COMMANDS | RUN_COMMANDS

METAVARS: dict[Callable[[str], Any], str] = {
    Path: "PATH",
    str: "TEXT",
    float: "NUMBER",
    int: "NUMBER",
}


def parse(argv: Sequence[str]) -> tuple[Callable[[Any], Any], Any]:
    """The function that a command line runs, and its config.

    Parameters
    ----------
    argv : sequence of str
        A stage or command and its flags. The module of that one alone is imported.

    Returns
    -------
    run : callable
        Takes the config.
    config : frozen dataclass
        A command whose config has `from_environment` starts from that instead of its defaults.

    Raises
    ------
    InputError
        There is no such stage, flag or value.

    Examples
    --------
    >>> run, config = parse(["leaderboard", "--challenge", "hw9"])
    >>> config.challenge
    'hw9'
    """
    name, *words = argv
    if name not in ALL:
        known = list(ALL)
        do = near(name, known) or "choose one"
        raise input_error("stage", f"one of {', '.join(known)}", repr(name), do)
    home = "stages" if name in STAGES else "cli"
    module = importlib.import_module(f"imclust.{home}.{name.replace('-', '_')}")
    config = getattr(module, ALL[name][0])
    return module.run, _config(config, name, words)


def _config(config: Any, name: str, words: list[str]) -> Any:
    import tyro

    refuse_empty(words, name)
    start = {"default": config.from_environment()} if hasattr(config, "from_environment") else {}
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            found = tyro.cli(
                _for_tyro(config, words),
                args=_joined(words),
                prog=f"python -m imclust {name}",
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
                **start,
            )
    except SystemExit as e:
        if e.code:
            raise parse_error(e, said.getvalue(), name) from None
        raise
    return config(**{f.name: getattr(found, f.name) for f in fields(config)})


def _joined(words: Sequence[str]) -> list[str]:
    """`--cluster-flags "--proportions uniform"` as one word: its value is no flag of ours."""
    found: list[str] = []
    for word in words:
        if found and found[-1].startswith("--") and found[-1].endswith("-flags"):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def _for_tyro(config: Any, words: Sequence[str]) -> Any:
    """The config with types that tyro reads, and reads fast.

    A field of `Annotated[Any, registry]` becomes a union of the registry's methods. `X | None`
    becomes `Optional[X]`, and `tuple[X, ...]` a tuple with a reader of its own: tyro checks the
    defaults of the others with typeguard, whose import takes a third of a `--help`.
    """
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(config, include_extras=True).items():
        notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        bare = get_args(hint)[0] if notes else hint
        registry = next((a for a in notes if isinstance(a, Registry)), None)
        if registry is not None:
            types[name] = registry.union(words)
            continue
        if isinstance(bare, UnionType):
            other = _optional(bare)
        elif get_origin(bare) is tuple and get_args(bare)[0] in METAVARS:
            other = _several(get_args(bare)[0])
        else:
            continue
        types[name] = Annotated[(other, *notes)] if notes else other
    if not types:
        return config
    own = {f.name: f for f in fields(config)}
    changed = [(n, t, field(default=own[n].default)) for n, t in types.items() if n in own]
    space = {"__doc__": config.__doc__}
    return make_dataclass(config.__name__, changed, bases=(config,), frozen=True, namespace=space)


def _optional(union: UnionType) -> Any:
    """`X | None` as tyro reads it; a help calls it by X alone."""
    kinds = get_args(union)
    some = [METAVARS.get(kind) for kind in kinds if kind is not NoneType]
    whole: Any = Union[kinds]  # noqa: UP007
    if len(some) == len(kinds) or None in some:
        return whole
    from tyro.conf import arg

    return Annotated[whole, arg(metavar="|".join(filter(None, some)))]


def _several(kind: Callable[[str], Any]) -> Any:
    """Any number of words as a tuple of that kind."""
    from tyro.constructors import PrimitiveConstructorSpec

    word = METAVARS[kind]
    return Annotated[
        tuple,
        PrimitiveConstructorSpec(
            nargs="*",
            metavar=f"{word} ...",
            instance_from_str=lambda words: tuple(map(kind, words)),
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [str(v) for v in value],
        ),
    ]


@lru_cache(maxsize=64)
def parse_stage(argv: tuple[str, ...]) -> tuple[Callable[[Any], Any], Any]:
    """`parse`, once for each command: whoever runs many stages checks all their words first.

    Examples
    --------
    >>> parse_stage(("leaderboard", "--challenge", "hw9"))[1].challenge
    'hw9'
    """
    return parse(argv)


def run_stage(argv: tuple[str, ...]) -> None:
    """Run one stage in this process as its command would; manifests name that command.

    Examples
    --------
    >>> run_stage(("challenges",))  # doctest: +SKIP
    """
    from imclust.core.artifacts import recorded_command

    run, config = parse_stage(argv)
    with recorded_command(argv):
        run(config)


def config_flags(config: Any) -> list[str]:
    """The flags that make a method's config, those left at their defaults aside.

    Fields are texts, numbers, paths, truth values, or tuples of these.

    Examples
    --------
    >>> from imclust.encoders.pixels import PixelsConfig
    >>> config_flags(PixelsConfig(size=16))
    ['--size', '16']
    """
    found: list[str] = []
    for each in fields(config):
        value = getattr(config, each.name)
        flag = "--" + each.name.replace("_", "-")
        if value == each.default:
            continue
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            found += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return found
