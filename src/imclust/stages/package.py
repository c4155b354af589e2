"""`package`: the winner's hand-over, as Kaggle and DrivenData ask for it."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

import tyro

from imclust.competitions.handover.attempt import attempt, competition_data
from imclust.competitions.handover.build import build
from imclust.competitions.handover.kernel import build_kernel
from imclust.competitions.handover.lab import build_docker, build_slurm
from imclust.competitions.handover.settings import NotebookSettings
from imclust.competitions.ledger import LOG, folder_of, read
from imclust.competitions.replay_plan import plan_of
from imclust.core.errors import input_error
from imclust.core.files import new_folder, replaced_file
from imclust.core.log import say

NEXT = {  # target -> what to type then
    "kaggle": "show what would be sent to Kaggle: python -m imclust push {out}",
    "docker": "in {out}, on hidden images: DATA=IMAGES OUT=RESULTS docker compose run --rm imclust",
    "slurm": "on hidden images, on the cluster: bash {out}/submit.sh IMAGES RESULTS",
}
BUILD = {"kaggle": build_kernel, "docker": build_docker, "slurm": build_slurm}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say


@dataclass(frozen=True)
class Package:
    """Put a submission with its source, weights, settings and papers into one folder that runs."""

    submission: tyro.conf.Positional[Path]
    """The `submission` artefact, for example submissions/photos/conv-ae-homework-seed0."""
    out: Path | None = None
    """The new folder; data/packages/<data set>/<run> unless given."""
    zip: bool = False
    """Write <out>.zip instead of a folder; the same bytes every time."""
    log: Path = LOG
    """The ledger, for score and rank."""
    notebook: NotebookSettings = field(default_factory=NotebookSettings)
    """Of --kernel."""

    def __post_init__(self) -> None:
        self.notebook.check(zipped=self.zip)


def run(cfg: Package) -> None:
    """Read a `submission` and all that it was made from, write a folder that makes it elsewhere.

    Raises
    ------
    InputError
        Something is at --out already, or the submission cannot be made again.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("package submissions/first --out package".split())
    package: package
    Fill in what MODEL_SUMMARY.md marks with TODO before you hand it over.
    0
    """
    plan = plan_of(cfg.submission)
    out = cfg.out or Path("data/packages", *(plan.base / plan.submission).parts[-2:])
    target = out.with_name(out.name + ".zip") if cfg.zip else out
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        got = "something there already"
        raise input_error(str(target), "a new place", got, "set --out to another place")
    home = (plan.base / plan.submission).resolve()
    rows = [r for r in read(cfg.log) if r.submission and folder_of(r, cfg.log).resolve() == home]
    target.parent.mkdir(parents=True, exist_ok=True)
    if cfg.notebook.kernel:
        if cfg.notebook.attempt:
            competition_data(plan)  # refuses what cannot be tried
        with new_folder(out) as folder:
            BUILD[cfg.notebook.target](folder, plan, rows, cfg.notebook)
        for part in sorted(p for p in out.iterdir() if p.is_dir()):
            size = sum(p.stat().st_size for p in part.rglob("*") if p.is_file())
            say(f"{part.name}: {size / 2**20:.1f} MiB in {part}")
        if cfg.notebook.attempt:
            attempt(out, plan, cfg.notebook)
        say(NEXT[cfg.notebook.target].format(out=quote(str(out))))
        return
    if cfg.zip:
        with TemporaryDirectory() as folder, replaced_file(target) as fresh:
            build(Path(folder), plan, rows)
            _zip(Path(folder), fresh, out.name)
    else:
        with new_folder(out) as folder:
            build(folder, plan, rows)
    say(f"package: {target}")
    say("Fill in what MODEL_SUMMARY.md marks with TODO before you hand it over.")


def _zip(folder: Path, to: Path, name: str) -> None:
    """Sorted, of fixed times and modes: the same files are the same bytes."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as f:
                shutil.copyfileobj(source, f, 1 << 20)
