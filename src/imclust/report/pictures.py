"""The PNG pictures of `report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.manifest import read_manifest
from imclust.core.records import Assignment, Features, cluster_names, read_csv, write_csv
from imclust.data.images import ImageRow, load_index
from imclust.data.loader import Preprocessing, pixels
from imclust.encoders import revive_encoder
from imclust.encoders._base import Encoder
from imclust.report.cluster_colours import shown_colours
from imclust.report.curves import loss_curve, training
from imclust.report.figures import PER_ROW, Panel, Sheet, examples, reconstructions, scatter
from imclust.report.largest_clusters import shown_part
from imclust.report.page.sources import Sources

SIDE = 96  # pixels of an example
MOST_CLUSTERS = 40  # in one picture; of more, those with the least confidence
SHOWN = (1, 2, 3, 6, 7, 9)  # rows of trainX that the homework shows


def draw(at: Sources, folder: Path) -> None:
    """Write every picture that the artefacts allow.

    Parameters
    ----------
    at : Sources
        The artefacts.
    folder : Path
        Where the PNG files go.

    Examples
    --------
    >>> at = Sources(Path("run/clusters"), Path("raw/index"), embedding=Path("run/map"))
    >>> draw(at, Path("photos"))
    >>> sorted(path.name for path in Path("photos").glob("*.png"))
    ['embedding.png', 'examples.png']
    """
    if at.embedding is not None:
        _embedding(at, at.embedding, folder)
    _examples(at, folder)
    if at.weights is None:
        return
    encoder = revive_encoder(read_manifest(at.weights, "weights")["config"])
    if encoder.decodes:
        _reconstructions(encoder, at.index, at.weights, folder)
    if at.trained:
        checkpoints = read_csv(at.checkpoints) if at.checkpoints else []
        training(Sheet(folder, 7), [*map(loss_curve, at.trained)], checkpoints)


def _embedding(at: Sources, embedding: Path, folder: Path) -> None:
    """Panels: by cluster; by label as placed; validation images on their own by label."""

    labels = at.labels or {}
    space = Features.load(embedding)
    mine, numbers = _shown(at.assignment)
    clustered, doc = space.at(mine.ids), read_manifest(at.assignment)
    names, colours = _called(doc, numbers), [shown_colours(doc)[c] for c in numbers]
    panels = [Panel(clustered, mine.clusters, names, "Images by cluster", colours=colours)]
    spaces = [
        ("Validation images among them, by label" if at.val_embedding else "Images by label", space)
    ]
    if at.val_embedding:
        spaces.append(("Validation images on their own, by label", Features.load(at.val_embedding)))
    for title, s in spaces:
        known = np.array([i in labels for i in s.ids.tolist()])
        if known.any():
            classes, groups = np.unique([labels[i] for i in s.ids[known]], return_inverse=True)
            named = [f"label {c}" for c in classes]
            behind = clustered if at.val_embedding and s is space else None
            panels.append(Panel(np.asarray(s.x[known]), groups, named, title, behind))
    sheet = Sheet(folder, 5 * len(panels))
    scatter(sheet, "embedding", panels, read_manifest(embedding)["space"])


def _shown(assignment: Path) -> tuple[Assignment, np.ndarray]:
    """The images to cluster, and the numbers of their clusters; of very many the largest."""
    part, numbers = shown_part(assignment)
    return part.part("train"), numbers


def _called(doc: Mapping[str, Any], numbers: np.ndarray) -> list[str]:
    """What clusters of an assignment are called."""
    called = cluster_names(doc, doc["n_clusters"])
    return [called[c] for c in numbers]


def chosen_examples(clustering: Assignment, index: Path) -> list[list[ImageRow]]:
    """Up to five images of every cluster, from its most to its least confident, in even steps. The
    most confident alone would be near copies of each other.

    Examples
    --------
    >>> rows = chosen_examples(Assignment.load(Path("run/clusters")), Path("raw/index"))
    >>> [len(few) for few in rows], rows[1][0].id[:4]
    ([5, 5], 'dune')
    """

    by_id = {r.id: r for r in load_index(index)}
    confidence = clustering.probabilities.max(1)
    chosen = []
    for cluster in range(clustering.probabilities.shape[1]):
        members = (clustering.clusters == cluster).nonzero()[0]
        ranked = members[np.argsort(-confidence[members], kind="stable")]
        few = min(len(ranked), PER_ROW)
        shown = ranked[np.linspace(0, len(ranked) - 1, few).round().astype(int)]
        chosen.append([by_id[i] for i in clustering.ids[shown].tolist()])
    return chosen


def doubtful_clusters(assignment: Assignment, most: int = MOST_CLUSTERS) -> list[int]:
    """Numbers of all clusters; of too many for one picture, of those with several images the ones
    of the least mean confidence, most doubtful first.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    >>> assignment = Assignment(np.array([*"abcd"]), np.full(4, "train"), p)
    >>> doubtful_clusters(assignment), doubtful_clusters(assignment, most=1)
    ([0, 1], [1])
    """
    k = assignment.probabilities.shape[1]
    if k <= most:
        return list(range(k))
    sizes = np.bincount(assignment.clusters, minlength=k)
    total = np.bincount(assignment.clusters, assignment.probabilities.max(1), minlength=k)
    doubt = np.where(sizes > 1, total / np.maximum(sizes, 1), np.inf)
    return [int(c) for c in np.argsort(doubt, kind="stable")[:most]]


def _examples(at: Sources, folder: Path) -> None:
    """Images of every cluster; of texts, a table."""

    clustering, numbers = _shown(at.assignment)
    called = _called(read_manifest(at.assignment), numbers)
    chosen = chosen_examples(clustering, at.index)
    sizes = [int((clustering.clusters == c).sum()) for c in range(len(chosen))]
    if read_manifest(at.index, "index")["content"] == "texts":
        rows = [(c, sizes[c], r.id) for c, few in enumerate(chosen) for r in few]
        write_csv(folder / "examples.csv", ("cluster", "size", "id"), rows)
        return
    scale = Preprocessing(SIDE)
    shown = doubtful_clusters(clustering)
    images = [np.array([pixels(r, scale) for r in chosen[c]]) for c in shown]
    names, counts = [called[c] for c in shown], [sizes[c] for c in shown]
    less = f"{len(shown)} of {len(chosen)} clusters, the least confident first"
    title = less if len(shown) < len(chosen) else ""
    examples(Sheet(folder, 8), images, names, counts, rows=MOST_CLUSTERS, title=title)


def _reconstructions(encoder: Encoder, index: Path, weights: Path, folder: Path) -> None:

    rows = [r for r in load_index(index) if r.split == "train"]
    chosen = [i for i in SHOWN if i < len(rows) and not rows[i].problem]
    if not chosen:
        return
    shown = np.stack([pixels(rows[i], encoder.preprocessing) for i in chosen])
    back = _rebuild(encoder, weights, shown)
    sheet = Sheet(folder, 1.5 * len(chosen) + 0.6)
    reconstructions(sheet, shown, back, [f"row {i}" for i in chosen])


def _rebuild(encoder: Encoder, weights: Path, shown: np.ndarray) -> np.ndarray:
    """Reconstructions (n, s, s, 3) uint8."""
    import torch

    from imclust.data.loader import to_input
    from imclust.training.weights_file import load_weights

    network = encoder.network()
    facts = load_weights(weights / "weights.safetensors", network)
    with torch.inference_mode():
        x = to_input(shown, Preprocessing(**facts["preprocessing"]), "cpu")
        back = encoder.reconstruct(network.eval(), x)
    mean, std = (torch.tensor(facts["preprocessing"][k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    level = ((back * std + mean) * 255).round().clamp(0, 255).byte()
    return level.permute(0, 2, 3, 1).numpy()
