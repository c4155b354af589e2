"""The settings of the baseline: one typed declaration, read from flags and from the environment."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from imclust.cli.run_paths import is_folder_name
from imclust.clustering.clusterers import CLUSTERERS
from imclust.competitions.challenges import CHALLENGES
from imclust.core.checks import seconds, valid_seed
from imclust.core.errors import InputError, input_error
from imclust.core.ray_workers import check_ray
from imclust.core.registry import Registry
from imclust.encoders import ENCODERS

Recipe = Literal["fast", "literal", "scratch-best"]
HOMEWORK = "homework"
TRUTH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
CLOSE = 0.83  # likeness, of 1, from which a variable is taken for a misspelt one of ours
SHORT = 5  # letters; shorter names are too much like those of other programs
OTHER_WORDS = {"N_CLUSTERS": "K", "NUM_CLUSTERS": "K", "CLUSTERER": "PREDICTOR"}


@dataclass(frozen=True)
class Baseline:
    """Unlabelled images in, submission and report out, by a published recipe or the best of ours.

    Every setting is also an environment variable of the same name in upper case (CHALLENGE, K,
    SEED, DATA_DIR, ...); a flag beats it. A second run redoes only what a changed setting or file
    touches. The defaults shown are those that hold now, the environment included.
    """

    challenge: str = "photos"
    """Which images: a name that `python -m imclust challenges` lists."""
    data_dir: Path | None = None
    """Your data, for the challenges that want some: a folder or an archive."""
    board: str | None = None
    """For `online`: SERVICE:CHALLENGE, such as kaggle:titanic, or the challenge's address."""
    k: int | Literal["auto"] | None = None
    """Number of clusters; `auto` has several criteria vote on it; the challenge's own unless
    given."""
    recipe: Recipe = "fast"
    """`literal`: the published pipeline, unchanged. `scratch-best`: the best that can be learned
    from nothing but these images."""
    encoder: str = "auto"
    """An encoder that `python -m imclust encoders` lists; `auto`: conv-ae for the homework's
    arrays and where the rules forbid pretrained weights, text for texts, else vgg16 where its
    weights are, else timm."""
    predictor: str | None = None
    """`homework` (KernelPCA, t-SNE, MiniBatchKMeans) or a clusterer that `cluster --help` lists;
    unless given `auto` (many in many spaces) for timm and scratch-best, homework for conv-ae and
    pixels, kmeans for the others."""
    seed: int | None = None
    """Every random choice; 0 unless given, 42 for blitz7 as its walkthrough has it."""
    finetune: Literal["self", "published"] | None = None
    """Refine the encoder on its own confident clusters, or on labels that the task gives away."""
    weights: Path | None = None
    """File of the encoder's weights."""
    init_encoder: str | None = None
    """The encoder that local-aggregation (vgg-ae unless given) or scan-net (simclr) starts from."""
    budget: str | None = None
    """Time of scratch-best, such as 90s, 20m or 1h; 20m unless given."""
    run: str | None = None
    """Name of the run; after encoder, predictor, K, seed and what else decides it unless given."""
    name: str | None = None
    """Name of the data set; after the challenge and its data unless given."""
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
    set_aside_corrupt: bool = False
    """Go on without images that cannot be read; their rows get the largest cluster."""
    challenge_flags: str = ""
    """Further flags of the challenge, as in "--published 0.5"."""
    encoder_flags: str = ""
    """Further flags of the encoder, as in "--model resnet18"."""
    init_encoder_flags: str = ""
    """Further flags of the encoder that is started from."""
    cluster_flags: str = ""
    """Further flags of `cluster` and of the clusterer, as in "--proportions uniform"."""
    submit_flags: str = ""
    """Further flags of `submit`, as in "--known 0,1,0,1,0"."""
    dry_run: bool = False
    """Print the stages' commands in their order, ready to paste, and do nothing."""

    def __post_init__(self) -> None:
        self._registered("challenge", CHALLENGES)
        self._registered("encoder", ENCODERS, "auto")
        self._registered("init_encoder", ENCODERS)
        self._registered("predictor", CLUSTERERS, HOMEWORK)
        if isinstance(self.k, int) and self.k < 2:
            raise self.wrong("k", "at least 2, or auto", self.k, "choose another number")
        if self.seed is not None:
            valid_seed(self.seed)
        check_ray(self.ray, self.ray_storage, "RAY (--ray)", self.gpu_share)
        for name in ("run", "name"):
            value = getattr(self, name)
            if value is not None and not is_folder_name(value):
                raise self.wrong(name, "the name of a folder", repr(value), "leave out slashes")
        for name in (f.name for f in fields(self) if f.name.endswith("_flags")):
            self.words(name)
        self._fitting_together()

    def _registered(self, name: str, registry: Registry[Any], *others: str) -> None:
        """Refuse what is no method of the registry, which is loaded only to tell."""
        value = getattr(self, name)
        if (
            value is None
            or value in others
            or value == type(self).__dataclass_fields__[name].default
        ):
            return
        known = [*others, *(entry.name for entry in registry)]
        if value not in known:
            near = difflib.get_close_matches(value, known, 1)
            do = f"take {near[0]}" if near else "choose one"
            raise self.wrong(name, f"one of {', '.join(known)}", repr(value), do)

    def _fitting_together(self) -> None:
        """Refuse settings that would be passed over in silence beside the others."""
        if self.recipe == "scratch-best" and (self.encoder != "auto" or self.challenge == "texts"):
            got = f"ENCODER={self.encoder} CHALLENGE={self.challenge}"
            raise input_error(
                "RECIPE=scratch-best", "without ENCODER and of images", got, "drop one of them"
            )
        if self.budget is not None:
            if self.recipe != "scratch-best":
                do = "leave it out, or set RECIPE=scratch-best"
                raise self.wrong("budget", "used with RECIPE=scratch-best", self.budget, do)
            try:
                seconds(self.budget)
            except InputError:
                allowed = "a time such as 90s, 20m or 1h"
                raise self.wrong("budget", allowed, repr(self.budget), "write it so") from None
        refines = self.encoder != "auto" and getattr(
            ENCODERS[self.encoder].method, "refines", False
        )
        for name in ("init_encoder", "init_encoder_flags"):
            if getattr(self, name) and not refines:
                allowed = "used with ENCODER=local-aggregation or scan-net"
                raise self.wrong(name, allowed, getattr(self, name), "leave it out")
        if self.challenge == "online" and self.board is None:
            do = "set BOARD=kaggle:<name>, BOARD=aicrowd:<name>, or the challenge's address"
            raise self.wrong("board", "given for CHALLENGE=online", "nothing", do)

    @staticmethod
    def wrong(name: str, allowed: str, got: object, do: str) -> InputError:
        """The refusal of a setting, by both of its names."""
        both = f"{name.upper()} (--{name.replace('_', '-')})"
        return input_error(both, allowed, got, do)

    def cluster_words(self, predictor: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The flags of CLUSTER_FLAGS: those of `cluster`, and those of the clusterer itself.

        Parameters
        ----------
        predictor : str
            `homework` or a clusterer.

        Examples
        --------
        >>> Baseline(cluster_flags="--searches 2 --proportions uniform").cluster_words("auto")
        (('--proportions', 'uniform'), ('--searches', '2'))
        """
        method = "minibatch-kmeans" if predictor == HOMEWORK else predictor
        own = {f.name for f in fields(CLUSTERERS[method].config)}
        found: tuple[list[str], list[str]] = ([], [])
        where = found[0]
        for word in self.words("cluster_flags"):
            if word.startswith("--"):
                name = word.partition("=")[0].removeprefix("--").removeprefix("no-")
                where = found[name.replace("-", "_") in own]
            where.append(word)
        return tuple(found[0]), tuple(found[1])

    def words(self, name: str) -> list[str]:
        """A setting of further flags as words, split as a shell does."""
        try:
            return shlex.split(getattr(self, name))
        except ValueError as e:
            allowed = "words as in a shell"
            got = f"{getattr(self, name)!r} ({e})"
            raise self.wrong(name, allowed, got, "close the quotation") from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Baseline:
        """The settings as the environment has them; variables that are empty count as not set.

        Parameters
        ----------
        environment : mapping of str to str, optional
            This process's own unless given.

        Raises
        ------
        InputError
            A value that its setting cannot have, or a variable that seems to be a misspelt one.

        Examples
        --------
        >>> Baseline.from_environment({"CHALLENGE": "digits", "K": "10"}).k
        10
        """
        found = os.environ if environment is None else environment
        hints = get_type_hints(cls)
        _refuse_misspelt(found, [f.name.upper() for f in fields(cls)])
        values = {
            f.name: _value(f.name, hints[f.name], found[f.name.upper()])
            for f in fields(cls)
            if found.get(f.name.upper())
        }
        return cls(**values)


def _value(name: str, hint: Any, text: str) -> Any:
    """The text of a variable as its setting's type."""
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not NoneType]
    kinds = [hint] if get_origin(hint) is Literal else kinds
    choices = [c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
    if text in choices:
        return text
    if bool in kinds:
        if text.lower() in TRUTH:
            return TRUTH[text.lower()]
        allowed = "one of 1, true, yes, 0, false, no"
        raise Baseline.wrong(name, allowed, repr(text), "choose one")
    if int in kinds:
        try:
            return int(text)
        except ValueError:
            allowed = " or ".join(["a whole number", *choices])
            raise Baseline.wrong(name, allowed, repr(text), "choose another") from None
    if Path in kinds:
        return Path(text)
    if str in kinds:
        return text
    raise Baseline.wrong(name, f"one of {', '.join(choices)}", repr(text), "choose one")


def _refuse_misspelt(found: Iterable[str], known: list[str]) -> None:
    """Refuse a variable that is none of the settings and looks like one."""
    for name in sorted(set(found) - set(known)):
        meant = OTHER_WORDS.get(name) or _meant(name, known)
        if meant:
            allowed = f"one of {', '.join(known)}"
            do = f"write {meant}, or unset it"
            raise input_error("a setting in the environment", allowed, name, do)


def _meant(name: str, known: list[str]) -> str:
    """The setting that a variable seems to be a misspelling of; empty for none."""
    if len(name) < SHORT:
        return ""
    long = [k for k in known if len(k) >= SHORT]
    near = difflib.get_close_matches(name.upper(), long, 1, CLOSE)
    return near[0] if near else ""
