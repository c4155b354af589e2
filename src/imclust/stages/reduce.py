"""`reduce`: a space to a smaller one; chain it as often as you like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from imclust.clustering.blocks import LARGE
from imclust.clustering.reducers import REDUCERS
from imclust.clustering.reducers._base import Reduction
from imclust.core.artifacts import ArtifactSpec, make_artifact, plain
from imclust.core.checks import finite, valid_seed
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.npy import NpyRows
from imclust.core.ray_workers import check_ray, workers_of
from imclust.core.records import Features, save_rows
from imclust.core.shards import over_shards


@dataclass(frozen=True)
class Reduce:
    """Fit a reducer on one split and put every other row into the same space.

    With `--split val` validation images are reduced on their own, as the homework scores them,
    and no other row is kept.
    """

    reducer: Annotated[Any, REDUCERS]
    """Which reducer, with its own flags."""
    features: Path
    """A `features` artefact, from `encode` or `reduce`."""
    out: Path
    """Where the new space goes."""
    split: str = "train"
    """Rows to fit on: `train` (the others are placed), or `val` (the others are dropped)."""
    half: bool = False
    """Write numbers of two bytes (float16) in place of four: half the disk, for very many rows."""
    seed: int = 0
    """Random starts of the solver."""
    ray: str | None = None
    """Have Ray go through more than 50 000 rows for `pca`: `auto` (the cluster of this machine),
    `ray://host:port`, or `local:N` workers. The new space is the same bytes."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        valid_seed(self.seed)
        check_ray(self.ray)


def run(cfg: Reduce) -> None:
    """Read `features`, write `features` of fewer numbers.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("reduce --features run/latents --out run/pca pca --components 4".split())
    pca: 24 rows of 4 numbers are in run/pca
    0
    """
    entry = REDUCERS.for_config(cfg.reducer)
    if cfg.ray is not None and entry.name != "pca":
        do = "leave --ray out, or reduce by it"
        raise input_error("--ray", "used with pca", entry.name, do)
    config = {"method": entry.name, **plain(cfg.reducer), "split": cfg.split, "seed": cfg.seed}
    if cfg.half:
        config["half"] = True
    modules = (__name__, entry.method.__module__)
    spec = ArtifactSpec("features", config, {"features": cfg.features}, modules)
    if make_artifact(cfg.out, spec, lambda folder: _reduce(cfg, folder), force=cfg.force):
        doc = read_manifest(cfg.out)
        say(f"{entry.name}: {doc['rows']} rows of {doc['dims']} numbers are in {cfg.out}")


def _reduce(cfg: Reduce, folder: Path) -> dict[str, Any]:

    entry = REDUCERS.for_config(cfg.reducer)
    features = Features.load(cfg.features)
    fitted = features.part(cfg.split)
    if len(fitted.ids) < 2:
        raise input_error(
            f"rows of split {cfg.split!r} in {cfg.features}",
            "at least 2",
            len(fitted.ids),
            "choose another --split",
        )
    finite(f"the rows of {cfg.features}", fitted.x)
    kept = features if cfg.split == "train" else fitted
    with workers_of(cfg.ray if len(fitted.ids) > LARGE else None, [cfg.features]):
        reduction = entry.method(fitted.x, cfg.reducer, cfg.seed)
        if reduction.embedding is None:
            facts = _write_placed(reduction, kept, folder, half=cfg.half)
        else:
            x = _in_new_space(reduction, reduction.embedding, kept, cfg.split)
            x = x.astype(np.float16) if cfg.half else x
            facts = Features(kept.ids, kept.splits, x).save(folder)
    return facts | {"space": entry.name, **reduction.facts}


def _in_new_space(
    reduction: Reduction, embedding: np.ndarray, rows: Features, split: str
) -> np.ndarray:
    """Every row (n, k), of the split that was fitted on as it was fitted, the others placed."""
    mine = rows.splits == split
    x = np.empty((len(mine), embedding.shape[1]), np.float32)
    x[mine] = embedding
    if not mine.all():
        x[~mine] = reduction.predict(rows.x[~mine])
    return x


def _write_placed(
    reduction: Reduction, rows: Features, folder: Path, *, half: bool
) -> dict[str, Any]:
    """Write the artefact of very many rows, placed shard by shard, of which few are held."""
    save_rows(folder, rows.ids, rows.splits)
    shape = len(rows.ids), reduction.predict(rows.x[:1]).shape[1]
    with NpyRows(folder / "x.npy", shape, half=half) as file:
        numbers = np.float16 if half else np.float32
        for place, block in over_shards(rows.x, _placed, reduction.predict, numbers):
            file.write(place.start, block)
    return {"rows": shape[0], "dims": shape[1]}


def _placed(
    shard: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    numbers: type[np.floating[Any]],
) -> np.ndarray:
    with np.errstate(over="ignore"):  # `finite` tells
        x = predict(shard).astype(numbers)
    finite("features", x)
    return x
