"""`train`: an encoder's weights, learned from the index' images or fixed as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imclust.artifacts import Order, plain, produce
from imclust.checks import disk_space
from imclust.encoders import ENCODERS
from imclust.images import all_pixels, load_index
from imclust.log import say

if TYPE_CHECKING:
    Method = Any
else:
    Method = ENCODERS.union()


@dataclass(frozen=True)
class Train:
    """Train an encoder on the images to cluster (never on validation images)."""

    encoder: Method
    """Which encoder, with its own flags."""
    index: Path
    """An `index` artefact, from `download`."""
    out: Path
    """Where the weights go: weights.safetensors, checkpoints, steps.jsonl."""
    seed: int = 0
    """Initial weights and order of the images."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Train) -> None:
    """Run the stage. A killed training goes on from its last resume point, at most 5 s back."""
    entry = ENCODERS.for_config(cfg.encoder)
    config = {"method": entry.name, **plain(cfg.encoder), "seed": cfg.seed, "device": cfg.device}
    module = entry.method.__module__.removeprefix("imclust.")
    order = Order(
        "weights",
        config,
        {"index": cfg.index},
        (module, "fit", "losses", "networks", "images", "repro"),
    )
    made = produce(
        cfg.out,
        order,
        lambda folder: _train(cfg, entry.name, folder),
        force=cfg.force,
        keep_partial=True,
    )
    if made:
        say(f"weights of {entry.name} are in {cfg.out}")


def _train(cfg: Train, name: str, folder: Path) -> dict[str, Any]:
    from imclust.fit import RESUME, describe, fit, save_weights
    from imclust.networks import parameter_count
    from imclust.repro import isolated_seed, pick_device

    encoder = ENCODERS[name].method(cfg.encoder)
    rows = [r for r in load_index(cfg.index) if r.split == "train" and not r.problem]
    plan = encoder.plan(len(rows))
    device = pick_device(cfg.device)
    with isolated_seed(cfg.seed, device):
        network = encoder.network()
    facts: dict[str, Any] = {"encoder": name, "parameters": parameter_count(network)}
    say(f"{name}: {facts['parameters']:,} trainable parameters")
    if plan is not None:
        say(f"training on {len(rows)} images: {plan}")
        numbers = facts["parameters"] * (len(plan.checkpoints) + 1 + 2 * 3)  # and resume points
        disk_space(folder, 4 * numbers)
        images = all_pixels(rows, encoder.preprocessing.size, "read")
        log = fit(
            network,
            encoder.loss,
            images,
            encoder.preprocessing,
            plan,
            seed=cfg.seed,
            device=device,
            folder=folder,
        )
        facts |= {"plan": asdict(plan), "loss": log[-1]["loss"], "steps": log[-1]["step"]}
        say(f"training loss {log[-1]['loss']:.4f} after {log[-1]['step']} steps")
    header = describe(encoder.preprocessing, encoder=name, config=plain(cfg.encoder))
    save_weights(folder / "weights.safetensors", network, header)
    (folder / RESUME).unlink(missing_ok=True)
    return facts | {"track": encoder.track, "preprocessing": asdict(encoder.preprocessing)}
