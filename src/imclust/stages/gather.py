"""`gather`: the shares of one encoding, computed on several machines, put side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.core.manifest import read_manifest
from imclust.core.records import Features, rows_of_ids, save_rows
from imclust.core.wording import counted
from imclust.data.images import load_index


@dataclass(frozen=True)
class Gather:
    """Join the latents of `encode --shard 0/N` to `--shard N-1/N` in the order of the index."""

    features: tuple[Path, ...]
    """The `features` artefacts of all shards, in any order."""
    index: Path
    """The `index` artefact that they encode."""
    out: Path
    """Where the joined latents go."""
    force: bool = False
    """Do it again even if it is up to date."""


def run(cfg: Gather) -> None:
    """Read the `features` of all shards and the `index`, write them as one `features`.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("gather --index raw/index --features run/latents --out run/gathered".split())
    24 latents are in run/gathered
    0
    """
    inputs = {"index": cfg.index} | {f"shard {i}": p for i, p in enumerate(cfg.features)}
    spec = ArtifactSpec("features", {}, inputs, (__name__,))
    if make_artifact(cfg.out, spec, lambda folder: _gather(cfg, folder), force=cfg.force):
        n = read_manifest(cfg.out)["rows"]
        say(f"{counted(n, 'latent')} {'is' if n == 1 else 'are'} in {cfg.out}")


def _gather(cfg: Gather, folder: Path) -> dict[str, Any]:

    from imclust.core.npy import NpyRows

    shards = [Features.load(p) for p in cfg.features]
    made = [_made(p) for p in cfg.features]
    if any(m != made[0] for m in made) or len({s.x.shape[1] for s in shards}) > 1:
        raise input_error(
            "shards", "of one encoding", "different weights or settings", "encode again"
        )
    rows = [r for r in load_index(cfg.index) if not r.problem]
    ids = np.array([r.id for r in rows])
    shape = (len(rows), shards[0].x.shape[1])
    if sum(len(s.ids) for s in shards) != len(rows):
        got = f"{sum(len(s.ids) for s in shards)} rows of {len(rows)}"
        raise input_error(
            "shards", "all rows of the index, once each", got, "give every shard once"
        )
    with NpyRows(folder / "x.npy", shape) as file:
        for shard in shards:
            first = int(rows_of_ids(ids, shard.ids[:1])[0])
            if not np.array_equal(ids[first : first + len(shard.ids)], shard.ids):
                raise input_error("a shard", "rows side by side", "other rows", "encode it again")
            for a in range(0, len(shard.ids), 4096):
                file.write(first + a, shard.x[a : a + 4096])
    save_rows(folder, ids, np.array([r.split for r in rows]))
    facts = read_manifest(cfg.features[0])
    return {
        "rows": len(rows),
        "dims": shape[1],
        "space": facts["space"],
        "track": facts["track"],
        "images_per_second": sum(read_manifest(p)["images_per_second"] for p in cfg.features),
        "engine": facts["engine"],
    } | ({"parts": facts["parts"]} if "parts" in facts else {})


def _made(folder: Path) -> dict[str, Any]:
    """What must be equal between shards."""
    doc = read_manifest(folder, "features")
    return {"inputs": doc["inputs"], "config": doc["config"] | {"shard": ""}, "code": doc["code"]}
