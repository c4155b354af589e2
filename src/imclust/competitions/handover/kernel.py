"""A run as a notebook that a code competition scores without a network, and its two datasets.

Layout: Kaggle's metadata files for kernels and datasets (kaggle.com/docs/api).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from string import Template
from typing import Any

from imclust.competitions.handover.build import build
from imclust.competitions.handover.hidden import (
    KNOWN,
    SETTING,
    HiddenTest,
    known_artefacts,
    read_by_prediction,
)
from imclust.competitions.handover.run import Package
from imclust.competitions.handover.settings import NotebookSettings
from imclust.competitions.handover.wheels import fetch_wheels, packages_of
from imclust.competitions.ledger import Row
from imclust.competitions.replay_plan import ReplayPlan
from imclust.core.errors import input_error
from imclust.core.manifest import (
    MANIFEST,
    file_digest,
    file_sums,
    read_manifest,
    sums_digest,
    write_manifest,
)
from imclust.core.records import read_csv, write_csv

ROW = "row.json"  # beside them: what the ledger is told when it is sent
METADATA = "dataset-metadata.json"
TAG = "imclust"  # what tells data sets and versions of ours, before the digest of their content
FREE_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"}
LONGEST = 50  # characters of a slug or title
NOTEBOOK_BYTES = 1_000_000
RUN = Template('''\
"""$title: clusters the test images that it finds, without a network.

Its data sets: $contents.
"""

import os
import subprocess
import sys
from pathlib import Path

INPUT = Path(os.environ.get("KAGGLE_INPUT", "/kaggle/input"))
WORKING = Path(os.environ.get("KAGGLE_WORKING", "/kaggle/working"))


def attached(slug):
    """The folder of an attached competition or dataset, in either of Kaggle's layouts."""
    found = [INPUT / slug, INPUT / "competitions" / slug, *INPUT.glob(f"datasets/*/{slug}")]
    for folder in found:
        if folder.is_dir():
            return folder
    sys.exit(f"{slug} must be attached to this notebook; found {sorted(os.listdir(INPUT))}")


