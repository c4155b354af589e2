"""COCO's JSON: a category a cluster, one annotation an image, around all of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imclust.core.files import replace_text
from imclust.report.exports import EXPORTS, label_names
from imclust.report.finished_run import FinishedRun


@dataclass(frozen=True)
class CocoConfig:
    """COCO's annotations: one box an image, as large as it, of the category of its cluster."""


@EXPORTS.register("coco", CocoConfig, paper="cocodataset.org/#format-data")
def coco(run: FinishedRun, out: Path, cfg: CocoConfig) -> str:
    """One JSON file; ids count from 1, and `file_name` is the path below the images' folder.

    Examples
    --------
    >>> how = coco(FinishedRun.load(Path("run")), Path("clusters.json"), CocoConfig())
    >>> json.loads(Path("clusters.json").read_text())["categories"][0]
    {'id': 1, 'name': 'cluster 0', 'supercategory': 'cluster'}
    """
    rows = run.clustering.rows
    images, annotations = [], []
    for n, (row, image) in enumerate(zip(rows, run.clustering.images, strict=True), 1):
        size = {"width": image.width, "height": image.height}
        images.append({"id": n, "file_name": row.file, **size})
        annotations.append({
            "id": n, "image_id": n, "category_id": row.cluster + 1, "iscrowd": 0,
            "bbox": [0, 0, image.width, image.height], "area": image.width * image.height,
            "segmentation": [], "score": row.confidence,
        })  # fmt: skip
    categories = [
        {"id": c + 1, "name": name, "supercategory": "cluster"}
        for c, name in enumerate(label_names(run.clustering))
    ]
    doc: dict[str, Any] = {
        "info": {"description": f"clusters of {run.data.name}, by imclust"},
        "licenses": [],
    }
    doc |= {"images": images, "annotations": annotations, "categories": categories}
    replace_text(out, json.dumps(doc, indent=1) + "\n")
    return f"pycocotools.coco.COCO({str(out)!r}); the images lie below {run.data}"
