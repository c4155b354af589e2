"""Latents by the workers of a Ray cluster: parts of the rows, each an artefact of its own on a path
that all nodes see, or objects on storage that they can ask, then joined to the bytes that one
process writes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.code_digest import code_digest
from imclust.core.errors import DamagedArtifactError, InputError, input_error
from imclust.core.locks import wait_lock
from imclust.core.log import progress, say, silent
from imclust.core.manifest import KEY, file_digest, verify_artifact
from imclust.core.npy import NpyRows, open_npy
from imclust.core.object_shards import fetch_shard, make_shard, remove_shards
from imclust.core.object_storage import fetch_named, probe_storage, put_named, storage_url
from imclust.core.overdue import AGAIN
from imclust.core.ray_tasks import Tally, call_on_worker, run_and_take
from imclust.core.ray_workers import ray_cluster
from imclust.data.images import ImageRow, at_whole_paths
from imclust.encoders import revive_encoder
from imclust.encoders._latents import DONE, Engine, Settings, Stream, latents_of, stream_to_disk

PARTS = "shards"  # folder of the parts, beside what they become
FETCHED = "fetched"  # in it: the part that is joined just now, of those that are objects
WEIGHTS = "weights.safetensors"
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
        Absolute; parts go to a folder in it, unless
    top : str
        tells the address on storage where parts are objects; else empty.
    weights : str
        Name of the weights there.
    """

    how: Settings
    trained: str
    modules: tuple[str, ...]
    key: str
    folder: Path
    top: str = ""
    weights: str = ""

    @contextmanager
    def settings(self) -> Iterator[Settings]:
        """Settings whose weights this node sees inside the block."""
        if not self.top:
            yield self.how
            return
        with TemporaryDirectory(prefix="imclust-") as place:
            fetch_named(self.top, self.weights, Path(place, WEIGHTS))
            yield replace(self.how, weights=Path(place))


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
    again : int, optional
        The how manieth time it is given out besides the first, while others may still be at work.
    """

    job: Job
    engine: Engine
    first: int
    rows: list[ImageRow]
    again: int = 0

    @property
    def out(self) -> Path:
        """Where it goes; other borders, another folder, and another where it is overdue in one."""
        last, again = self.first + len(self.rows), f"-{self.again}" if self.again else ""
        return self.job.folder / PARTS / f"{self.first:09}-{last:09}{again}"

    def __str__(self) -> str:
        return f"{self.job.top}: {self.spec}" if self.job.top else str(self.out)

    @property
    def spec(self) -> dict[str, Any]:
        """What decides it: by another engine it is made again."""
        engine = self.engine.facts["engine"]
        facts = {"first": self.first, "rows": len(self.rows), "engine": engine}
        return {"encoding": _name(self.job.key), **facts}

    def whole(self) -> Path | None:
        """Its latents, compared with the manifest, on a path here; None where they are not whole.

        Of objects, only one part's are held at a time.
        """
        if not self.job.top:
            return next(filter(None, map(_whole, self._folders())), None)
        at = self.job.folder / PARTS / FETCHED
        at.mkdir(parents=True, exist_ok=True)
        try:
            fetch_shard(self.job.top, self.spec, at)
        except DamagedArtifactError:
            return None
        return at / "x.npy"

    def _folders(self) -> list[Path]:
        """Its own, and those of the times that it was given out again."""
        first = replace(self, again=0).out
        return [first, *(first.with_name(f"{first.name}-{n}") for n in range(1, AGAIN + 1))]


def _whole(folder: Path) -> Path | None:
    """The latents of a part in a folder, if they are there and whole."""
    try:
        verify_artifact(folder)
    except InputError:  # there is no manifest, or other bytes
        return None
    return folder / "x.npy"


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
    storage: str | None = None,
    afresh: bool = False,
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
    storage : str, optional
        A folder or address for finished parts, instead of the staging folder.
    afresh : bool, optional
        Whether to begin without what an interrupted run left there.

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
    rows, key = at_whole_paths(rows), (folder / KEY).read_text()
    job = Job(how, json.dumps(trained), modules, key, folder.absolute())
    seen: list[Path | str] = [job.folder / KEY, how.weights / WEIGHTS, Path(rows[0].source)]
    if storage is not None:
        top = _top(storage, key)
        probe_storage(storage_url(storage))
        if afresh:
            remove_shards(top)
        job = replace(job, top=top, weights=put_named(top, how.weights / WEIGHTS))
        seen = [f"{top}/{job.weights}", Path(rows[0].source)]
    with ray_cluster(address, seen):
        engine = call_on_worker(_choose, job, rows[:16], len(rows), gpus=gpus)
        step = max(1, round(each / engine.unit)) * engine.unit
        parts = [Part(job, engine, a, rows[a : a + step]) for a in range(0, len(rows), step)]
        tally, dims = _all(parts, folder, len(rows), gpus)
    (folder / DONE).unlink(missing_ok=True)  # of a run without Ray that came to nothing
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    say(f"Ray: {tally.line()}, {tally.kept} of the shards done before")
    for line in tally.table():
        say(line)
    return dims, engine, tally


def forget_shards(storage: str, key: dict[str, Any], weights: Path) -> None:
    """Remove what an encoding put on storage, when its latents are in their place.

    Parameters
    ----------
    storage : str
        As given to `encode_by_ray`.
    key : dict
        Of the latents' spec.
    weights : Path
        The `weights` artefact.

    Examples
    --------
    >>> forget_shards("s3://bucket/me", spec.key(), Path("w"))  # doctest: +SKIP
    """
    name = f"{file_digest(weights / WEIGHTS)}-{WEIGHTS}"
    try:
        remove_shards(_top(storage, json.dumps(key, sort_keys=True)), name)
    except InputError as e:
        say(f"the latents are whole, but their shards stay: {e}")


def _name(key: str) -> str:
    """Digest of what decides an encoding."""
    return hashlib.sha256(key.encode()).hexdigest()


def _top(storage: str, key: str) -> str:
    """Where the objects of one encoding go."""
    return f"{storage_url(storage)}/{_name(key)[:32]}"


def _all(parts: list[Part], folder: Path, rows: int, gpus: float) -> tuple[Tally, int]:
    """Have all parts made and join them to x.npy; with the numbers a latent."""
    with ExitStack() as stack:
        file: NpyRows | None = None
        bar = stack.enter_context(progress(None, "encode", total=rows, unit="img"))

        def seen(tally: Tally, part: Part) -> None:
            tally.add_images(len(part.rows))
            bar.set_postfix_str(tally.line(), refresh=False)
            bar.update(len(part.rows))

        def join(part: Part) -> bool:
            nonlocal file
            path = part.whole()
            if path is None:
                return False
            x = open_npy(path)
            if file is None:
                file = stack.enter_context(NpyRows(folder / "x.npy", (rows, x.shape[1])))
            for a in range(0, len(x), BLOCK):
                file.write(part.first + a, x[a : a + BLOCK])
            return True

        def again(part: Part, n: int) -> Part:
            return replace(part, again=n)

        tally = run_and_take(encode_part, parts, seen, join, gpus=gpus, again=again)
        assert file is not None
        return tally, file.shape[1]


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

    def write(folder: Path) -> dict[str, Any]:
        n = len(part.rows)
        with silent():
            stream, engine = _stream(job, part.engine)
            want, got = part.engine.facts["engine"], engine.facts["engine"]
            if got != want:
                do = "leave nodes of another kind out, or say --device cpu"
                raise input_error("the engine of every worker", want, got, do)

            def start(at: int) -> Iterator[np.ndarray]:
                return stream(part.rows[at:])

            _, dims = stream_to_disk(folder, n, n, None, start)
        return {"rows": n, "dims": dims, "engine": got}

    if job.top:
        return make_shard(job.top, part.spec, write)
    spec = ArtifactSpec("features", part.spec, {}, ())
    if part.again and part.whole():
        return False
    part.out.parent.mkdir(exist_ok=True)
    # Whoever is left of a run that was killed finishes first.
    with silent(), wait_lock(part.out.with_name(f".{part.out.name}.wait")):
        return make_artifact(part.out, spec, write, keep_partial=True)


@lru_cache(maxsize=1)
def _stream(job: Job, engine: Engine) -> tuple[Stream, Engine]:
    """On a worker: the encoder, made ready once for all of its parts."""
    with job.settings() as how:
        return latents_of(how, revive_encoder(json.loads(job.trained)), [], 0, engine)


def _choose(job: Job, few: list[ImageRow], total: int) -> Engine:
    """On a worker: the engine that one process would take for so many rows."""
    _refuse_other_code(job.modules, json.loads(job.key)["code"])
    with silent(), job.settings() as how:
        return latents_of(how, revive_encoder(json.loads(job.trained)), few, total)[1]


@lru_cache(maxsize=1)
def _refuse_other_code(modules: tuple[str, ...], want: str) -> None:
    got = code_digest(*modules)
    if got != want:
        do = "install the same imclust on every node"
        raise input_error("the code on a worker", f"that of here ({want})", got, do)
