"""What no good assignment merely repeats: brightness, file size, row order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imclust.core.manifest import read_manifest
from imclust.core.records import rows_of_ids
from imclust.data.images import load_index, stored_bytes
from imclust.data.loader import Preprocessing, pixels

LOOKED_AT = 2000  # images that are opened for their brightness
SIDE = 16


def nuisances(index: Path, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (n,) float64 of the images with these ids; NaN where an image was not looked at.

    Brightness is read from at most LOOKED_AT images, evenly spaced; texts have none.

    Parameters
    ----------
    index : Path
        The `index` artefact.
    ids : np.ndarray
        (n,) str.

    Returns
    -------
    dict of str to np.ndarray
        `row order`; of images also `brightness`, 0 to 255, and `file size` in bytes where sizes
        differ.

    Examples
    --------
    >>> found = nuisances(Path("raw/index"), np.array(["dune/00.png", "lake/00.png"]))
    >>> found["row order"].tolist(), found["brightness"].round().tolist()
    ([0.0, 1.0], [132.0, 70.0])
    """

    order = np.arange(len(ids), dtype=np.float64)
    if read_manifest(index, "index")["content"] != "images":
        return {"row order": order}
    every = load_index(index)
    at = rows_of_ids(np.array([row.id for row in every]), ids)
    rows = [every[i] for i in at]
    found = {"row order": order}
    sizes = np.array([stored_bytes(row) for row in rows], np.float64)
    if len(np.unique(sizes)) > 1:
        found["file size"] = sizes
    looked = np.unique(np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).astype(int))
    brightness = np.full(len(rows), np.nan)
    small = Preprocessing(size=SIDE)
    for i in looked:
        brightness[i] = float(pixels(rows[i], small).mean())
    return found | {"brightness": brightness}
