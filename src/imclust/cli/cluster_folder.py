"""`cluster-folder`: a stranger's images in, clusters, a table and a page to look at out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

from imclust.cli.encoder_choice import EncoderWord, check_strong
from imclust.cli.folder_settings import ClusterFolder
from imclust.cli.folder_steps import (
    check_naming,
    corrected_first,
    folder_steps,
    new_steps,
    places,
)
from imclust.cli.growing import Growth, growth_of, refuse_without, start_afresh
from imclust.cli.image_checks import check_enough, check_images, images_about
from imclust.cli.plain_words import plain_words
from imclust.cli.result import FolderResult
from imclust.cli.run_paths import RunPaths, check_writable, data_set_name
from imclust.cli.sorted_away import tell_sorted_away
from imclust.cli.steps import RayCluster, run_steps
from imclust.cli.visit_words import told
from imclust.cli.watching import watch
from imclust.clustering.effort import EffortLevel
from imclust.clustering.uncorrected import read_all
from imclust.core.errors import ServiceError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, read_manifest
from imclust.core.name_records import named
from imclust.core.records import read_csv
from imclust.core.tables import refuse_edited_tables
from imclust.data.images import indexed
from imclust.report.cluster_folders import kind_of_folders, write_cluster_folders
from imclust.report.results import TABLES, FolderAssignment

__all__ = ["ClusterFolder", "cluster_folder", "run"]
AFRESH = "all pictures were clustered afresh: numbers, and names but yours, may be new"


def run(cfg: ClusterFolder) -> None:
    """Run the command and say how it went.

    Reads the images; writes data/ of the workspace, and the tables and the page of the run in it.

    Raises
    ------
    InputError
        A setting or the images; what can be told beforehand, before any work.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main(["cluster-folder", "photos"])  # a minute  # doctest: +SKIP
    >>> main(["cluster-folder", "nowhere"])  # refused
    2
    """
    if said := unread_settings(os.environ):
        say(said)
    if not cfg.watch:
        _visit(cfg)
        return
    data = cfg.folder.expanduser().resolve()
    if not data.is_dir():
        raise input_error("--watch", "used with a folder", f"{data}", "unpack the archive first")
    once = replace(cfg, fresh=False, corrections=(), without_corrections=False)
    visits = chain([cfg], repeat(once))
    watch(data, lambda: _visit(next(visits)))


def _visit(cfg: ClusterFolder) -> None:
    result = _carried_out(cfg)
    for line in result.summary():
        say(line)
    if result.unmet:
        raise result.unmet[0]


def unread_settings(environment: Mapping[str, str]) -> str:
    """What to say of settings of the baseline in the environment, which this command has as flags.

    Parameters
    ----------
    environment : mapping of str to str
        Its variables; empty ones, and NAME, which systems set, are none.

    Examples
    --------
    >>> unread_settings({"K": "4", "HOME": "/home/me"})
    'K in the environment is not read by cluster-folder: its settings are flags (--n-clusters)'
    """
    from imclust.cli.settings import OTHER_WORDS, Baseline

    known = {field.name.upper() for field in fields(Baseline)} | set(OTHER_WORDS) | {"EPOCHS"}
    set_here = sorted(name for name in known - {"NAME"} if environment.get(name))
    if not set_here:
        return ""
    mine = {field.name for field in fields(ClusterFolder)}
    same = {"K": "n_clusters", "NUM_CLUSTERS": "n_clusters"} | {m.upper(): m for m in mine}
    flags = [f"--{same[name].replace('_', '-')}" for name in set_here if name in same]
    told = f" ({', '.join(dict.fromkeys(flags))})" if flags else ""
    verb = "is" if len(set_here) == 1 else "are"
    return (
        f"{', '.join(set_here)} in the environment {verb} not read by cluster-folder: its settings "
        f"are flags{told}"
    )


def cluster_folder(
    folder: str | Path,
    n_clusters: int | Literal["auto"] = "auto",
    *,
    new: str | Path | None = None,
    corrections: Sequence[str | Path] = (),
    without_corrections: bool = False,
    fresh: bool = False,
    encoder: EncoderWord = "light",
    text_tower: str = "",
    name_by: str = "",
    name_model: str = "",
    name_unencrypted: bool = False,
    remove_copies: bool = False,
    symlinks: bool = False,
    copy: bool = False,
    seed: int = 0,
    effort: EffortLevel = "normal",
    name: str | None = None,
    workspace: str | Path = ".",
    ray: str | None = None,
    ray_storage: str | None = None,
    gpu_share: float = 0.0,
) -> FolderResult:
    """Cluster the images of a folder, as `python -m imclust cluster-folder` does.

    Parameters
    ----------
    folder : str | Path
        The images, a folder or zip.
    n_clusters : int | Literal['auto'], optional
        K, or `auto` for a vote on it.
    new : str | Path | None, optional
        Further images, that get the clusters of the folder's; the result is about them.
    corrections : Sequence[str | Path], optional
        Files saved from the page; they stay with the run.
    without_corrections : bool, optional
        Leave out those of earlier calls.
    fresh : bool, optional
        Cluster all images anew, where further ones came since the last call; else they join the
        clusters that are there.
    encoder : {"light", "strong"}, optional
        What looks at the images; `strong` is fetched once.
    text_tower : str, optional
        With `strong`: a SigLIP2 model whose text half finds images by any words.
    name_by, name_model : str, optional
        Address of an endpoint of OpenAI's chat completions, and its vision-language model that
        names the clusters by five pictures of each, which are sent there.
    name_unencrypted : bool, optional
        Send them through the internet also by http.
    remove_copies : bool, optional
        Cluster one image of each group of copies.
    symlinks, copy : bool, optional
        Also a folder of links, or copies, by cluster.
    seed : int, optional
        Of every random choice.
    effort : {"quick", "normal", "thorough"}, optional
        How much is tried.
    name : str | None, optional
        Of the data set.
    workspace : str | Path, optional
        The folder that data/ goes to.
    ray : str | None, optional
        Address of a Ray cluster that encodes and clusters: `auto`, `ray://host:port` or `local:N`.
    ray_storage : str | None, optional
        Folder or address that takes the encoded shards until they are joined.
    gpu_share : float, optional
        With `ray`: share of a GPU that a worker that encodes takes.

    Returns
    -------
    FolderResult
        The assignment, which shows itself as a gallery in a notebook. What a service failed, such
        as names, is said and in its `unmet`.

    Raises
    ------
    InputError
        What is wrong, in one sentence.

    Examples
    --------
    >>> result = cluster_folder("my/photos", n_clusters=4)  # doctest: +SKIP
    >>> result.sizes, result.report  # doctest: +SKIP
    """
    result = _carried_out(
        ClusterFolder(
            Path(folder),
            n_clusters,
            None if new is None else Path(new),
            tuple(map(Path, corrections)),
            without_corrections,
            fresh=fresh,
            encoder=encoder,
            text_tower=text_tower,
            name_by=name_by,
            name_model=name_model,
            name_unencrypted=name_unencrypted,
            remove_copies=remove_copies,
            symlinks=symlinks,
            copy=copy,
            seed=seed,
            effort=effort,
            name=name,
            workspace=Path(workspace).expanduser(),
            ray=ray,
            ray_storage=ray_storage,
            gpu_share=gpu_share,
        )
    )
    for failure in result.unmet:
        say(str(failure))
    return result


def _carried_out(cfg: ClusterFolder) -> FolderResult:
    """Do all that is not done yet."""
    began = time.monotonic()
    data = cfg.folder.expanduser().resolve()
    at = places(cfg, data)
    said = bool(cfg.corrections) or cfg.without_corrections
    known = cfg.new is not None and not said and (at.clusters / MANIFEST).is_file()
    if not known:
        check_images(data, cfg.workspace, links=cfg.symlinks and not cfg.copy)
    further = None if cfg.new is None else cfg.new.expanduser().resolve()
    if further is not None:
        check_images(further, cfg.workspace, links=cfg.symlinks and not cfg.copy)
    check_writable(cfg.workspace)
    check_naming(cfg, at)
    if cfg.encoder == "strong":
        check_strong()
    read_all(cfg.corrections)  # refuses what is none, before any work
    titles = [] if known else [step.title for step in folder_steps(cfg, at, data, guess=True)]
    instead, unmet = "", list[ServiceError]()
    growth, visited = None, (at.clusters / MANIFEST).is_file()
    if not known:
        refuse_edited_tables(at.folder, TABLES)
        instead = tell_sorted_away(at.folder, images_about(data))
        check_enough(data, cfg.n_clusters, instead)
        if cfg.fresh:
            start_afresh(at, without_corrections=cfg.without_corrections)
        else:
            if cfg.without_corrections:
                refuse_without(at, growth_of(at, data, as_it_is=True))
            cfg = corrected_first(cfg, at, data)
            growth = growth_of(at, data)
    cluster = RayCluster.of(cfg)
    if further is None:
        steps, images = folder_steps(cfg, at, data, growth, instead=instead), images_about(data)
        took = run_steps(steps, titles, images, plain_words, cluster, unmet)
        assignment, index, folder = at.clusters, at.index, at.folder
    else:
        raw = at.top / "data" / "raw" / data_set_name(f"{at.name}-new", at.top, further)
        folder = at.folder / f"new-{raw.name.removeprefix(f'{at.name}-new-')}"
        refuse_edited_tables(folder, TABLES)
        if known:
            say(f"the clusters in {at.clusters} are taken as they are")
        old = iter(()) if known else folder_steps(cfg, at, data, growth, instead=instead)
        steps = chain(old, new_steps(at, further, raw, folder))
        titles += ["new index", "new latents", "new clusters"]
        images = images_about(further) if known else images_about(data)
        took = run_steps(steps, titles, images, plain_words, cluster, unmet)
        assignment, index = folder / "clusters", raw / "index"
    names = at.names if (at.names / MANIFEST).is_file() else None
    clustering = FolderAssignment.load(assignment, index, names)
    look = at.look if cfg.new is None else None
    clustering.write(folder, look)
    piles = folder / "by-cluster"
    wanted = "copies" if cfg.copy else "links" if cfg.symlinks else kind_of_folders(piles)
    if wanted:
        write_cluster_folders(piles, clustering, copy=wanted == "copies")
    report = at.report if cfg.new is None else None
    visit = _told(cfg, at, growth, visited, took)
    return FolderResult(
        clustering,
        folder,
        assignment,
        report,
        piles if wanted else None,
        took,
        time.monotonic() - began,
        look,
        visit,
        unmet,
    )


def _told(
    cfg: ClusterFolder, at: RunPaths, growth: Growth | None, visited: bool, took: dict[str, float]
) -> list[str]:
    """Which of the two happened at this visit: clusters grew, or all was clustered."""
    if cfg.new is not None or (growth is not None and (cfg.corrections or cfg.without_corrections)):
        return []  # what the user's own corrections did is told elsewhere
    if growth is None:
        afresh = visited and took.get("clusters", 0) > 0 and not cfg.corrections
        return [AFRESH] if afresh else []
    doc = read_manifest(at.clusters)
    rows = read_csv(at.clusters / "assignment.csv")
    names = named(doc, at.names if (at.names / MANIFEST).is_file() else None)
    known = max([*growth.before.values(), doc["grown"]["k"] - 1]) + 1
    now = {row.id: row.digest for row, _ in indexed(at.index)} if growth.digests else {}
    after = {r["id"]: int(r["cluster"]) for r in rows}
    return told(growth.before, after, names, known, (growth.digests, now))
