"""Latents by the workers of a Ray cluster: parts of the rows, each an artefact of its own on
storage that all nodes share, then joined to the bytes that one process writes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.code_digest import code_digest
from imclust.core.errors import InputError, input_error
from imclust.core.locks import wait_lock
from imclust.core.log import progress, say, silent
from imclust.core.manifest import KEY, read_manifest, verify_artifact
from imclust.core.npy import NpyRows, open_npy
from imclust.core.ray_tasks import Tally, call_on_worker, run_tasks
from imclust.core.ray_workers import ray_cluster
from imclust.data.images import ImageRow
from imclust.encoders import revive_encoder
from imclust.encoders._latents import DONE, Engine, Settings, Stream, latents_of, stream_to_disk

PARTS = "shards"  # folder of the parts, beside what they become
MISSED = 3  # times that parts which were finished may be lost again
BLOCK = 4096  # rows that are joined at a time


@dataclass(frozen=True)
class Job:
    """One encoding.

    Parameters
    ----------
    how : Settings
        With an absolute path of the weights.
    trained : str
        The encoder's config as JSON.
    modules : tuple of str
        Whose code decides the bytes.
    key : str
        What decides them, as JSON.
    folder : Path
        Absolute; parts go to a folder in it.
    """

    how: Settings
    trained: str
    modules: tuple[str, ...]
    key: str
    folder: Path


@dataclass(frozen=True)
class Part:
    """What a worker is asked: some rows, side by side in the index.

    Parameters
    ----------
    job : Job
        The encoding.
    engine : Engine
        What computes them.
    first : int
        Number of the first row.
    rows : list of ImageRow
        All of them.
    """

    job: Job
    engine: Engine
    first: int
    rows: list[ImageRow]

    @property
    def out(self) -> Path:
        """Where it goes; other borders, another folder."""
        last = self.first + len(self.rows)
        return self.job.folder / PARTS / f"{self.first:09}-{last:09}"


def encode_by_ray(
    how: Settings,
    trained: dict[str, Any],
    modules: tuple[str, ...],
    rows: list[ImageRow],
    folder: Path,
    *,
    address: str,
    each: int,
    gpus: float,
) -> tuple[int, Engine, Tally]:
    """Write x.npy of rows into a staging folder, where finished parts survive an interruption.

    Parameters
    ----------
    how : Settings
        Of the encoding.
    trained : dict
        The encoder's config.
    modules : tuple of str
        Whose code decides the bytes: workers must have the same.
    rows : list of ImageRow
        At least one.
    folder : Path
        A staging folder of `make_artifact`.
    address : str
        Of the cluster.
    each : int
        Rows a part, about: a multiple of what the engine takes at a time.
    gpus : float
        Share of a GPU for each worker.

    Returns
    -------
    tuple of int, Engine and Tally
        Numbers a latent, what computed them, and how the run went.

    Raises
    ------
    InputError
        No such cluster, storage or code there; or an image is no longer what was indexed.

    Examples
    --------
    >>> encode_by_ray(how, trained, modules, rows, folder, address="local:2", each=4096,
    ...               gpus=0.0)  # doctest: +SKIP
    """
    how = replace(how, weights=how.weights.absolute(), workers=how.workers or 1)
    key = (folder / KEY).read_text()
    job = Job(how, json.dumps(trained), modules, key, folder.absolute())
    seen = [job.folder / KEY, how.weights / "weights.safetensors", Path(rows[0].source)]
    with ray_cluster(address, seen):
        engine = call_on_worker(_choose, job, rows[:16], len(rows), gpus=gpus)
        step = max(1, round(each / engine.unit)) * engine.unit
        parts = [Part(job, engine, a, rows[a : a + step]) for a in range(0, len(rows), step)]
        tally = _all(parts, len(rows), gpus)
    dims = _join(parts, folder, len(rows))
    (folder / DONE).unlink(missing_ok=True)  # of a run without Ray that came to nothing
    shutil.rmtree(folder / PARTS)
    say(f"Ray: {tally.line()}, {tally.kept} of the shards done before")
    return dims, engine, tally


def _all(parts: list[Part], rows: int, gpus: float) -> Tally:
    """Have all parts made, those again that get lost before they are joined."""
    with progress(None, "encode", total=rows, unit="img") as bar:

        def seen(tally: Tally, part: Part) -> None:
            tally.images += 0 if tally.last_kept else len(part.rows)
            bar.set_postfix_str(tally.line(), refresh=False)
            bar.update(len(part.rows))

        tally = run_tasks(encode_part, parts, seen, gpus=gpus)
        for _ in range(MISSED):
            lost = [part for part in parts if not _is_whole(part)]
            if not lost:
                return tally
            say(f"{len(lost)} of the finished shards are lost or damaged; they are made again")
            run_tasks(encode_part, lost, lambda tally, part: None, gpus=gpus)
            tally.retries += len(lost)
    got = f"{lost[0].out} gone or damaged {MISSED} times"
    raise input_error("finished shards", "left alone until they are joined", got, "repeat it")


def _is_whole(part: Part) -> bool:
    """Whether a part is as its worker wrote it."""
    try:
        verify_artifact(part.out)
        doc = read_manifest(part.out, "features")
    except InputError:
        return False
    want = part.engine.facts["engine"]
    if doc["engine"] != want:
        got, do = doc["engine"], "leave nodes of another kind out, or say --device cpu"
        raise input_error("the engine of every worker", want, got, do)
    return True


def _join(parts: list[Part], folder: Path, rows: int) -> int:
    """Write x.npy; the numbers a latent."""
    dims = int(open_npy(parts[0].out / "x.npy").shape[1])
    with NpyRows(folder / "x.npy", (rows, dims)) as file:
        for part in parts:
            x = open_npy(part.out / "x.npy")
            for a in range(0, len(x), BLOCK):
                file.write(part.first + a, x[a : a + BLOCK])
    return dims


def encode_part(part: Part) -> bool:
    """On a worker: make the artefact of a part; whether that was to do.

    One that a killed worker left half done is gone on with.

    Examples
    --------
    >>> encode_part(Part(job, engine, 0, rows))  # doctest: +SKIP
    True
    """
    job = part.job
    _refuse_other_code(job.modules, json.loads(job.key)["code"])
    of = hashlib.sha256(job.key.encode()).hexdigest()
    spec = ArtifactSpec("features", {"of": of, "first": part.first}, {}, ())

    def write(folder: Path) -> dict[str, Any]:
        stream, engine = _stream(job.how, job.trained, part.engine)

        def start(at: int) -> Iterator[np.ndarray]:
            return stream(part.rows[at:])

        n = len(part.rows)
        _, dims = stream_to_disk(folder, n, n, None, start)
        return {"rows": n, "dims": dims, "engine": engine.facts["engine"]}

    part.out.parent.mkdir(exist_ok=True)
    # Whoever is left of a run that was killed finishes first.
    with silent(), wait_lock(part.out.with_name(f".{part.out.name}.wait")):
        return make_artifact(part.out, spec, write, keep_partial=True)


@lru_cache(maxsize=1)
def _stream(how: Settings, trained: str, engine: Engine) -> tuple[Stream, Engine]:
    """On a worker: the encoder, made ready once for all of its parts."""
    return latents_of(how, revive_encoder(json.loads(trained)), [], 0, engine)


def _choose(job: Job, few: list[ImageRow], total: int) -> Engine:
    """On a worker: the engine that one process would take for so many rows."""
    _refuse_other_code(job.modules, json.loads(job.key)["code"])
    with silent():
        return latents_of(job.how, revive_encoder(json.loads(job.trained)), few, total)[1]


@lru_cache(maxsize=1)
def _refuse_other_code(modules: tuple[str, ...], want: str) -> None:
    got = code_digest(*modules)
    if got != want:
        do = "install the same imclust on every node"
        raise input_error("the code on a worker", f"that of here ({want})", got, do)