model = attached("$model")
wheels = "$wheels"
if wheels:
    offline = ["--no-index", "--find-links", str(attached(wheels)), "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, *$packages], check=True)
environment = {**os.environ, "PYTHONPATH": str(model / "src")}
hidden = [sys.executable, "-m", "imclust.competitions.handover.hidden"]
where = [str(model), str(attached("$competition")), str(WORKING)]
subprocess.run([*hidden, *where], env=environment, check=True)
''')


def build_kernel(folder: Path, plan: ReplayPlan, rows: list[Row], cfg: NotebookSettings) -> None:
    """Fill an empty folder with `kernel`, `model` and, unless left out, `wheels`.

    Parameters
    ----------
    folder : Path
        where.
    plan : ReplayPlan
        How the submission was made.
    rows : list of Row
        Its rows in the ledger.
    cfg : NotebookSettings
        What for.

    Raises
    ------
    InputError
        The hidden images cannot be treated so, or a package has no wheel for the target.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> settings = NotebookSettings(kernel=True, to="kaggle:dunes", owner="me", wheels=False)
    >>> build_kernel(Path(), plan_of(Path("submissions/first")), [], settings)
    >>> sorted(path.name for path in Path("kernel").iterdir())
    ['kernel-metadata.json', 'run.ipynb', 'run.py']
    """
    slug = _slug_of(plan, cfg)
    names = {part: f"{slug}-{part}" for part in ("model", *(["wheels"] if cfg.wheels else []))}
    build_model(folder / "model", plan, rows, cfg)
    packages = packages_of(plan, cfg.without)
    if cfg.wheels:
        fetch_wheels(folder / "wheels", packages, cfg)
    contents = {part: content_digest(folder / part) for part in names}
    text = RUN.substitute(
        title=slug, contents=", ".join(f"{part} {contents[part]}" for part in names),
        model=names["model"], wheels=names.get("wheels", ""),
        packages=packages, competition=cfg.competition,
    )  # fmt: skip
    _write_kernel(folder / "kernel", slug, text, names, cfg)
    licences = "; ".join(f"{name}: {text}" for name, text in _licences_of(plan).items())
    for part, name in names.items():
        about = f", weights of {licences}" if part == "model" and licences else ""
        doc = {
            "title": name, "id": f"{cfg.account}/{name}", "licenses": [{"name": "other"}],
            "description": f"{part} of the notebook {slug}{about} [{TAG} {contents[part]}]",
        }  # fmt: skip
        _write(folder / part / METADATA, _json(doc))
    row = asdict(_row(folder / "kernel" / "run.ipynb", plan, rows))
    _write(folder / ROW, _json({"row": row, "kernel": content_digest(folder / "kernel")}))


def build_model(to: Path, plan: ReplayPlan, rows: list[Row], cfg: NotebookSettings) -> None:
    """The source, the weights and the commands of a run for hidden images, in a new folder.

    Parameters
    ----------
    to : Path
        The folder.
    plan : ReplayPlan
        How the submission was made.
    rows : list of Row
        Its rows in the ledger.
    cfg : NotebookSettings
        What for.

    Raises
    ------
    InputError
        The hidden images cannot be treated so.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> build_model(Path("hidden"), plan_of(Path("submissions/first")), [], NotebookSettings())
    >>> json.loads(Path("hidden/kernel.json").read_text())["clusters"]
    'run/clusters'
    """
    licences = _licences_of(plan)
    closed = {name: text for name, text in licences.items() if text not in FREE_LICENCES}
    if closed and not cfg.allow_licence:
        allowed = f"of a licence that lets them be handed on ({', '.join(sorted(FREE_LICENCES))})"
        got = ", ".join(f"{name}: {text}" for name, text in closed.items())
        do = "read it, then take --allow-licence or another network"
        raise input_error("pretrained weights", allowed, got, do)
    to.mkdir()
    build(to, plan, rows)
    test = _hidden_test(plan, cfg)
    _write(to / SETTING, _json(asdict(test)))
    if odd := read_by_prediction(Package.load(to)):
        do = "make a run without it"
        raise input_error("a run for hidden images", "one upon their files alone", odd, do)
    if cfg.mode == "predict":
        for path in known_artefacts(plan.base / test.clusters):
            _copy_known(path, to / KNOWN / path.relative_to(plan.base))


def _licences_of(plan: ReplayPlan) -> dict[str, str]:
    """What the publishers of a run's pretrained weights say, by the file that they came from."""
    docs = [doc for doc in plan.docs.values() if "weights_from" in doc]
    return {doc["weights_from"]: doc.get("licence", "unknown") for doc in docs}


def _row(notebook: Path, plan: ReplayPlan, rows: list[Row]) -> Row:
    """What the ledger is told of the notebook: as of the run's own submission."""
    run = Path(plan.submission).name
    challenge = next(d["challenge"] for d in plan.docs.values() if d["kind"] == "index")
    own = next((r for r in rows if r.file == "submission.csv"), Row(challenge, run))
    fresh = dict.fromkeys(("board", "ref", "public", "private", "rank", "sent", "scored"), "")
    fresh |= {"validation": "", "message": "", "state": "written", "file": notebook.name}
    return replace(own, sha256=file_digest(notebook), **fresh)


def content_digest(folder: Path) -> str:
    """What tells the content of a data set's folder: 16 hexadecimal digits.

    Examples
    --------
    >>> _ = shutil.copytree("photos", "same")
    >>> _ = Path("same", METADATA).write_text("{}")  # does not count
    >>> content_digest(Path("same")) == content_digest(Path("photos"))
    True
    """
    sums = {name: at for name, at in file_sums(folder).items() if name != METADATA}
    return sums_digest(sums)[:16]


def _slug_of(plan: ReplayPlan, cfg: NotebookSettings) -> str:
    """Of the notebook: after competition and run, short enough for Kaggle, its own for each run."""
    run = Path(plan.submission).name
    digest = hashlib.sha256(f"{cfg.competition} {plan.submission}".encode()).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", f"{cfg.competition}-{run}".lower()).strip("-")
    return f"{plain[: LONGEST - len('--wheels') - len(digest)].strip('-')}-{digest}"


def _hidden_test(plan: ReplayPlan, cfg: NotebookSettings) -> HiddenTest:
    doc = plan.docs[plan.submission]
    at = {
        role: os.path.normpath(os.path.join(plan.submission, there))
        for role, there in doc["inputs_at"].items()
    }
    clusters = at["assignment"]
    inputs = plan.docs[clusters]["inputs_at"]
    features = tuple(
        os.path.normpath(os.path.join(clusters, there))
        for role, there in inputs.items()
        if role.startswith("features")
    )
    folders = tuple(Path(p).name for p in plan.user if Path(p).is_dir())
    return HiddenTest(cfg.mode, cfg.file, folders, clusters, features, at["index"])


def _copy_known(source: Path, to: Path) -> None:
    """An artefact for `predict`: its files, and a manifest, without paths of this machine."""
    shutil.copytree(source, to, ignore=shutil.ignore_patterns(MANIFEST))
    doc = read_manifest(source)
    if doc["kind"] == "index":
        rows = read_csv(to / "index.csv")
        plain = [{**row, "source": Path(row["source"]).name} for row in rows]
        write_csv(to / "index.csv", tuple(rows[0]), (tuple(row.values()) for row in plain))
        doc["files"] = file_sums(to)
        doc["digest"] = sums_digest(doc["files"])
        doc["config"] = {k: v for k, v in doc["config"].items() if k == "challenge"}
    write_manifest(to, doc | {"argv": []})


def _write_kernel(
    to: Path, slug: str, text: str, names: dict[str, str], cfg: NotebookSettings
) -> None:
    to.mkdir()
    _write(to / "run.py", text)
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code", "execution_count": None, "id": "run", "metadata": {},
            "outputs": [], "source": text.splitlines(keepends=True),
        }
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    _write(to / "run.ipynb", _json(notebook | {"nbformat_minor": 5}))
    if (size := (to / "run.ipynb").stat().st_size) > NOTEBOOK_BYTES:
        do = "shorten --without"
        raise input_error("the notebook", f"at most {NOTEBOOK_BYTES} bytes", size, do)
    doc = {
        "id": f"{cfg.account}/{slug}", "title": slug, "code_file": "run.ipynb",
        "language": "python", "kernel_type": "notebook", "is_private": True,
        "enable_gpu": cfg.gpu, "enable_tpu": False, "enable_internet": False,
        "dataset_sources": [f"{cfg.account}/{name}" for name in names.values()],
        "competition_sources": [cfg.competition], "kernel_sources": [], "model_sources": [],
    }  # fmt: skip
    _write(to / "kernel-metadata.json", _json(doc))


def _json(doc: Any) -> str:
    return json.dumps(doc, indent=1, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
