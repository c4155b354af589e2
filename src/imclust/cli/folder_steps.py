"""The steps of `cluster-folder`, and where a run of it lies."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from imclust.cli.encoder_choice import strong_paths
from imclust.cli.folder_settings import ClusterFolder
from imclust.cli.growing import Growth, files_came, growth_of
from imclust.cli.image_checks import check_count, images_about
from imclust.cli.pipeline import LAYERED, Predictor, best_steps, index_step, predict_steps
from imclust.cli.plain_words import plain_words
from imclust.cli.run_paths import RunPaths, checked_name, data_set_name, run_name
from imclust.cli.steps import Step, expected_seconds, run_steps
from imclust.core.errors import input_error
from imclust.core.manifest import MANIFEST, parse_json, read_manifest

# Settings that hold for every visit.
LIKELY = 7  # clusters that are expected where K is not given
LASTING = (
    *("n_clusters", "seed", "effort", "encoder", "text_tower", "name_by", "name_model", "name"),
    "workspace",
)


def places(cfg: ClusterFolder, data: Path) -> RunPaths:
    """Where the run of a folder lies.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> places(ClusterFolder(Path("photos"), 4), Path("photos")).run
    'timm-auto-k4-seed0'
    """
    name = (
        data_set_name("folder", cfg.workspace, data) if cfg.name is None else checked_name(cfg.name)
    )
    # Not after the effort: --new finds the run of a folder whatever it was given.
    without = ("without-copies",) if cfg.remove_copies else ()
    run = run_name(
        "timm" if cfg.encoder == "light" else cfg.encoder,
        "auto",
        cfg.n_clusters,
        cfg.seed,
        *without,
    )
    return RunPaths(cfg.workspace, name, run, "timm", cfg.seed, LAYERED)


def corrected_first(cfg: ClusterFolder, at: RunPaths, data: Path) -> ClusterFolder:
    """Corrections speak of the page that is there: where files came since, they are applied before
    these join. The rest of the visit then needs them no more.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> cfg = ClusterFolder(Path("photos"), 2)
    >>> corrected_first(cfg, places(cfg, Path("photos")), Path("photos")) is cfg  # none are given
    True
    """
    if not (cfg.corrections or cfg.without_corrections) or not files_came(at, data):
        return cfg
    steps = folder_steps(cfg, at, data, growth_of(at, data, as_it_is=True), guess=True)
    corrected = next(step for step in steps if step.title == "clusters")
    run_steps([corrected], [corrected.title], images_about(data), plain_words)
    return replace(cfg, corrections=(), without_corrections=False)


def folder_steps(
    cfg: ClusterFolder,
    at: RunPaths,
    data: Path,
    growth: Growth | None = None,
    *,
    guess: bool = False,
    instead: str = "",
) -> Iterator[Step]:
    """What `cluster-folder` does, in order.

    Parameters
    ----------
    cfg : ClusterFolder
        What was asked for.
    at : RunPaths
        Of the run.
    data : Path
        The folder or archive of the images.
    growth : Growth, optional
        How the clusters that are there go on, if they do.
    guess : bool
        Whether nothing is there yet: to know the titles.
    instead : str
        What to do where images are too few, rather than to add some.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> cfg = ClusterFolder(Path("photos"), 2)
    >>> steps = folder_steps(cfg, places(cfg, Path("photos")), Path("photos"), guess=True)
    >>> [step.title for step in steps][:4]
    ['index', 'encoder', 'latents', 'pixels']
    """
    yield index_step(at.raw, ["folder", "--data-dir", str(data)], ["--set-aside-corrupt"])
    if not guess:
        check_count(at.index, cfg.n_clusters, instead)
    count: tuple[str, ...] = ("--n-clusters", str(cfg.n_clusters))
    count += ("--corrections", *map(str, cfg.corrections)) if cfg.corrections else ()
    count += ("--without-corrections",) if cfg.without_corrections else ()
    count += ("--copies", str(at.look)) if cfg.remove_copies else ()
    count += growth.flags() if growth else ()
    how = Predictor("auto", count=count, method_flags=("--effort", cfg.effort))
    refresh = ("--refreshed-by", again(cfg, data), "--no-pictures")
    strong = strong_paths(at) if cfg.encoder == "strong" else ()
    steps = best_steps(
        at,
        how,
        LAYERED,
        None,
        refresh,
        look=True,
        carry=growth is not None,
        strong=strong,
        tower=cfg.text_tower,
        asked=naming_flags(cfg),
    )
    if not guess and not cfg.text_tower:
        n = sum(read_manifest(at.index, "index")["rows"].values())
        naming = expected_seconds("names", n) + naming_seconds(at.index, cfg.n_clusters)
        yield replace(next(steps), expected={"names": naming})
    yield from steps


def naming_seconds(index: Path, n_clusters: int | str) -> float:
    """Seconds that the second look at pictures takes by which clusters are named: 0 of photographs.

    Parameters
    ----------
    index : Path
        The `index` artefact.
    n_clusters : int or 'auto'
        K as it was given; LIKELY is expected of 'auto'.

    Examples
    --------
    >>> round(naming_seconds(Path("raw/index"), 2), 2)  # 24 pictures of 32 px
    0.96
    """
    from imclust.clustering.typical_rows import MOST, OF_CLUSTER
    from imclust.data.images import load_index
    from imclust.encoders.second_look import SECONDS, is_small

    rows = [row for row in load_index(index) if not row.problem]
    k = n_clusters if isinstance(n_clusters, int) else LIKELY
    return SECONDS * min(len(rows), OF_CLUSTER * k, MOST) if is_small(rows) else 0.0


def again(cfg: ClusterFolder, data: Path) -> str:
    """This command without what concerns one visit: the page shows it with corrections.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> again(ClusterFolder(Path("photos"), 4, fresh=True), Path("photos").resolve())
    'python -m imclust cluster-folder photos --n-clusters 4'
    """
    here = Path.cwd()
    words = ["python", "-m", "imclust", "cluster-folder"]
    words.append(str(data.relative_to(here) if data.is_relative_to(here) else data))
    default = {field.name: field.default for field in fields(cfg)}
    for name in LASTING:
        value = getattr(cfg, name)
        if value != default[name]:
            words += [f"--{name.replace('_', '-')}", str(value)]
    words += ["--remove-copies"] * cfg.remove_copies
    words += ["--name-unencrypted"] * cfg.name_unencrypted
    return shlex.join(words)


def naming_flags(cfg: ClusterFolder) -> tuple[str, ...]:
    """Flags of `name` that have a model name the clusters; none where none is asked.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> naming_flags(ClusterFolder(Path("photos")))
    ()
    """
    if not cfg.name_by:
        return ()
    flags = ("--name-by", cfg.name_by, "--name-model", cfg.name_model)
    return (*flags, "--name-unencrypted") if cfg.name_unencrypted else flags


def check_naming(cfg: ClusterFolder, at: RunPaths) -> None:
    """Refuse a model that cannot name clusters, before any work; no picture is sent for it.

    Where names by it are there already, it may not be needed, and is not asked.

    Raises
    ------
    InputError
        Its address or name.
    ServiceError
        It does not answer.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> cfg = ClusterFolder(Path("photos"))
    >>> check_naming(cfg, places(cfg, Path("photos")))  # none is to name
    """
    if not cfg.name_by:
        if cfg.name_model or cfg.name_unencrypted:
            do = "add --name-by and its address, or leave them out"
            raise input_error("--name-model and its like", "used with --name-by", "none", do)
        return
    from imclust.competitions.clients.vision_model import KEY, vision_model

    key = os.environ.get(KEY, "")
    model = vision_model(cfg.name_by, cfg.name_model, key, unencrypted=cfg.name_unencrypted)
    doc = parse_json(at.names / MANIFEST) if (at.names / MANIFEST).is_file() else None
    if "by" not in ((doc or {}).get("config") or {}):
        model.check()


def new_steps(at: RunPaths, further: Path, raw: Path, to: Path) -> Iterator[Step]:
    """Images of another folder into the clusters that are there.

    Examples
    --------
    >>> from imclust.cli.folder_settings import ClusterFolder
    >>> at = places(ClusterFolder(Path("photos")), Path("photos"))
    >>> next(new_steps(at, Path("later"), Path("raw"), Path("new"))).title
    'new index'
    """
    source = ["folder", "--data-dir", str(further), "--least", "1"]
    yield index_step(raw, source, ["--set-aside-corrupt"], "new index")
    yield from predict_steps(at, raw, to)
