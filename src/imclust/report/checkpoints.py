"""Reconstruction error and homework accuracy of every checkpoint of a training: a picture, never
a choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.metrics import hungarian_accuracy
from imclust.clustering.reducers import REDUCERS
from imclust.core.log import progress
from imclust.core.manifest import lineage, read_manifest
from imclust.data.images import load_index
from imclust.data.loader import Preprocessing, all_pixels, to_input
from imclust.encoders import revive_encoder
from imclust.encoders._base import Encoder

ROWS = 500


def score_checkpoints(
    index: Path, weights: Path, assignment: Path, labels: dict[str, str]
) -> list[dict[str, Any]]:
    """One record a checkpoint: epoch, reconstruction (mean squared error) and, with labels,
    accuracy (Hungarian) of the run's own reducers and clusterer replayed on its codes, without
    its priors, unless it clustered several spaces.

    Measured on at most ROWS images: the validation split, else labelled images to cluster.

    Parameters
    ----------
    index, weights : Path
        artefacts.
    assignment : Path
        Whose chain of stages is replayed.
    labels : dict[str, str]
        Id -> class.

    Examples
    --------
    >>> where = (Path("raw/index"), Path("run/weights"), Path("run/clusters"))
    >>> score_checkpoints(*where, {})  # the encoder `pixels` has no checkpoints
    []
    """
    import torch

    from imclust.training.weights_file import load_weights

    encoder = revive_encoder(read_manifest(weights, "weights")["config"])
    stems = sorted(weights.glob("checkpoint_*.safetensors"), key=_epoch)
    if not stems:
        return []
    rows = [r for r in load_index(index) if not r.problem]
    rows = [r for r in rows if r.split == "val"] or [r for r in rows if r.id in labels] or rows
    rows = rows[:ROWS]
    truth = [labels[r.id] for r in rows if r.id in labels]
    network = encoder.network().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    header = load_weights(weights / "weights.safetensors", network)
    preprocessing = Preprocessing(**header["preprocessing"])
    blocks = all_pixels(rows, preprocessing, "read")
    n_clusters = read_manifest(assignment, "assignment")["n_clusters"]
    # Codes of one encoder cannot replay a clustering of several spaces.
    alone = "features 2" not in read_manifest(assignment)["inputs"]
    known = alone and len(truth) == len(rows) >= n_clusters
    records = []
    for path in progress(stems, "score checkpoints", unit="checkpoint"):
        load_weights(path, network)
        z, error = _forward(encoder, network, blocks, preprocessing)
        record: dict[str, Any] = {"epoch": _epoch(path), "reconstruction": error}
        if known:
            clusters = _replay(assignment, z)
            record["accuracy"] = round(hungarian_accuracy(_codes(truth), clusters), 4)
        records.append(record)
    return records


def _epoch(path: Path) -> int:
    return int(path.stem.removeprefix("checkpoint_"))


def _codes(names: list[str]) -> np.ndarray:

    return np.unique(names, return_inverse=True)[1]


def _forward(
    encoder: Encoder, network: Any, blocks: np.ndarray, preprocessing: Preprocessing
) -> tuple[np.ndarray, float | None]:
    """Latents (n, d) and mean squared reconstruction error of all images."""
    import torch

    latents, total = [], 0.0
    with torch.inference_mode():
        for a in range(0, len(blocks), 128):
            x = to_input(blocks[a : a + 128], preprocessing, "cpu")
            latents.append(encoder.encode(network, x).numpy())
            if encoder.decodes:
                total += float((encoder.reconstruct(network, x) - x).square().sum())
    error = round(total / blocks.size, 6) if encoder.decodes else None
    return np.concatenate(latents), error


def _replay(assignment: Path, z: np.ndarray) -> np.ndarray:
    """Clusters of new latents by the reducers and the clusterer that made an assignment."""
    clusters: np.ndarray | None = None
    for doc in lineage(assignment).values():
        config = doc["config"]
        if doc["kind"] == "features" and "method" in config:
            entry, settings = REDUCERS.revive(config)
            z = entry.method(z, settings, config["seed"]).of_fitted(z)
        elif doc["kind"] == "assignment":
            head, chosen = CLUSTERERS.revive(config)
            clusters = head.method(z, doc["n_clusters"], chosen, config["seed"]).labels
    assert clusters is not None, f"{assignment} is an assignment, so its lineage ends in one"
    return clusters
