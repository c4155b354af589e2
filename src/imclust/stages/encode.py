"""`encode`: every readable image through a trained encoder, streamed to disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imclust.artifacts import Order, produce, read_manifest
from imclust.encoders import ENCODERS
from imclust.images import Preprocessing, load_index, pixel_batches, to_input
from imclust.log import say
from imclust.records import save_rows

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Encode:
    """Encode all images, for clustering and for validation alike, into one space of latents."""

    index: Path
    """An `index` artefact, from `download`."""
    weights: Path
    """A `weights` artefact, from `train`; it knows its encoder and preprocessing."""
    out: Path
    """Where the latents go: x.npy (N, D) float32, ids.npy, splits.npy."""
    batch: int = 256
    """Images at a time."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Encode) -> None:
    """Run the stage."""
    trained = read_manifest(cfg.weights, "weights")["config"]
    entry, _ = ENCODERS.revive(trained)
    config = {"batch": cfg.batch, "device": cfg.device}
    module = entry.method.__module__.removeprefix("imclust.")
    code = (module, "images", "networks", "stages.encode")
    order = Order("features", config, {"index": cfg.index, "weights": cfg.weights}, code)
    if produce(cfg.out, order, lambda folder: _encode(cfg, trained, folder), force=cfg.force):
        doc = read_manifest(cfg.out)
        say(f"{doc['rows']} latents of {doc['dims']} numbers are in {cfg.out}")


def _encode(cfg: Encode, trained: dict[str, Any], folder: Path) -> dict[str, Any]:
    import numpy as np
    import torch

    from imclust.checks import finite
    from imclust.fit import load_weights
    from imclust.npy import NpyWriter
    from imclust.repro import pick_device

    entry, config = ENCODERS.revive(trained)
    encoder = entry.method(config)
    device = pick_device(cfg.device)
    network = encoder.network()
    facts = load_weights(cfg.weights / "weights.safetensors", network)
    preprocessing = Preprocessing(**facts["preprocessing"])
    network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    rows = [r for r in load_index(cfg.index) if not r.problem]

    def codes(block: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            z = encoder.encode(network, to_input(block, preprocessing, device))
        latents: np.ndarray = z.float().cpu().numpy()
        finite("latents", latents, "train again with a lower learning rate")
        return latents

    blocks = pixel_batches(rows, preprocessing.size, cfg.batch, "encode")
    first = codes(next(blocks))
    with NpyWriter(folder / "x.npy", (len(rows), first.shape[1])) as out:
        out.append(first)
        for block in blocks:
            out.append(codes(block))
    save_rows(folder, np.array([r.id for r in rows]), np.array([r.split for r in rows]))
    return {
        "rows": len(rows),
        "dims": first.shape[1],
        "track": encoder.track,
        "space": entry.name,
        "bytes": int(len(rows) * first.shape[1] * 4),
    }
