"""What the page knows of every image: one row each, cluster by cluster."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.manifest import read_manifest
from imclust.core.records import Features, read_csv
from imclust.data.images import ImageRow, load_index
from imclust.data.texts import read_texts
from imclust.report.largest_clusters import MOST, shown_part

TEXT_BUDGET = 20_000_000  # characters of all texts together
TEXT_LENGTH = 600  # characters of one text, at most
NONE = 0xFFFF  # where there is no label, or no cluster that is shown


@dataclass(frozen=True)
class Rows:
    """The images of an assignment, by cluster and then from the most confident on.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    splits : np.ndarray
        (n,) str.
    clusters : np.ndarray
        (n,) int64.
    probabilities : np.ndarray
        (n, k) float32.
    confidence : np.ndarray
        (n,) float in [0, 1].
    runner_up : np.ndarray
        (n,) int64.
    distance : np.ndarray
        (n,) float >= 0, to the centre of the own cluster.
    labels : np.ndarray
        (n,) int64, number of the class in `classes`, or -1.
    classes : list[str]
        Names of the labels.
    xy : np.ndarray | None
        (n, 2) float32, or None without an embedding.
    stored : list[ImageRow]
        Where each image lies.
    total : int
        Images of the whole assignment, of which `ids` may be a part.
    sizes : list[int]
        (k,) images of each cluster in the whole assignment; one may be empty.
    numbers : list[int]
        (k,) what the clusters are in the assignment, of very many clusters the largest.
    """

    ids: np.ndarray
    splits: np.ndarray
    clusters: np.ndarray
    probabilities: np.ndarray
    confidence: np.ndarray
    runner_up: np.ndarray
    distance: np.ndarray
    labels: np.ndarray
    classes: list[str]
    xy: np.ndarray | None
    stored: list[ImageRow]
    total: int
    sizes: list[int]
    numbers: list[int]

    @property
    def k(self) -> int:
        """Number of clusters."""
        return self.probabilities.shape[1]


def gather_rows(
    assignment: Path, index: Path, embedding: Path | None, labels: dict[str, str], most: int = MOST
) -> Rows:
    """Join an assignment with its images, its embedding and the labels, by id.

    Parameters
    ----------
    assignment, index, embedding : Path
        Artefacts; the embedding's first two columns are drawn.
    labels : dict[str, str]
        Id -> class, of some, all or none.
    most : int, optional
        Images that are shown.

    Examples
    --------
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), Path("run/map"), {})
    >>> rows.ids[0].item(), rows.k, rows.xy.shape
    ('lake/00.png', 2, (24, 2))
    """

    clustering, numbers = shown_part(assignment)
    confidence = np.minimum(clustering.probabilities.max(1), 1)
    clusters = clustering.clusters
    order = np.lexsort((clustering.ids, -confidence, clusters))
    if len(order) > most:
        keep = np.random.default_rng(0).permutation(len(order))[:most]
        order = order[np.sort(keep)]
    ids = clustering.ids[order]
    p = np.asarray(clustering.probabilities[order])
    runner_up, distance = _evidence(assignment, ids, p, numbers)
    doc = read_manifest(assignment)
    named = [labels.get(i) for i in ids.tolist()]
    classes = sorted({c for c in named if c is not None})
    number = {c: n for n, c in enumerate(classes)}
    where = {r.id: r for r in load_index(index)}
    space = Features.load(embedding) if embedding else None
    return Rows(
        ids,
        clustering.splits[order],
        clusters[order],
        p,
        confidence[order],
        runner_up,
        distance,
        np.array([-1 if c is None else number[c] for c in named], np.int64),
        classes,
        np.asarray(space.at(ids)[:, :2], np.float32) if space else None,
        [where[i] for i in ids.tolist()],
        int(doc["rows"]),
        [int(doc["sizes"][c]) for c in numbers],
        numbers.tolist(),
    )


def _evidence(
    assignment: Path, ids: np.ndarray, p: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Second choice and distance of every image, from the table beside the assignment.

    Where the table has none: the second most probable cluster, and what confidence lacks of one.
    """

    table = {r["id"]: r for r in read_csv(assignment / "assignment.csv")}
    if "distance" in next(iter(table.values()), {}):
        mine = [table[i] for i in ids.tolist()]
        second = np.array([int(r["runner_up"]) for r in mine])
        at = np.searchsorted(numbers, second).clip(max=len(numbers) - 1)
        runner_up = np.where(numbers[at] == second, at, NONE)  # of very many, it may not be shown
        return runner_up, np.array([float(r["distance"]) for r in mine])
    return np.argsort(-p, axis=1, kind="stable")[:, 1], 1 - p.max(1)


def columns(rows: Rows, content: str) -> dict[str, Any]:
    """The rows as JSON values: texts as they are, numbers as base64 of little-endian integers.

    `x` and `y` are uint16 over the range of both axes together, so that the aspect stays;
    `confidence` is uint16 in 65535ths; `cluster`, `runner_up` and `label` are uint16, `NONE`
    where there is no label.

    Parameters
    ----------
    rows : Rows
        The images.
    content : str
        `images` or `texts`, as the index has it.

    Examples
    --------
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> list(columns(rows, "images"))
    ['id', 'cluster', 'runner_up', 'confidence', 'label', 'val', 'distance', 'file']
    """

    out: dict[str, Any] = {
        "id": rows.ids.tolist(),
        "cluster": packed(rows.clusters),
        "runner_up": packed(rows.runner_up),
        "confidence": packed(np.round(rows.confidence * 65535)),
        "label": packed(np.where(rows.labels < 0, NONE, rows.labels)),
        "val": packed(rows.splits == "val"),
        "distance": packed(np.round(np.clip(rows.distance, 0, 6.5) * 10_000)),
    }
    if rows.xy is not None:
        low = rows.xy.min(0)
        span = max(float((rows.xy.max(0) - low).max()), 1e-12)
        x, y = np.round((rows.xy - low) / span * 65535).T
        out |= {"x": packed(x), "y": packed(y)}
    if content == "texts":
        texts = read_texts(rows.stored)
        length = max(20, min(TEXT_LENGTH, TEXT_BUDGET // max(1, len(texts))))
        out["text"] = [t if len(t) <= length else t[: length - 1] + "…" for t in texts]
    else:
        out["file"] = [_file(r) for r in rows.stored]
    return out


def _file(row: ImageRow) -> str:
    """The name that a person knows the image by, where the id is another; else empty."""
    name = row.member if not row.source.endswith(".npy") else ""
    name = name or (Path(row.source).name if not row.source.endswith(".npy") else "")
    return "" if name == row.id else name


def packed(values: Any) -> str:
    """Whole numbers from 0 to 65535, (n,), as base64 of little-endian uint16.

    Examples
    --------
    >>> packed([0, 1, 65535])
    'AAABAP//'
    """

    return base64.b64encode(np.asarray(values).astype("<u2").tobytes()).decode()


def packed32(values: Any) -> str:
    """Whole numbers below 2^32, of any shape, as base64 of little-endian uint32, row by row.

    Examples
    --------
    >>> packed32([0, 65536])
    'AAAAAAAAAQA='
    """
    return base64.b64encode(np.asarray(values).astype("<u4").tobytes()).decode()
