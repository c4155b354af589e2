"""Label Studio: tasks with the clusters as predictions, and the labelling interface for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from imclust._version import __version__
from imclust.core.files import new_folder
from imclust.report.exports import EXPORTS, image_files, label_names
from imclust.report.finished_run import FinishedRun

FROM, TO, FIELD = "cluster", "image", "image"


@dataclass(frozen=True)
class LabelStudioConfig:
    """tasks.json and config.xml of Label Studio; the clusters are predictions to be corrected."""


@EXPORTS.register(
    "label-studio", LabelStudioConfig, paper="labelstud.io/guide/predictions and /guide/storage"
)
def label_studio(run: FinishedRun, out: Path, cfg: LabelStudioConfig) -> str:
    """A folder with both files; images are served as local files of their own folder.

    Examples
    --------
    >>> how = label_studio(FinishedRun.load(Path("run")), Path("studio"), LabelStudioConfig())
    >>> json.loads(Path("studio/tasks.json").read_text())[0]["data"]["file"]
    'dune/00.png'
    """
    root = run.data.parent
    labels = label_names(run.clustering)
    files = image_files(run, "Label Studio")
    tasks = []
    for row, file in zip(run.clustering.rows, files, strict=True):
        choice: dict[str, Any] = {"from_name": FROM, "to_name": TO, "type": "choices"}
        choice |= {"value": {"choices": [labels[row.cluster]]}}
        guess = {"model_version": f"imclust {__version__}", "score": row.confidence}
        at = quote(file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file))
        data = {FIELD: f"/data/local-files/?d={at}", "file": row.file}
        tasks.append({"data": data, "predictions": [{**guess, "result": [choice]}]})
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
    config = (
        f'<View>\n  <Image name="{TO}" value="${FIELD}"/>\n'
        f'  <Choices name="{FROM}" toName="{TO}" choice="single" showInLine="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )
    with new_folder(out) as fresh:
        (fresh / "tasks.json").write_text(json.dumps(tasks, indent=1) + "\n", encoding="utf-8")
        (fresh / "config.xml").write_text(config, encoding="utf-8")
    return (
        "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}, paste config.xml as the labelling "
        f"interface, add {run.data} as local storage, import tasks.json"
    )
