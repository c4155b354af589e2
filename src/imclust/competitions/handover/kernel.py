"""A run as a notebook that a code competition scores without a network, and its two datasets.

Layout: Kaggle's metadata files for kernels and datasets (kaggle.com/docs/api).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path
from string import Template
from typing import Any

from imclust.competitions.handover import hidden
from imclust.competitions.handover.build import SOURCE, build
from imclust.competitions.handover.facts import REGISTRIES
from imclust.competitions.handover.hidden import (
    KNOWN,
    SETTING,
    HiddenTest,
    Mode,
    known_artefacts,
    read_by_prediction,
)
from imclust.competitions.handover.run import Package
from imclust.competitions.ledger import Row
from imclust.competitions.replay_plan import ReplayPlan
from imclust.core.code_digest import import_closure
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


@dataclass(frozen=True)
class KernelSettings:
    """What the notebook is for.

    Parameters
    ----------
    competition : str
        Kaggle's slug.
    owner : str
        The account that will own notebook and datasets.
    mode : 'fit' or 'predict'
        Cluster the hidden images anew, or give them the clusters of the run.
    file : str
        The submission's name.
    gpu : bool
        Whether the notebook asks for one.
    wheels : bool
        Whether the packages travel, too.
    without : tuple of str
        Packages that the competition's image has: they do not travel.
    python : str
        Of the target, such as 3.11.
    platform : str
        Of the target, as wheels name it.
    """

    competition: str
    owner: str
    mode: Mode = "fit"
    file: str = "submission.csv"
    gpu: bool = False
    wheels: bool = True
    without: tuple[str, ...] = ()
    python: str = "3.11"
    platform: str = "manylinux_2_28_x86_64"


def build_kernel(folder: Path, plan: ReplayPlan, rows: list[Row], cfg: KernelSettings) -> None:
    """Fill an empty folder with `kernel`, `model` and, unless left out, `wheels`.

    Parameters
    ----------
    folder : Path
        where.
    plan : ReplayPlan
        How the submission was made.
    rows : list of Row
        Its rows in the ledger.
    cfg : KernelSettings
        What for.

    Raises
    ------
    InputError
        The hidden images cannot be treated so, or a package has no wheel for the target.
    """
    slug = slug_of(plan, cfg)
    names = {part: f"{slug}-{part}" for part in ("model", *(["wheels"] if cfg.wheels else []))}
    model = folder / "model"
    model.mkdir()
    build(model, plan, rows)
    test = _hidden_test(plan, cfg)
    _write(model / SETTING, _json(asdict(test)))
    if odd := read_by_prediction(Package.load(model)):
        do = "make a run without it"
        raise input_error("a run for hidden images", "one upon their files alone", odd, do)
    if cfg.mode == "predict":
        for path in known_artefacts(plan.base / test.clusters):
            _copy_known(path, model / KNOWN / path.relative_to(plan.base))
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
    for part, name in names.items():
        doc = {
            "title": name, "id": f"{cfg.owner}/{name}", "licenses": [{"name": "other"}],
            "description": f"{part} of the notebook {slug} [{TAG} {contents[part]}]",
        }  # fmt: skip
        _write(folder / part / METADATA, _json(doc))
    _write(folder / ROW, _json(asdict(_row(folder / "kernel" / "run.ipynb", test, plan, rows))))


def _row(notebook: Path, test: HiddenTest, plan: ReplayPlan, rows: list[Row]) -> Row:
    """What the ledger is told of the notebook: as of the run's own submission."""
    run = Path(plan.submission).name
    challenge = plan.docs[test.index]["challenge"]
    own = next((r for r in rows if r.file == "submission.csv"), Row(challenge, run))
    fresh = dict.fromkeys(("board", "ref", "public", "private", "rank", "sent", "scored"), "")
    fresh |= {"validation": "", "message": "", "state": "written", "file": notebook.name}
    return replace(own, sha256=file_digest(notebook), **fresh)


def content_digest(folder: Path) -> str:
    """What tells the content of a data set's folder: 16 hexadecimal digits."""
    sums = {name: at for name, at in file_sums(folder).items() if name != METADATA}
    return sums_digest(sums)[:16]


def slug_of(plan: ReplayPlan, cfg: KernelSettings) -> str:
    """Of the notebook: after competition and run, short enough for Kaggle, its own for each run."""
    run = Path(plan.submission).name
    digest = hashlib.sha256(f"{cfg.competition} {plan.submission}".encode()).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", f"{cfg.competition}-{run}".lower()).strip("-")
    return f"{plain[: LONGEST - len('--wheels') - len(digest)].strip('-')}-{digest}"


