"""`train`: an encoder's weights, learned from the index' images or fixed as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact, plain
from imclust.core.checks import disk_space, seconds, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import Features, parts_of
from imclust.core.reproducibility import check_device
from imclust.core.wording import counted
from imclust.data.images import load_index
from imclust.data.loader import all_pixels
from imclust.encoders import ENCODERS, method_modules, revive_encoder
from imclust.encoders._base import MOST_EPOCHS, needs_content


@dataclass(frozen=True)
class Train:
    """Train an encoder on the images to cluster (never on validation images)."""

    encoder: Annotated[Any, ENCODERS]
    """Which encoder, with its own flags."""
    index: Path
    """An `index` artefact, from `download`."""
    out: Path
    """Where the weights go: weights.safetensors, checkpoints, steps.jsonl."""
    init_weights: Path | None = None
    """A `weights` artefact to go on from, for encoders that refine another."""
    features: tuple[Path, ...] = ()
    """`features` artefacts of the same images, for encoders that learn from other spaces."""
    budget: str | None = None
    """Time for training, such as 10m: as many epochs as this machine makes in it, by a short
    measurement, instead of the encoder's own number."""
    steps: int | None = None
    """Exactly so many steps; what a training under a budget planned is in its manifest."""
    cuts: tuple[str, ...] = ()
    """Of --steps, where that plan was shortened: STEP:STEPS, after which step and to how many, as
    the manifest of a training under a budget has them. It makes the same weights again."""
    seed: int = 0
    """Initial weights and order of the images."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        check_device(self.device)
        counts = {"--steps": self.steps}
        counts |= {f"--{n}": getattr(self.encoder, n, None) for n in ("epochs", "batch")}
        for flag, value in counts.items():
            if value is not None and value < 1:
                raise input_error(flag, "at least 1", value, "raise it or leave it out")
        self.length()
        self.shortened()

    def length(self) -> dict[str, Any]:
        """What was said of the length of the training, for the manifest."""
        said = {"--epochs": getattr(self.encoder, "epochs", None)}
        said |= {"--budget": self.budget, "--steps": self.steps}
        given = [flag for flag, value in said.items() if value is not None]
        if len(given) > 1:
            raise input_error(" and ".join(given), "one of them", "both", "drop one")
        if self.budget is not None:
            return {"budget": seconds(self.budget)}
        steps = {} if self.steps is None else {"steps": self.steps}
        return {**steps, **({"cuts": list(self.cuts)} if self.cuts else {})}

    def shortened(self) -> tuple[tuple[int, int], ...]:
        """The cuts, each in steps."""
        found, before, steps = [], 0, self.steps or 0
        for word in self.cuts:
            after, _, to = word.partition(":")
            numbers = after.isdecimal() and to.isdecimal()
            if not (numbers and before < int(after) <= int(to) < steps):
                allowed = "STEP:STEPS, each after the one before and to fewer steps, with --steps"
                raise input_error("--cuts", allowed, " ".join(self.cuts), "take the manifest's")
            before, steps = int(after), int(to)
            found.append((before, steps))
        return tuple(found)


def run(cfg: Train) -> None:
    """Read an `index` (and `weights` to start from), write `weights`.

    A killed training goes on from its last resume point, at most 5 s back.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("train --index raw/index --out run/hog hog".split())
    hog: 0 parameters
    weights of hog are in run/hog
    0
    """
    entry = ENCODERS.for_config(cfg.encoder)
    config = {"method": entry.name, **plain(cfg.encoder), "seed": cfg.seed, "device": cfg.device}
    config |= cfg.length()
    given = getattr(cfg.encoder, "weights", None)
    if given is not None and given.is_file():  # another file under the same name is another spec
        config["weights_stat"] = [given.stat().st_size, given.stat().st_mtime_ns]
    inputs = {"index": cfg.index}
    if getattr(entry.method, "refines", False) != (cfg.init_weights is not None):
        needs = (
            "given" if cfg.init_weights is None else "left out: this encoder starts from nothing"
        )
        raise input_error(
            f"--init-weights of {entry.name}", needs, cfg.init_weights, "see train --help"
        )
    if getattr(entry.method, "needs_spaces", False) != bool(cfg.features):
        needs = "left out: it learns from the images alone" if cfg.features else "given"
        got = ", ".join(map(str, cfg.features)) or None
        raise input_error(f"--features of {entry.name}", needs, got, "see train --help")
    inputs |= {"features" if i == 1 else f"features {i}": p for i, p in enumerate(cfg.features, 1)}
    if cfg.init_weights is not None:
        config["base"] = read_manifest(cfg.init_weights, "weights")["config"]
        inputs["init_weights"] = cfg.init_weights
    code = (__name__, *method_modules(config))
    spec = ArtifactSpec("weights", config, inputs, code)
    made = make_artifact(
        cfg.out,
        spec,
        lambda folder: _train(cfg, config, folder),
        force=cfg.force,
        keep_partial=True,
    )
    if made:
        say(f"weights of {entry.name} are in {cfg.out}")


def _spaces(features: tuple[Path, ...], ids: list[str]) -> list[np.ndarray]:
    """All spaces (n, d_v), their rows in the order of the ids."""
    return [
        part for path in features for part in parts_of(path, Features.load(path).at(np.array(ids)))
    ]


def _train(cfg: Train, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    import torch

    from imclust.core.reproducibility import isolated_seed, pick_device
    from imclust.training.fit import fit
    from imclust.training.networks import parameter_count
    from imclust.training.state import RESUME
    from imclust.training.weights_file import load_weights, save_weights

    name = config["method"]
    encoder = revive_encoder(config)
    needs_content(cfg.index, encoder, name)
    rows = [r for r in load_index(cfg.index) if r.split == "train" and not r.problem]
    plan = encoder.plan(len(rows))
    device = pick_device(cfg.device)
    with isolated_seed(cfg.seed, device):
        network = encoder.network()
    facts: dict[str, Any] = {"encoder": name, "parameters": parameter_count(network)}
    facts |= encoder.pretrained(network)
    if cfg.init_weights is not None:
        base = revive_encoder(config["base"]).network()
        load_weights(cfg.init_weights / "weights.safetensors", base)
        with isolated_seed(cfg.seed, device):
            network = encoder.upon(base)
    say(f"{name}: {facts['parameters']:,} parameters")
    if plan is not None:
        numbers = facts["parameters"] * (len(plan.checkpoints) + 1 + 2 * 3)  # and resume points
        disk_space(folder, 4 * numbers)
        if cfg.features:
            encoder.take_spaces(_spaces(cfg.features, [r.id for r in rows]), cfg.seed)
        images = all_pixels(rows, encoder.preprocessing, "read")
        plan = encoder.suited(plan, images)
        if cfg.budget is not None:
            plan = replace(plan, epochs=MOST_EPOCHS, seconds=seconds(cfg.budget))
        plan = replace(plan, steps=cfg.steps, cuts=cfg.shortened())
        say(f"training on {counted(len(rows), 'image')}: {plan}")
        log = fit(
            network,
            encoder.objective(len(rows), cfg.seed),
            images,
            encoder.preprocessing,
            plan,
            seed=cfg.seed,
            device=device,
            folder=folder,
            encode=encoder.encode,
        )
        facts |= {"plan": asdict(plan), "loss": log[-1]["loss"], "steps": log[-1]["step"]}
        facts |= {name: log[-1][name] for name in ("planned", "cuts")}
        slower = facts["cuts"] and cfg.budget is not None
        less = f" of {facts['planned']} planned: the machine turned out slower"
        steps = counted(facts["steps"], "step") + (less if slower else "")
        say(f"training loss {facts['loss']:.4f} after {steps}")
    elif encoder.learns_at_once:
        images = all_pixels(rows, encoder.preprocessing, "read")
        with isolated_seed(cfg.seed, device), torch.inference_mode():
            encoder.learn(network, images, cfg.seed)
    header = {**encoder.input_facts(), "encoder": name, "config": plain(cfg.encoder)}
    disk_space(folder, 4 * facts["parameters"])
    save_weights(folder / "weights.safetensors", network, header)
    (folder / RESUME).unlink(missing_ok=True)
    tracks = {encoder.track, *(read_manifest(path).get("track") for path in cfg.features)}
    return facts | {"track": "open" if "open" in tracks else "scratch", **encoder.input_facts()}
