"""`encode`: every readable image or text through an encoder, streamed to disk, resumable."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.manifest import MANIFEST, artifact_file, read_manifest
from imclust.core.npy import open_npy
from imclust.core.ray_workers import check_ray
from imclust.core.records import Features, save_rows
from imclust.core.reproducibility import BackendName, Precision, check_device
from imclust.core.wording import counted
from imclust.data.images import ImageRow, load_index
from imclust.encoders import method_modules, revive_encoder
from imclust.encoders._base import needs_content
from imclust.encoders._latents import Settings, latents_of, stream_to_disk
from imclust.encoders._ray_latents import PARTS, encode_by_ray, forget_shards

DIGESTS = "digests.npy"  # of the files that were encoded, row by row
SHARDS = 1_000_000
SHARES, LEAST = 64, 256  # shards that are to be shared out by Ray, and images of each, at least


@dataclass(frozen=True)
class Encode:
    """Encode all images, for clustering and for validation alike, into one space of latents."""

    index: Path
    """An `index` artefact, from `download`."""
    weights: Path
    """A `weights` artefact, from `train`; it knows its encoder and preprocessing."""
    out: Path
    """Where the latents go: x.npy (N, D) float32, ids.npy, splits.npy."""
    batch: int | None = None
    """Images at a time; chosen by their size and the device unless given, halved when memory
    runs out."""
    workers: int | None = None
    """Decoding threads; one a core unless given."""
    backend: BackendName = "auto"
    """`auto` is torch on a GPU and, for enough images, OpenVINO on a CPU, as long as its features
    agree with torch's to cosine 0.9999."""
    precision: Precision = "auto"
    """`auto` is 16 bit where the hardware computes it (same condition); or `float32`."""
    flip: bool = False
    """Average the latents of every image and its mirror image."""
    dedupe: bool = False
    """Encode exact copies of an image once."""
    shard: str = "0/1"
    """Part I of N, as I/N: encode this share of the rows only; `gather` joins the shares. With
    --batch they are whole batches, so that what is joined is the bytes of one process."""
    ray: str | None = None
    """Have shards encoded by the workers of a Ray cluster: `auto` (that of this machine),
    `ray://host:port`, or `local:N` workers here. The latents are the same bytes (of
    PyTorch on a CPU: as with one thread)."""
    ray_rows: int = 4096
    """With --ray: images a shard, about; fewer, but 256 at least, where that makes less than 64
    shards. A finished one is not encoded again."""
    ray_storage: str | None = None
    """With --ray: a folder or an address, such as s3://bucket/folder, that takes the finished
    shards and the weights until the latents are joined; nodes need no path but the images'."""
    gpu_share: float = 0.0
    """With --ray: share of a GPU that a worker takes, such as 0.5; 0 encodes on CPUs."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    carry: bool = False
    """Take over what the artefact in --out has of the very same files, by the same weights and
    settings: only the others are encoded. Not by Ray."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        check_device(self.device)
        for name in ("batch", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise input_error(f"--{name}", "at least 1", value, "raise it or leave it out")
        if self.ray_rows < 1:
            raise input_error("--ray-rows", "at least 1", self.ray_rows, "raise it")
        check_ray(self.ray, self.ray_storage, gpus=self.gpu_share)
        if self.ray is not None:
            for name, plain in (("shard", "0/1"), ("dedupe", False)):
                if getattr(self, name) != plain:
                    do = "leave one of the two out"
                    raise input_error("--ray", f"used without --{name}", "both", do)

    def settings(self) -> Settings:
        """What decides how it computes."""
        how = self.batch, self.workers, self.backend, self.precision, self.flip, self.device
        return Settings(self.weights, *how)

    def part(self, rows: list[ImageRow]) -> list[ImageRow]:
        """The rows of this shard, side by side in the index."""
        try:
            i, n = (int(v) for v in self.shard.split("/"))
        except ValueError:
            i, n = -1, 0
        if not 0 <= i < n <= SHARDS:
            raise input_error("--shard", "I/N with 0 <= I < N", self.shard, "write for example 0/4")
        unit = self.batch if self.batch and n > 1 else 1
        units = -(-len(rows) // unit)
        return rows[units * i // n * unit : units * (i + 1) // n * unit]


def run(cfg: Encode) -> None:
    """Read an `index` and `weights`, write `features`; a killed run goes on where it was.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("encode --index known/index --weights run/weights --out run/others".split())
    ...     # doctest: +ELLIPSIS
    24 latents of 3072 numbers are in run/others (... a second, torch float32 on cpu, 256 at a time)
    0
    """
    trained = read_manifest(cfg.weights, "weights")["config"]
    names = ("batch", "backend", "precision", "flip", "dedupe", "shard", "device")
    config = {name: getattr(cfg, name) for name in names}
    inputs = {"index": cfg.index, "weights": cfg.weights}
    spec = ArtifactSpec("features", config, inputs, (__name__, *method_modules(trained)))
    made = make_artifact(
        cfg.out,
        spec,
        lambda folder: _encode(cfg, trained, folder, _carried(cfg, spec)),
        force=cfg.force,
        keep_partial=True,
    )
    if made and cfg.ray_storage is not None:
        forget_shards(cfg.ray_storage, spec.key(), cfg.weights)
    if made:
        doc = read_manifest(cfg.out)
        say(
            f"{counted(doc['rows'], 'latent')} of {doc['dims']} numbers "
            f"{'is' if doc['rows'] == 1 else 'are'} in {cfg.out} "
            f"({doc['images_per_second']:.0f} a second, {doc['engine']})"
        )


def _carried(cfg: Encode, spec: ArtifactSpec) -> tuple[dict[str, int], np.ndarray] | None:
    """Digest -> row, and the rows (n, d), of what the artefact in --out has already."""
    if not cfg.carry or cfg.ray is not None or cfg.force or not (cfg.out / MANIFEST).is_file():
        return None
    doc, key = read_manifest(cfg.out), spec.key()
    same = all(doc[name] == key[name] for name in ("kind", "schema", "config", "code"))
    if not same or doc["inputs"]["weights"] != key["inputs"]["weights"]:
        return None
    if DIGESTS not in doc["files"]:
        return None
    try:
        digests = open_npy(artifact_file(cfg.out, DIGESTS)).tolist()
        rows = Features.load(cfg.out).x
    except InputError as e:  # nothing of it can be believed
        say(f"{e} All images are encoded again.")
        return None
    return {d: row for row, d in enumerate(digests) if d}, rows


def _encode(
    cfg: Encode,
    trained: dict[str, Any],
    folder: Path,
    carried: tuple[dict[str, int], np.ndarray] | None,
) -> dict[str, Any]:

    encoder = revive_encoder(trained)
    needs_content(cfg.index, encoder, trained["method"])
    rows = cfg.part([r for r in load_index(cfg.index) if not r.problem])
    if not rows:
        raise input_error(f"shard {cfg.shard}", "at least one image", "none", "use fewer shards")
    began = time.monotonic()
    if cfg.ray is not None:
        each = min(cfg.ray_rows, max(LEAST, -(-len(rows) // SHARES)))
        gpus, modules = cfg.gpu_share, (__name__, *method_modules(trained))
        how = cfg.settings()
        dims, engine, tally = encode_by_ray(
            how, trained, modules, rows, folder, address=cfg.ray, each=each, gpus=gpus,
            storage=cfg.ray_storage, afresh=cfg.force,
        )  # fmt: skip
        facts, encoded, new = {"ray": tally.facts()}, len(rows), tally.images
    else:
        shutil.rmtree(folder / PARTS, ignore_errors=True)  # of a run by Ray that was stopped
        firsts, places = _distinct(rows) if cfg.dedupe else (rows, None)
        ready: list[tuple[int, np.ndarray]] = []
        if carried is not None:
            known, old = carried
            ready = [(n, old[known[r.digest]]) for n, r in enumerate(rows) if r.digest in known]
            left = [i for i, r in enumerate(firsts) if r.digest not in known]
            places = [(places[i] if places else [i]) for i in left]
            firsts = [firsts[i] for i in left]
            be = "is" if len(ready) == 1 else "are"
            say(f"{len(ready)} of {counted(len(rows), 'image')} {be} encoded already")
        stream, engine = latents_of(cfg.settings(), encoder, (firsts or rows)[:16], len(firsts))
        encoded, began = len(firsts), time.monotonic()
        skipped, dims = stream_to_disk(
            folder, len(rows), encoded, places, lambda at: stream(firsts[at:]), ready
        )
        facts, new = {}, encoded - skipped
    seconds = time.monotonic() - began
    np.save(folder / DIGESTS, np.array([r.digest for r in rows], dtype=str))
    save_rows(folder, np.array([r.id for r in rows]), np.array([r.split for r in rows]))
    return (
        engine.facts
        | facts
        | {
            "rows": len(rows),
            "dims": dims,
            "encoded": encoded,
            "images_per_second": round(new / max(seconds, 1e-9), 1),
            "track": read_manifest(cfg.weights)["track"],
            "space": trained["method"],
        }
    )


def _distinct(rows: list[ImageRow]) -> tuple[list[ImageRow], list[list[int]]]:
    """The first of all exact copies of an image, and the row numbers of each group of copies."""
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.digest, []).append(i)
    return [rows[g[0]] for g in groups.values()], list(groups.values())
