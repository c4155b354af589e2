"""`baseline`: a challenge from its images to a submission, by a published recipe or the best of
ours; `run_baseline.sh` prepares the environment and calls it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from imclust.cli.image_checks import check_count, too_few
from imclust.cli.pair_steps import LINK, pair_steps
from imclust.cli.parser import parse, parse_stage
from imclust.cli.pipeline import (
    HOMEWORK,
    LAYERED,
    Predictor,
    cluster_steps,
    encode_steps,
    index_step,
    pixel_step,
    result_steps,
    train_command,
)
from imclust.cli.run_paths import RunPaths, check_writable, data_set_name, run_name
from imclust.cli.scratch_steps import (
    WAYS,
    expected_of,
    free_flags,
    free_step,
    is_planned,
    needs_spaces,
    scratch_spaces,
    scratch_steps,
    with_searches,
)
from imclust.cli.settings import Baseline
from imclust.cli.steps import COST, RayCluster, Step, expected_seconds, run_steps
from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import by_pairs, has_validation, home_of
from imclust.competitions.ledger import LOG
from imclust.competitions.ledger_rows import file_accuracies
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, read_manifest
from imclust.encoders import ENCODERS, first_at_hand

__all__ = ["Baseline", "BaselineRun", "run"]
ROWS = 3000  # images that are expected of a challenge, before its index is there
HAS_NO_K = {"folder", "texts", "online"}  # challenges that do not say how many clusters there are
SEARCHED = {"clusters", "validation"}  # steps that take as long as searches of `auto`
SMALL_IMAGES = {"photos", "hw9", "arrays", "digits", "pairs"}  # as the homework's
INIT_ENCODERS = {"local-aggregation": "vgg-ae", "scan-net": "simclr"}


def run(cfg: Baseline) -> None:
    """Run the baseline, or print its commands with `--dry-run`.

    Reads the images of the challenge; writes data/ and submissions/ of the workspace.

    Raises
    ------
    InputError
        A setting, a command or the data; what can be told beforehand, before any work.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> words = "baseline --challenge imagefolder --data-dir photos --encoder pixels --dry-run"
    >>> main(words.split())  # doctest: +ELLIPSIS
    python -m imclust download --out data/raw/imagefolder-photos imagefolder --data-dir ...photos
    python -m imclust train --index data/raw/imagefolder-photos/index ...
    0
    """
    job = BaselineRun(cfg)
    job.check_rules()
    cluster = RayCluster.of(cfg)
    steps = [step.by_ray(cluster) for step in job.steps(guess=True)]
    for step in steps:
        for command in step.commands:
            parse_stage(command)
    if cfg.dry_run:
        for line in job.script():
            say(line)
        return
    from imclust.stages.report import summary  # a tenth of a second that `--help` does without

    check_writable(cfg.workspace)
    if cfg.encoder == "auto":
        how = "chosen by the challenge and by what weights are there; ENCODER overrides"
        say(f"encoder: {job.encoder} ({how})")
    titles = [step.title for step in steps]
    run_steps(job.steps(), titles, ROWS, cluster=cluster)
    for line in [*summary(job.at.report.parent, job.at.submission, job.scores), *job.next_step()]:
        say(line)


@dataclass(frozen=True)
class BaselineRun:
    """What the settings come to: methods, folders, and the steps in their order.

    Parameters
    ----------
    cfg : Baseline
        The settings.
    """

    cfg: Baseline

    @cached_property
    def source(self) -> list[str]:
        """The challenge and its flags, as `download` is told."""
        cfg = self.cfg
        words = [cfg.challenge]
        words += ["--data-dir", str(self.data)] if self.data else []
        words += ["--board", cfg.board] if cfg.board else []
        return [*words, *cfg.words("challenge_flags")]

    @cached_property
    def data(self) -> Path | None:
        """The user's data, by a path that holds wherever the command is repeated."""
        if self.cfg.data_dir is None:
            return None
        return Path(os.path.abspath(self.cfg.data_dir.expanduser()))

    @cached_property
    def challenge(self) -> Any:
        """The challenge's config."""
        if self.cfg.challenge in HAS_NO_K and self.cfg.k is None:
            allowed = f"given for CHALLENGE={self.cfg.challenge}, which has no number of its own"
            do = "set K=<n>, or K=auto for a vote"
            raise self.cfg.wrong("k", allowed, "nothing", do)
        data = CHALLENGES[self.cfg.challenge].config.__dataclass_fields__.get("data_dir")
        if data is not None and data.default is MISSING and "--data-dir" not in self.source:
            do = "name the folder of the data"
            raise self.cfg.wrong("data_dir", "given for this challenge", "nothing", do)
        config = parse(["download", "--out", "unused", *self.source])[1].challenge
        if hasattr(config, "sources"):
            config.sources()  # refuses what is not there
        return config

    @cached_property
    def encoder(self) -> str:
        """The encoder; of `scratch-best`, which has two, the recipe."""
        cfg = self.cfg
        if cfg.recipe == "scratch-best" or cfg.encoder != "auto":
            return cfg.recipe if cfg.recipe == "scratch-best" else cfg.encoder
        if cfg.challenge == "texts":
            return "text"
        if self.by_pairs:
            return "conv-ae" if home_of(self.challenge).track == "scratch" else "timm"
        if cfg.challenge in SMALL_IMAGES or home_of(self.challenge).track == "scratch":
            return "conv-ae"
        return first_at_hand("vgg16", "timm")

    @cached_property
    def by_pairs(self) -> bool:
        """Whether clusters are found from pairs: individuals, unless a predictor is given."""
        return self.cfg.predictor is None and by_pairs(self.challenge, self.cfg.k)

    @cached_property
    def predictor(self) -> Predictor:
        """How latents become clusters."""
        cfg, literal = self.cfg, self.cfg.recipe == "literal"
        if self.by_pairs:
            return LINK
        name = cfg.predictor or self._usual_predictor()
        method: tuple[str, ...] = ()
        if name == "kmeans":  # literal: raw features, as the walkthroughs have them
            method = ("--restarts", "10") if literal else ("--prepare", "unit")
        count = () if cfg.k is None else ("--n-clusters", str(cfg.k))
        recipe = "literal" if literal else "fast"
        flags, further = cfg.cluster_words(name)
        return Predictor(name, recipe, count, flags, method + further)

    def _usual_predictor(self) -> str:
        if self.encoder in {"conv-ae", "pixels"}:
            return HOMEWORK
        best = self.encoder == "timm" and self.cfg.recipe == "fast"
        return "auto" if best or self.encoder == "scratch-best" else "kmeans"

    @cached_property
    def encoder_words(self) -> tuple[str, ...]:
        """Flags of the encoder."""
        words = self.cfg.words("encoder_flags")
        method = WAYS[0] if self.encoder == "scratch-best" else self.encoder
        known = {f.name for f in fields(ENCODERS[method].config)}
        if self.encoder == "timm" and self.predictor.name in {"auto", LINK.name} and not words:
            words = [*LAYERED]
        if self.cfg.weights is not None:
            words += ["--weights", str(self._weights_file("weights" in known))]
        if "recipe" in known and self.cfg.recipe != "fast":
            words = ["--recipe", self.cfg.recipe, *words]
        return tuple(words)

    def _weights_file(self, taken: bool) -> Path:
        path = Path(os.path.abspath((self.cfg.weights or Path()).expanduser()))
        if not taken:
            allowed = "used with an encoder that takes a file of weights"
            raise self.cfg.wrong("weights", allowed, f"ENCODER={self.encoder}", "leave it out")
        if not path.is_file():
            do = "check the path"
            raise self.cfg.wrong("weights", "a file", f"{path}, which does not exist", do)
        return path

    @cached_property
    def init_words(self) -> tuple[str, ...]:
        """The encoder that is started from and its flags, where the encoder refines another."""
        cfg = self.cfg
        if self.encoder not in INIT_ENCODERS:
            return ()
        name = cfg.init_encoder or INIT_ENCODERS[self.encoder]
        known = {f.name for f in fields(ENCODERS[name].config)}
        recipe = ["--recipe", cfg.recipe] if "recipe" in known and cfg.recipe != "fast" else []
        return (name, *recipe, *cfg.words("init_encoder_flags"))

    @cached_property
    def seed(self) -> int:
        """The challenge's walkthrough may have one of its own."""
        usual = 42 if self.cfg.challenge == "blitz7" else 0
        return usual if self.cfg.seed is None else self.cfg.seed

    @cached_property
    def budget(self) -> str:
        """Time for `scratch-best`."""
        return self.cfg.budget or "20m"

    @cached_property
    def at(self) -> RunPaths:
        """The folders."""
        cfg = self.cfg
        words = tuple(cfg.words("challenge_flags"))
        name = cfg.name or data_set_name(cfg.challenge, cfg.workspace, self.data, cfg.board, words)
        decides = [self.budget] if self.encoder == "scratch-best" else []
        decides += [*self.init_words, *self.encoder_words]
        literal = ["literal"] if cfg.recipe == "literal" else []
        flags = self._flags_given()
        run = cfg.run or run_name(
            self.encoder, self.predictor.name, cfg.k, self.seed, *literal,
            *filter(None, [cfg.finetune]), flags=flags,
        )  # fmt: skip
        return RunPaths(cfg.workspace, name, run, self.encoder, self.seed, tuple(decides))

    def _flags_given(self) -> list[str]:
        """What was given beside the settings that stand in a run's name."""
        names = ("encoder_flags", "init_encoder_flags", "cluster_flags", "submit_flags")
        given = {name: getattr(self.cfg, name) for name in names}
        given |= {"weights": self.cfg.weights, "init_encoder": self.cfg.init_encoder}
        given |= {"budget": self.cfg.budget}
        return [f"{name}={value}" for name, value in given.items() if value]

    @property
    def scores(self) -> Path:
        """The numbers of the run."""
        return self.at.folder / "scores"

    def check_rules(self) -> None:
        """Refuse pretrained weights where the challenge forbids them: `submit` would at the end.

        Raises
        ------
        InputError
            Unless SUBMIT_FLAGS say that it is meant.
        """
        method = WAYS[0] if self.encoder == "scratch-best" else self.encoder
        pretrained = "--weights" in self.encoder_words
        pretrained |= getattr(ENCODERS[method].method, "track", "scratch") == "open"
        allowed = "--allow-rule-violation" in self.cfg.words("submit_flags")
        if pretrained and not allowed and home_of(self.challenge).track == "scratch":
            got = f"{self.encoder}, whose weights were trained elsewhere"
            what = f"an encoder that {self.cfg.challenge} allows"
            do = "choose another, or add SUBMIT_FLAGS=--allow-rule-violation"
            raise self.cfg.wrong("encoder", what, got, do)

    def steps(self, *, guess: bool = False) -> Iterator[Step]:
        """The steps in their order; each may be asked for when those before it are done.

        Parameters
        ----------
        guess : bool
            Nothing is done: what an artefact would tell that is not there yet is guessed.
        """
        cfg, at = self.cfg, self.at
        aside = ["--set-aside-corrupt"] if cfg.set_aside_corrupt else []
        index = index_step(at.raw, self.source, aside)
        yield replace(index, expected=self._expected())
        if guess:
            yield from self._after_index(guess=True)
            return
        check_count(at.index, cfg.k)
        self._check_published()
        after = self._after_index(guess=False)
        yield replace(next(after), expected=self._expected())
        yield from after

    def _expected(self) -> dict[str, float]:
        """Seconds of the steps, by the images of the index where it is there."""
        there = (self.at.index / MANIFEST).is_file()
        rows = read_manifest(self.at.index, "index")["rows"] if there else {"train": ROWS}
        known = {title: expected_seconds(title, sum(rows.values())) for title in COST}
        for title, split in (("clusters", "train"), ("map", "train"), ("validation", "val")):
            known[title] = expected_seconds(title, rows.get(split, 0))
        if self.encoder != "scratch-best":
            return known
        planned = expected_of(self.budget, rows)
        searches = {} if self.predictor.name == "auto" else SEARCHED
        return known | {title: s for title, s in planned.items() if title not in searches}

    def _after_index(self, *, guess: bool) -> Iterator[Step]:
        cfg, at, how = self.cfg, self.at, self.predictor
        if self.by_pairs and self.encoder != "scratch-best":
            tune = cfg.finetune == "published"
            if cfg.finetune == "self":
                do = "take published, which tunes the encoder on the known identities"
                raise cfg.wrong("finetune", "published, or left out, for individuals", "self", do)
            yield from pair_steps(
                at, self.encoder_words, cfg.words("cluster_flags"), tune=tune, guess=guess
            )
            space, submit = at.encoded / "latents-flip", cfg.words("submit_flags")
            yield from result_steps(at, LINK, space, submit=submit)
            return
        if self.encoder == "scratch-best":
            yield from scratch_steps(at, self.budget, self.encoder_words, guess=guess)
            weights, spaces = at.encoded / WAYS[0], scratch_spaces(at)
            how = with_searches(how, at, guess=guess)
        else:
            weights, spaces = at.encoded / "weights", [at.encoded / "latents"]
            yield from self._encoder_steps()
            if how.name == "auto" and self.encoder == "timm":
                yield pixel_step(at)
                spaces.append(at.runs / "pixels" / "latents")
        yield from cluster_steps(at, how, spaces)
        clusters = at.clusters
        if cfg.finetune is not None:
            yield self._finetune_step(weights)
            weights, clusters = (at.folder / "finetune" / n for n in ("weights", "clusters"))
        validation = self.validation()
        if validation and (few := too_few(at.index, at.clusters)):
            yield Step("validation", (), left_out=few)
            validation = False
        if validation:  # the homework scores valX clustered on its own
            yield from cluster_steps(at, self._same_k(how), spaces, "val")
        yield from result_steps(
            at, how, spaces[0], assignment=clusters, weights=weights, validation=bool(validation),
            submit=cfg.words("submit_flags"),
        )  # fmt: skip

    def validation(self) -> bool | None:
        """Whether there are images to validate with; None where the download has yet to tell."""
        if (self.at.index / MANIFEST).is_file():
            return "val" in read_manifest(self.at.index, "index")["rows"]
        return has_validation(self.challenge)

    def script(self) -> Iterator[str]:
        """The commands as lines for a shell; comments where one has to be run to know the next."""
        if self.validation() is None:
            yield "# whether there are validation images, too, is known after the download"
        for step in self.steps(guess=True):
            commands = step.by_ray(RayCluster.of(self.cfg)).commands
            yield from (shlex.join(["python", "-m", "imclust", *words]) for words in commands)
            if step.left_out:
                yield f"# {step.title}: left out, for {step.left_out}"
            if step.title == "plan" and not is_planned(self.at):
                yield "# the plan says how large the networks are: --dry-run tells more after it"
                return

    def next_step(self) -> list[str]:
        """The command that a user wants next, as a line that works as it is."""
        at = self.at
        log = [] if at.ledger == LOG else ["--log", str(at.ledger)]
        if not home_of(self.challenge).board:
            words = ["python", "-m", "imclust", "leaderboard", *log]
            return [f"all submissions: {shlex.join(words)}"]
        right = file_accuracies(at.submission, self.scores)
        turned = right.get("submission_inverted.csv", 0) > right.get("submission.csv", 0)
        words = ["python", "-m", "imclust", "upload", str(at.submission), *log]
        words += ["--invert"] if turned else []
        return [f"to the leaderboard (shows what it would send): {shlex.join(words)}"]

    def _encoder_steps(self) -> Iterator[Step]:
        more: tuple[str, ...] = ()
        if self.init_words:
            start, (name, *flags) = self.at.encoded / "start", self.init_words
            seed = ("--seed", str(self.seed))
            yield Step("start", (train_command(self.at.index, start, name, flags, *seed),))
            more = ("--init-weights", str(start))
        if needs_spaces(self.encoder):
            yield free_step(self.at)
            more += free_flags(self.at)
        yield from encode_steps(self.at, self.encoder_words, *more)

    def _finetune_step(self, weights: Path) -> Step:
        at = self.at
        on = ("--assignment", str(at.clusters))
        if self.cfg.finetune == "published":
            on = ("--published", str(at.raw / "published"))
        out = ("--out", str(at.folder / "finetune"), "--seed", str(self.seed))
        given = ("--index", str(at.index), "--weights", str(weights))
        return Step("fine-tuning", (("finetune", *given, *out, *on),))

    def _same_k(self, how: Predictor) -> Predictor:
        """One K for all splits: a vote of one split is not held again on another."""
        if self.cfg.k != "auto":
            return how
        count = ("--n-clusters-from", str(self.at.clusters))
        return Predictor(how.name, how.recipe, count, how.flags, how.method_flags)

    def _check_published(self) -> None:
        given = self.at.raw / "published"
        if self.cfg.finetune == "published" and not read_manifest(given)["rows"]:
            do = 'take FINETUNE=self, or CHALLENGE_FLAGS="--published 0.5" where labels are yours'
            allowed = "used where the task gives labels away"
            raise input_error("FINETUNE=published", allowed, "none", do)
