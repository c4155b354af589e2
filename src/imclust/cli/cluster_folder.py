"""`cluster-folder`: a stranger's images in, clusters, a table and a page to look at out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from imclust.cli.pipeline import (
    RunPaths,
    Step,
    data_set_name,
    enough_to_vote,
    index_step,
    learn_steps,
    look_steps,
    predict_steps,
    run_steps,
)
from imclust.cli.result import FolderResult
from imclust.clustering.effort import Level, effort_of
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST
from imclust.data.images import SUFFIXES
from imclust.report.cluster_folders import write_cluster_folders
from imclust.report.results import FolderAssignment

ZIPPED = 1000  # images that are expected of an archive, before it is opened


@dataclass(frozen=True)
class ClusterFolder:
    """Cluster the images of a folder: assignments.csv, report.html, a summary.

    Sub-folders count as one set of images; their names are not looked at. Images that cannot be
    read are named and set aside. The same command again redoes only what changed, and goes on
    where it was stopped.
    """

    folder: tyro.conf.Positional[Path]
    """The images: a folder, also nested, or a zip."""
    n_clusters: int | Literal["auto"] = "auto"
    """K; `auto` lets several criteria vote on it and shows the evidence (k.png, k.csv)."""
    new: Path | None = None
    """Further images, a folder or zip: give them the clusters that the folder's run has found.
    A finished run is taken as it is."""
    corrections: tuple[Path, ...] = ()
    """What you said of the answer: files saved from its page, in order."""
    symlinks: bool = False
    """Also a folder by-cluster/<cluster>/ of links to the images."""
    copy: bool = False
    """Copies instead of links there."""
    seed: int = 0
    """Random choices."""
    effort: Level = "normal"
    """How much is tried: quick, normal or thorough; the clock decides nothing."""
    name: str | None = None
    """Of the data set, in data/raw and data/runs; after the folder unless given."""
    workspace: Path = Path()
    """Where data/ goes; it must lie outside of the images."""

    def __post_init__(self) -> None:
        effort_of(self.effort)
        if self.n_clusters != "auto" and self.n_clusters < 2:
            do = "choose another number, or auto"
            raise input_error("--n-clusters", "at least 2, or auto", self.n_clusters, do)


def run(cfg: ClusterFolder) -> None:
    """Run the command and say how it went."""
    for line in carried_out(cfg).summary():
        say(line)


def cluster_folder(
    folder: str | Path,
    n_clusters: int | Literal["auto"] = "auto",
    *,
    new: str | Path | None = None,
    corrections: Sequence[str | Path] = (),
    symlinks: bool = False,
    copy: bool = False,
    seed: int = 0,
    effort: Level = "normal",
    name: str | None = None,
    workspace: str | Path = ".",
) -> FolderResult:
    """Cluster the images of a folder, as `python -m imclust cluster-folder` does.

    Args:
        folder: the images, a folder or zip. n_clusters: K, or `auto` for a vote on it.
        new: further images, that get the clusters of the folder's; the result is about them.
        corrections: files saved from the page, in order.
        symlinks, copy: also a folder of links, or copies, by cluster.
        seed: of every random choice. effort: how much is tried, `quick`, `normal` or `thorough`.
        name: of the data set. workspace: the folder that data/ goes to.

    Returns:
        The answer, which shows itself as a gallery in a notebook.

    Raises:
        Refusal: what is wrong, in one sentence.
    """
    return carried_out(
        ClusterFolder(
            Path(folder),
            n_clusters,
            None if new is None else Path(new),
            tuple(map(Path, corrections)),
            symlinks,
            copy,
            seed,
            effort,
            name,
            Path(workspace).expanduser(),
        )
    )


def carried_out(cfg: ClusterFolder) -> FolderResult:
    """Do all that is not done yet."""
    began = time.monotonic()
    data = cfg.folder.expanduser().resolve()
    at = _places(cfg, data)
    known = cfg.new is not None and not cfg.corrections and (at.clusters / MANIFEST).is_file()
    if not known:
        _look_at(data, cfg.workspace)
    titles = [] if known else ["index", "encoder", "latents", "pixels", "clusters", "map"]
    titles += [] if known else ["scores", "report"]
    if cfg.new is None:
        took = run_steps(_steps(cfg, at, data), titles, _about(data))
        assignment, index, folder = at.clusters, at.raw / "index", at.folder
    else:
        further = cfg.new.expanduser().resolve()
        _look_at(further, cfg.workspace)
        raw = at.top / "data" / "raw" / data_set_name(f"{at.name}-new", further, at.top)
        folder = at.folder / f"new-{raw.name.removeprefix(f'{at.name}-new-')}"
        if known:
            say(f"the clusters in {at.clusters} are taken as they are")
        steps = _with_new(cfg, at, data, known, further, raw, folder)
        titles += ["new index", "new latents", "new clusters"]
        images = _about(further) if known else _about(data)
        took = run_steps(steps, titles, images)
        assignment, index = folder / "clusters", raw / "index"
    answer = FolderAssignment.load(assignment, index)
    answer.write(folder)
    piles = folder / "by-cluster" if cfg.symlinks or cfg.copy else None
    if piles is not None:
        write_cluster_folders(piles, answer, copy=cfg.copy)
    report = at.report if cfg.new is None else None
    return FolderResult(answer, folder, assignment, report, piles, took, time.monotonic() - began)


def _places(cfg: ClusterFolder, data: Path) -> RunPaths:
    name = cfg.name or data_set_name("folder", data, cfg.workspace)
    count = "auto" if cfg.n_clusters == "auto" else f"k{cfg.n_clusters}"
    return RunPaths(cfg.workspace, name, f"timm-{count}-seed{cfg.seed}", "timm", cfg.seed)


def _steps(cfg: ClusterFolder, at: RunPaths, data: Path) -> Iterator[Step]:
    auto = cfg.n_clusters == "auto"
    flags = ["--set-aside-corrupt", *([] if auto else ["--n-clusters", str(cfg.n_clusters)])]
    yield index_step(at.raw, ["folder", "--data-dir", str(data)], flags)
    if auto:
        enough_to_vote(at.raw / "index", "say how many clusters there are: --n-clusters K")
    yield from learn_steps(at, str(cfg.n_clusters), cfg.effort, cfg.corrections)
    yield from look_steps(at, None)


def _with_new(
    cfg: ClusterFolder, at: RunPaths, data: Path, known: bool, further: Path, raw: Path, to: Path
) -> Iterator[Step]:
    if not known:
        yield from _steps(cfg, at, data)
    source = ["folder", "--data-dir", str(further), "--least", "1"]
    yield index_step(raw, source, ["--set-aside-corrupt"], "new index")
    yield from predict_steps(at, raw, to)


def _look_at(data: Path, workspace: Path) -> None:
    """Refuse what is no folder of images, and a workspace whose pictures would be among them."""
    if not data.exists():
        raise input_error(
            "the images", "a folder or zip", f"{data}, which does not exist", "check it"
        )
    if data.is_dir() and workspace.expanduser().resolve().is_relative_to(data):
        got = f"{workspace.resolve()}, inside of {data}"
        do = "run it from another folder, or name one with --workspace"
        raise input_error("the folder that data/ goes to", "outside of the images", got, do)


def _about(data: Path) -> int:
    """How many images there seem to be, by their names."""
    if not data.is_dir():
        return ZIPPED
    return sum(p.suffix.lower() in SUFFIXES for p in data.rglob("*"))
