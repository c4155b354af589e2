"""`package`: the winner's hand-over, as Kaggle and DrivenData ask for it."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

from imclust.competitions.handover.attempt import attempt, competition_data
from imclust.competitions.handover.build import build
from imclust.competitions.handover.hidden import Mode
from imclust.competitions.handover.kernel import KernelSettings, build_kernel
from imclust.competitions.ledger import LOG, folder_of, read
from imclust.competitions.replay_plan import plan_of
from imclust.core.errors import input_error
from imclust.core.files import new_folder, replaced_file
from imclust.core.log import say

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say


@dataclass(frozen=True)
class KernelFlags:
    """A notebook that a code competition runs without a network on its hidden images."""

    kernel: bool = False
    """Instead: such a notebook, and its two datasets, weights and wheels."""
    to: str | None = None
    """With --kernel: the competition, such as kaggle:some-slug."""
    owner: str | None = None
    """With --kernel: the account that it will belong to; KAGGLE_USERNAME unless given."""
    mode: Mode = "fit"
    """With --kernel: `fit` clusters the hidden images anew, `predict` gives them this run's
    clusters."""
    file: str = "submission.csv"
    """With --kernel: the submission's name, as the competition wants it."""
    gpu: bool = False
    """With --kernel: ask for a GPU."""
    wheels: bool = True
    """With --kernel: the packages travel, too; without, the competition's image must have them."""
    without: tuple[str, ...] = ()
    """With --kernel: packages that the competition's image has, such as torch; they stay here."""
    python: str = "3.11"
    """With --kernel: the target's Python."""
    platform: str = "manylinux_2_28_x86_64"
    """With --kernel: the target's platform, as wheels name it."""
    attempt: bool = False
    """With --kernel: run it here, without a network, in both layouts of the input folder, and
    compare the bytes."""

    def check(self, *, zipped: bool) -> None:
        """Refuse what cannot be, before any work."""
        if not self.kernel:
            if self.to is not None or self.attempt:
                do = "add --kernel"
                raise input_error("--to and --attempt", "beside --kernel", "them alone", do)
            return
        service, _, slug = (self.to or "").partition(":")
        if service != "kaggle" or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", slug):
            allowed = "kaggle:<competition>, in small letters"
            raise input_error("--to", allowed, self.to or "nothing", "set it")
        if not re.fullmatch(r"[a-z0-9-]+", self.account):
            do = "set --owner or KAGGLE_USERNAME"
            raise input_error(
                "the owner of the notebook", "a Kaggle account", self.account or "none", do
            )
        if zipped:
            raise input_error("--zip", "left out with --kernel", "both", "leave one out")
        if Path(self.file).name != self.file or not self.file.endswith(".csv"):
            allowed, do = "the name of a .csv file", "give the name alone"
            raise input_error("--file", allowed, self.file, do)

    @property
    def account(self) -> str:
        """Whose the notebook will be."""
        return self.owner or os.environ.get("KAGGLE_USERNAME", "")

    def settings(self) -> KernelSettings:
        """For the builder."""
        slug = (self.to or "").partition(":")[2]
        names = ("mode", "file", "gpu", "wheels", "without", "python", "platform")
        return KernelSettings(slug, self.account, **{name: getattr(self, name) for name in names})


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
    notebook: KernelFlags = field(default_factory=KernelFlags)
    """Of --kernel."""

    def __post_init__(self) -> None:
        self.notebook.check(zipped=self.zip)


def run(cfg: Package) -> None:
    """Read a `submission` and all that it was made from, write a folder that makes it elsewhere.

    Raises
    ------
    InputError
        Something is at --out already, or the submission cannot be made again.
    """
    plan = plan_of(cfg.submission)
    out = cfg.out or Path("data/packages", *(plan.base / plan.submission).parts[-2:])
    target = out.with_name(out.name + ".zip") if cfg.zip else out
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        got = "something there already"
        raise input_error(str(target), "a new place", got, "delete it, or set --out")
    home = (plan.base / plan.submission).resolve()
    rows = [r for r in read(cfg.log) if r.submission and folder_of(r, cfg.log).resolve() == home]
    target.parent.mkdir(parents=True, exist_ok=True)
    if cfg.notebook.kernel:
        if cfg.notebook.attempt:
            competition_data(plan)  # refuses what cannot be tried
        with new_folder(out) as folder:
            build_kernel(folder, plan, rows, cfg.notebook.settings())
        for part in sorted(p for p in out.iterdir() if p.is_dir()):
            size = sum(p.stat().st_size for p in part.rglob("*") if p.is_file())
            say(f"{part.name}: {size / 2**20:.1f} MiB in {part}")
        if cfg.notebook.attempt:
            attempt(out, plan, cfg.notebook.settings())
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
