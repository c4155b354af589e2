"""Building a hand-over: what runs is copied without paths of ours, and its pages filled in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from imclust.competitions.handover import pages as texts
from imclust.competitions.handover.facts import facts_of
from imclust.competitions.handover.run import (
    SETTINGS,
    SHIPPED,
    STEPS,
    described,
    predict,
    prepare_data,
    train,
)
from imclust.competitions.ledger import Row
from imclust.competitions.replay_plan import USER, WORK, ReplayPlan
from imclust.core.errors import input_error
from imclust.core.files import MARK, files_below, replaced_file
from imclust.core.manifest import (
    file_digest,
    file_sums,
    read_manifest,
    sums_digest,
    write_manifest,
)

SOURCE = Path(__file__).parents[2]
CHECKOUT = SOURCE.parents[1]
CHECKPOINTS = "checkpoint_*"


def build(folder: Path, plan: ReplayPlan, rows: list[Row]) -> None:
    """Fill an empty folder.

    Parameters
    ----------
    folder : Path
        where.
    plan : ReplayPlan
        How the submission was made.
    rows : list[Row]
        Its rows in the ledger.

    Raises
    ------
    InputError
        Imclust runs without its checkout, or a file that would be shipped has gone.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> Path("package").mkdir()
    >>> build(Path("package"), plan_of(Path("submissions/first")), [])
    >>> sorted(path.name for path in Path("package").glob("*.py"))
    ['predict.py', 'prepare_data.py', 'train.py']
    """
    steps = described(plan)
    _write(folder / STEPS, _json(steps))
    _write(
        folder / "SETTINGS.json", _json({name: f"./{place}" for name, place in SETTINGS.items()})
    )
    _copy_source(folder)
    for act in (prepare_data, train, predict):
        text = (act.__doc__ or "").strip().splitlines()[0]
        entry = texts.ENTRY.substitute(text=text, name=act.__name__)
        _write(folder / f"{act.__name__}.py", entry)
    _copy_models(folder / "models", plan, steps)
    _copy_submission(plan, folder / SHIPPED)
    facts = facts_of(plan, steps, rows)
    pages = {"README.md": texts.README, "entry_points.md": texts.ENTRY_POINTS}
    for name, page in (pages | {"MODEL_SUMMARY.md": texts.SUMMARY}).items():
        _write(folder / name, page.substitute(facts))
    names = [name for name in files_below(folder) if name != MARK]
    _write(
        folder / "directory_structure.txt", "\n".join([*names, "directory_structure.txt"]) + "\n"
    )


def _copy_source(folder: Path) -> None:
    needed = ("requirements.txt", "pyproject.toml")
    if missing := [name for name in needed if not (CHECKOUT / name).is_file()]:
        raise input_error(
            "imclust", "run from its repository to be packaged", f"no {missing[0]} in {CHECKOUT}",
            "install it with pip install -e",
        )  # fmt: skip
    for name in needed:
        shutil.copyfile(CHECKOUT / name, folder / name)
    for path in sorted(p for p in SOURCE.rglob("*") if p.is_file()):
        if path.parent.name == "__pycache__":
            continue
        to = folder / "src" / "imclust" / path.relative_to(SOURCE)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    (folder / "scripts").mkdir()
    for path in sorted((CHECKOUT / "scripts").glob("*.*")):
        shutil.copyfile(path, folder / "scripts" / path.name)


def _copy_models(models: Path, plan: ReplayPlan, steps: dict[str, Any]) -> None:
    """The weights; of what they were made from, the manifests: where they came from stays told."""
    before = set(steps["training"])
    upstream = [o for n in sorted(before) for o in plan.steps[n].outputs]
    words = {o: step["argv"] for step in steps["steps"] for o in step["outputs"]}
    for name in upstream:
        source, to = plan.base / name, models / name
        to.mkdir(parents=True, exist_ok=True)
        doc = _scrubbed(plan.docs[name], plan)
        doc["argv"] = [w.replace(USER, "${RAW_DATA_DIR}") for w in words[name]]
        if name in steps["weights"]:
            _copy_artefact(source, to, doc, plan)
        write_manifest(to, doc)
    for name in plan.given:
        source, to = plan.base / name, models / name
        to.mkdir(parents=True, exist_ok=True)
        doc = _scrubbed(read_manifest(source), plan)
        _copy_artefact(source, to, doc, plan)
        write_manifest(to, doc)


def _copy_artefact(source: Path, to: Path, doc: dict[str, Any], plan: ReplayPlan) -> None:
    """The files of an artefact but its checkpoints; brings the manifest up to date."""
    for name in doc["files"]:
        if Path(name).match(CHECKPOINTS):
            continue
        if not (source / name).is_file():
            raise input_error(
                str(source / name), "there to be shipped", "nothing", "run its stage again"
            )
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, to / name)
        if name.endswith(".safetensors"):
            _scrub_header(to / name, plan)
    doc["files"] = file_sums(to)
    doc["digest"] = sums_digest(doc["files"])


def _scrub_header(path: Path, plan: ReplayPlan) -> None:
    """Take this machine's paths out of the facts in a safetensors file; tensors stay."""
    with path.open("rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    facts = header.get("__metadata__", {}).get("imclust")
    if facts is None:
        return
    clean = json.dumps(_scrubbed(json.loads(facts), plan), sort_keys=True)
    if clean == facts:
        return
    header["__metadata__"]["imclust"] = clean
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replaced_file(path) as fresh, path.open("rb") as f, fresh.open("wb") as out:
        f.seek(8 + size)
        out.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(f, out, 1 << 20)


def _scrubbed(value: Any, plan: ReplayPlan) -> Any:
    """JSON without absolute paths: the user's data by name, artefacts below ${WORK}."""
    if isinstance(value, dict):
        return {k: _scrubbed(v, plan) for k, v in value.items()}
    if isinstance(value, list):
        return [_scrubbed(v, plan) for v in value]
    if not isinstance(value, str):
        return value
    for path in sorted(plan.user, key=len, reverse=True):
        value = value.replace(path, f"${{RAW_DATA_DIR}}/{Path(path).name}")
    value = value.replace(str(plan.base), WORK)
    return Path(value).name if value.startswith("/") else value


def _copy_submission(plan: ReplayPlan, to: Path) -> None:
    to.mkdir()
    lines = []
    for path in sorted((plan.base / plan.submission).glob("*.csv")):
        shutil.copyfile(path, to / path.name)
        lines.append(f"{file_digest(path)}  {path.name}\n")
    _write(to / "SHA256SUMS", "".join(lines))


def _json(doc: Any) -> str:
    return json.dumps(doc, indent=1, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
