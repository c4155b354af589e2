"""A code competition's notebook, tried on this machine as the competition will run it.

Its own environment, no network, an input folder in each of Kaggle's layouts, its own working
folder; the submission's bytes are compared with the run's, and a part of the images is tried too.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

import numpy as np

from imclust.competitions.handover.settings import NotebookSettings
from imclust.competitions.replay_plan import ReplayPlan
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import file_digest, read_manifest
from imclust.core.npy import open_npy
from imclust.core.wording import counted

LAYOUTS = ("{competition}", "competitions/{competition}")
TABLES = {".csv", ".json", ".parquet"}
DEAD = "http://127.0.0.1:9"  # nothing listens there


def attempt(folder: Path, plan: ReplayPlan, cfg: NotebookSettings) -> None:
    """Run the notebook of `build_kernel` here; says what it took and whether the bytes are equal.

    Parameters
    ----------
    folder : Path
        Of `build_kernel`.
    plan : ReplayPlan
        Of the run.
    cfg : NotebookSettings
        As for `build_kernel`.

    Raises
    ------
    InputError
        The notebook fails, or the same images come out otherwise.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> plan = plan_of(Path("submissions/first"))
    >>> attempt(Path("data/packages/first"), plan, NotebookSettings())  # doctest: +SKIP
    """
    data = competition_data(plan)
    expected = plan.base / plan.submission / "submission.csv"
    with TemporaryDirectory() as top:
        python = _environment(Path(top) / "environment") if cfg.wheels else sys.executable
        for layout in LAYOUTS:
            place = Path(top) / layout.format(competition="same").replace("/", "-")
            made, seconds = _run(place, folder, data, layout, cfg, python)
            if file_digest(made) != file_digest(expected):
                raise InputError(
                    f"The notebook must give the bytes of {expected} on the same images; got "
                    f"others in input/{layout.format(competition=cfg.competition)}; the weights or "
                    "the packages are not those of the run."
                )
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            rows = read_manifest(plan.base / plan.submission)["rows"]
            most = float(f"{rows * cfg.hours * 3600 / seconds:.1g}")
            say(
                f"input/{layout.format(competition=cfg.competition)}: same bytes, {seconds:.0f} s, "
                f"at most {peak:.1f} GiB; at this rate {cfg.hours:g} h are enough for roughly "
                f"{most:.0f} images"
            )
        part = Path(top) / "part"
        if _write_part([Path(p) for p in plan.user], part):
            made, seconds = _run(Path(top) / "other", folder, part, LAYOUTS[0], cfg, python)
            lines = made.read_text(encoding="utf-8").count("\n")
            say(f"other images, fewer of them: {counted(lines, 'line')}, {seconds:.0f} s")
        else:
            say(
                "other images were not tried: this data has tables beside its images, which would "
                "not fit a part of them"
            )


def competition_data(plan: ReplayPlan) -> Path:
    """The user's folder that stands for the competition's.

    Raises
    ------
    InputError
        The run read none, or several.

    Examples
    --------
    >>> from imclust.competitions.replay_plan import plan_of
    >>> competition_data(plan_of(Path("submissions/first"))).name
    'photos'
    """
    paths = [Path(p) for p in plan.user]
    if len(paths) == 1 and paths[0].is_dir():
        return paths[0]
    homes = {p.parent for p in paths}
    if len(homes) != 1:
        got = ", ".join(map(str, paths)) or "images that the challenge itself brings"
        do = "leave --attempt out"
        raise input_error(
            "the data of the run", "in one folder of yours, to try its notebook", got, do
        )
    return homes.pop()


def _environment(to: Path) -> str:
    """A Python with nothing in it: the notebook puts the wheels there."""
    subprocess.run([sys.executable, "-m", "venv", str(to)], check=True)
    return str(to / "bin" / "python")


def _run(
    place: Path, folder: Path, data: Path, layout: str, cfg: NotebookSettings, python: str
) -> tuple[Path, float]:
    """One run of the notebook's cells: the submission and the seconds it took."""
    at = place / "input"
    given = {at / layout.format(competition=cfg.competition): data.resolve()}
    for part in ("model", "wheels"):
        if (folder / part).is_dir():
            name = json.loads((folder / part / "dataset-metadata.json").read_text())["title"]
            given[at / name] = (folder / part).resolve()
    alone = _alone(given)
    before = [_stamps(source) for source in given.values()]
    working, home = place / "working", place / "home"
    working.mkdir()
    home.mkdir()
    notebook = json.loads((folder / "kernel" / "run.ipynb").read_text(encoding="utf-8"))
    cells = [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]
    script = place / "cells.py"
    script.write_text("\n".join("".join(cell) for cell in cells), encoding="utf-8")
    env = {
        "PATH": os.environ["PATH"], "HOME": str(home), "KAGGLE_INPUT": str(at),
        "KAGGLE_WORKING": str(working), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # The model's folder is only read: caches of compiled code lie elsewhere.
        "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(home),
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), DEAD),
        **{k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")},
    }  # fmt: skip
    start = time.monotonic()
    done = subprocess.run(
        [*alone, python, str(script)], cwd=working, env=env, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        first = next((line for line in said if line.startswith("imclust")), said[-1:])
        raise InputError(f"The notebook must run here as it will there; got: {first}")
    if [_stamps(source) for source in given.values()] != before:
        raise InputError(
            "The notebook must leave its input as it is; got files there that changed while it ran."
        )
    return working / cfg.file, time.monotonic() - start


def _alone(given: dict[Path, Path]) -> list[str]:
    """Put folders where a notebook looks for them; the beginning of a command that reads them.

    Where the system allows it, they can only be read and the network is gone; elsewhere they are
    links, dead proxies must do, and what was read is compared afterwards.
    """
    for place in given:
        place.mkdir(parents=True)
    mounts = "".join(
        f"mount --bind {quote(str(source))} {quote(str(place))}\n"
        f"mount -o remount,ro,bind {quote(str(place))}\n"
        for place, source in given.items()
    )
    for how in (["unshare"], ["unshare", "--map-root-user"]):
        command = [*how, "--net", "--mount", "bash", "-ec", f'{mounts}exec "$@"', "bash"]
        if (
            shutil.which("unshare")
            and not subprocess.run([*command, "true"], capture_output=True).returncode
        ):
            return command
    for place, source in given.items():
        place.rmdir()
        place.symlink_to(source)
    return []


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file below a folder."""
    found = ((str(p), p.stat()) for p in sorted(folder.rglob("*")) if p.is_file())
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _write_part(given: list[Path], to: Path) -> bool:
    """Two thirds of the images in the same form; False where nobody knows how to make them."""
    files = [
        (p, p.relative_to(top)) for top in given for p in sorted(top.rglob("*")) if p.is_file()
    ]
    files += [(p, Path(p.name)) for p in given if p.is_file()]
    kinds = {path.suffix.lower() for path, _ in files}
    packed = [path for path, _ in files if path.suffix.lower() == ".zip"]
    kinds |= {Path(n).suffix.lower() for p in packed for n in zipfile.ZipFile(p).namelist()}
    if not files or kinds & TABLES or (len(files) > 1 and ".zip" in kinds):
        return False
    for number, (path, name) in enumerate(files):
        copy = to / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            rows = open_npy(path)
            np.save(copy, np.asarray(rows[: max(2, len(rows) * 2 // 3)]))
        elif path.suffix.lower() == ".zip":
            _write_fewer(path, copy)
        elif number % 3:
            shutil.copyfile(path, copy)
    return True


def _write_fewer(archive: Path, to: Path) -> None:
    """A zip of two thirds of the files."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(to, "w") as fewer:
        names = sorted(name for name in source.namelist() if not name.endswith("/"))
        for number, name in enumerate(names):
            if number % 3:
                fewer.writestr(name, source.read(name))