def _hidden_test(plan: ReplayPlan, cfg: KernelSettings) -> HiddenTest:
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


def packages_of(plan: ReplayPlan, without: tuple[str, ...] = ()) -> list[str]:
    """`name==version` of the packages that the run's stages import, those of `without` left out.

    Parameters
    ----------
    plan : ReplayPlan
        Of the run.
    without : tuple of str
        Names as pip has them.
    """
    stages = {f"imclust.stages.{step.argv[0]}" for step in plan.steps}
    closure = import_closure(*stages, *_methods(plan), "imclust.__main__", hidden.__name__)
    known = packages_distributions()
    found = {d for module in closure for top in _imported(module) for d in known.get(top, ())}
    skipped = {_pip_name(name) for name in ("imclust", *without)}
    return sorted(f"{d}=={version(d)}" for d in found if _pip_name(d) not in skipped)


def _methods(plan: ReplayPlan) -> set[str]:
    """Modules of the challenge, encoders, reducers and clusterers of a run."""
    found = set()
    for doc in plan.docs.values():
        name = doc["config"].get("method") or doc["config"].get("challenge")
        registry = REGISTRIES.get(doc["kind"])
        if registry is not None and name in {entry.name for entry in registry}:
            found.add(registry[name].method.__module__)
    return found


def _pip_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(module: str) -> set[str]:
    """Top-level names that a module imports, in functions too."""
    below = SOURCE.joinpath(*module.split(".")[1:])
    path = below / "__init__.py" if below.is_dir() else below.with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def fetch_wheels(to: Path, packages: list[str], cfg: KernelSettings) -> None:
    """`pip download` of the packages and of what they need, for the target alone.

    Raises
    ------
    InputError
        One of them has no wheel for it.
    """
    to.mkdir()
    tags = [word for tag in platform_tags(cfg.platform) for word in ("--platform", tag)]
    target = ("--only-binary=:all:", "--python-version", cfg.python, *tags)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(to), *target]
    if cfg.without:  # whatever would bring one of them in comes alone, with its other needs named
        packages = _needs(packages, {_pip_name(name) for name in cfg.without})
        command.append("--no-deps")
    done = subprocess.run([*command, *packages], capture_output=True, text=True)
    if done.returncode:
        said = next((s for s in done.stderr.splitlines() if "ERROR" in s), done.stderr[-200:])
        raise input_error(
            "every package of the run", f"a wheel for Python {cfg.python} on {cfg.platform}",
            said.removeprefix("ERROR: "), "leave it out by --without where the image has it",
        )  # fmt: skip


def platform_tags(platform: str) -> list[str]:
    """The tags of wheels that run on a platform: of older C libraries too (PEP 600).

    Examples
    --------
    >>> platform_tags("manylinux_2_6_x86_64")
    ['manylinux_2_6_x86_64', 'manylinux_2_5_x86_64', 'manylinux1_x86_64']
    """
    found = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", platform)
    if found is None:
        return [platform]
    names = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    tags = []
    for minor in range(int(found[1]), 4, -1):
        tags.append(f"manylinux_2_{minor}_{found[2]}")
        if minor in names:
            tags.append(f"{names[minor]}_{found[2]}")
    return tags


def _needs(packages: list[str], skipped: set[str]) -> list[str]:
    """The packages and all that they need here, pinned, but for those skipped and their needs."""
    found: dict[str, str] = {}
    waiting = [p.split("==")[0] for p in packages]
    while waiting:
        name = _pip_name(waiting.pop())
        if name in found or name in skipped:
            continue
        try:
            found[name] = f"{name}=={version(name)}"
        except ModuleNotFoundError:  # for another platform
            continue
        for line in requires(name) or ():
            if "extra ==" not in line:
                waiting.append(re.split(r"[^\w.-]", line, maxsplit=1)[0])
    return sorted(found.values())


def _write_kernel(
    to: Path, slug: str, text: str, names: dict[str, str], cfg: KernelSettings
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
        "id": f"{cfg.owner}/{slug}", "title": slug, "code_file": "run.ipynb",
        "language": "python", "kernel_type": "notebook", "is_private": True,
        "enable_gpu": cfg.gpu, "enable_tpu": False, "enable_internet": False,
        "dataset_sources": [f"{cfg.owner}/{name}" for name in names.values()],
        "competition_sources": [cfg.competition], "kernel_sources": [], "model_sources": [],
    }  # fmt: skip
    _write(to / "kernel-metadata.json", _json(doc))


def _json(doc: Any) -> str:
    return json.dumps(doc, indent=1, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
