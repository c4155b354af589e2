"""FiftyOne: a classification dataset on disk that leaves the images where they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from imclust.core.files import new_folder
from imclust.report.exports import EXPORTS, image_files, label_names
from imclust.report.finished_run import FinishedRun


@dataclass(frozen=True)
class FiftyOneConfig:
    """FiftyOneImageClassificationDataset: labels with confidence, and where the images lie."""


@EXPORTS.register(
    "fiftyone", FiftyOneConfig, paper="docs.voxel51.com: FiftyOneImageClassificationDataset"
)
def fiftyone(run: FinishedRun, out: Path, cfg: FiftyOneConfig) -> str:
    """A folder with labels.json (label and confidence of every image) and data.json (its file).

    Examples
    --------
    >>> how = fiftyone(FinishedRun.load(Path("run")), Path("for-fiftyone"), FiftyOneConfig())
    >>> json.loads(Path("for-fiftyone/labels.json").read_text())["classes"]
    ['cluster 0', 'cluster 1']
    """
    labels = label_names(run.clustering)
    files = image_files(run, "FiftyOne")
    rows = run.clustering.rows
    found = {
        str(n): {"label": labels[row.cluster], "confidence": row.confidence}
        for n, row in enumerate(rows)
    }
    where = {str(n): str(file) for n, file in enumerate(files)}
    with new_folder(out) as fresh:
        doc = {"classes": labels, "labels": found}
        (fresh / "labels.json").write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
        (fresh / "data.json").write_text(json.dumps(where, indent=1) + "\n", encoding="utf-8")
    return (
        f"fiftyone.Dataset.from_dir({str(out)!r}, data_path='data.json', label_field='cluster', "
        "dataset_type=fiftyone.types.FiftyOneImageClassificationDataset)"
    )
