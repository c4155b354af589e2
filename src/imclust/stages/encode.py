"""`encode`: every readable image or text through an encoder, streamed to disk, resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import input_error
from imclust.core.files import replace_text
from imclust.core.log import progress, say
from imclust.core.manifest import MANIFEST, artifact_file, read_manifest
from imclust.core.npy import open_npy
from imclust.core.records import Features, save_rows
from imclust.core.reproducibility import BackendName, Precision, check_device
from imclust.data.images import ImageRow, load_index
from imclust.data.loader import Preprocessing, pixel_batches
from imclust.data.texts import read_texts
from imclust.encoders import method_modules, revive_encoder
from imclust.encoders._base import needs_content

DONE = ".done.json"  # how many rows of an unfinished latents file are good
DIGESTS = "digests.npy"  # of the files that were encoded, row by row
KEEP_EVERY = 2.0  # seconds between such notes
SHARDS = 1_000_000
WINDOW = 8  # batches of texts that are sorted by length together


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
    """Part I of N, as I/N: encode this share of the rows only; `gather` joins the shares."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; else `cpu`, `cuda`, `cuda:1`, ..."""
    carry: bool = False
    """Take over what the artefact in --out has of the very same files, by the same weights and
    settings: only the others are encoded."""
    force: bool = False
    """Do it again even if it is up to date."""

    def __post_init__(self) -> None:
        check_device(self.device)
        for name in ("batch", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise input_error(f"--{name}", "at least 1", value, "raise it or leave it out")

    def part(self, rows: list[ImageRow]) -> list[ImageRow]:
        """The rows of this shard, side by side in the index."""
        try:
            i, n = (int(v) for v in self.shard.split("/"))
        except ValueError:
            i, n = -1, 0
        if not 0 <= i < n <= SHARDS:
            raise input_error("--shard", "I/N with 0 <= I < N", self.shard, "write for example 0/4")
        return rows[len(rows) * i // n : len(rows) * (i + 1) // n]


def run(cfg: Encode) -> None:
    """Read an `index` and `weights`, write `features`; a killed run goes on where it was."""
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
    if made:
        doc = read_manifest(cfg.out)
        say(
            f"{doc['rows']} latents of {doc['dims']} numbers are in {cfg.out} "
            f"({doc['images_per_second']:.0f} a second, {doc['engine']})"
        )


def _carried(cfg: Encode, spec: ArtifactSpec) -> tuple[dict[str, int], np.ndarray] | None:
    """Digest -> row, and the rows (n, d), of what the artefact in --out has already."""
    if not cfg.carry or cfg.force or not (cfg.out / MANIFEST).is_file():
        return None
    doc, key = read_manifest(cfg.out), spec.key()
    same = all(doc[name] == key[name] for name in ("kind", "schema", "config", "code"))
    if not same or doc["inputs"]["weights"] != key["inputs"]["weights"]:
        return None
    if DIGESTS not in doc["files"]:
        return None
    digests = open_npy(artifact_file(cfg.out, DIGESTS)).tolist()
    return {d: row for row, d in enumerate(digests) if d}, Features.load(cfg.out).x


def _encode(
    cfg: Encode,
    trained: dict[str, Any],
    folder: Path,
    carried: tuple[dict[str, int], np.ndarray] | None = None,
) -> dict[str, Any]:

    encoder = revive_encoder(trained)
    needs_content(cfg.index, encoder, trained["method"])
    rows = cfg.part([r for r in load_index(cfg.index) if not r.problem])
    if not rows:
        raise input_error(f"shard {cfg.shard}", "at least one image", "none", "use fewer shards")
    firsts, places = _distinct(rows) if cfg.dedupe else (rows, None)
    ready: list[tuple[int, np.ndarray]] = []
    if carried is not None:
        known, old = carried
        ready = [(n, old[known[r.digest]]) for n, r in enumerate(rows) if r.digest in known]
        left = [i for i, r in enumerate(firsts) if r.digest not in known]
        places = [(places[i] if places else [i]) for i in left]
        firsts = [firsts[i] for i in left]
        say(f"{len(ready)} of {len(rows)} images are encoded already")
    stream = _texts if encoder.reads == "texts" else _images
    start, facts = stream(cfg, encoder, firsts or rows[:1])
    began = time.monotonic()
    skipped, dims = _stream_to_disk(folder, len(rows), len(firsts), places, start, ready)
    seconds = time.monotonic() - began
    np.save(folder / DIGESTS, np.array([r.digest for r in rows], dtype=str))
    save_rows(folder, np.array([r.id for r in rows]), np.array([r.split for r in rows]))
    return facts | {
        "rows": len(rows),
        "dims": dims,
        "encoded": len(firsts),
        "images_per_second": round((len(firsts) - skipped) / max(seconds, 1e-9), 1),
        "track": read_manifest(cfg.weights)["track"],
        "space": trained["method"],
    }


Start = Callable[[int], Iterator["np.ndarray"]]


def _images(cfg: Encode, encoder: Any, rows: list[ImageRow]) -> tuple[Start, dict[str, Any]]:
    """Latents of images from any row on, and what computes them."""

    from imclust.core.reproducibility import pick_device
    from imclust.training.backends import Codes, batch_size, pick_backend
    from imclust.training.weights_file import load_weights

    device = pick_device(cfg.device)
    network = encoder.network()
    facts = load_weights(cfg.weights / "weights.safetensors", network)
    preprocessing = Preprocessing(**facts["preprocessing"])
    batch = cfg.batch or batch_size(preprocessing.size, device)
    probe = np.concatenate(list(pixel_batches(rows[:16], preprocessing, 16, cfg.workers)))
    codes = Codes(encoder.encode, network, preprocessing, cfg.flip)
    backend, found = pick_backend(
        codes, probe, len(rows), batch, device, cfg.backend, cfg.precision
    )
    engine = f"{backend.name} {backend.precision} on {device}, {batch} at a time"

    def start(at: int) -> Iterator[np.ndarray]:
        return backend.stream(pixel_batches(rows[at:], preprocessing, batch, cfg.workers))

    parts = encoder.parts(network)
    return start, {"engine": engine, **found} | ({"parts": parts} if parts else {})


def _texts(cfg: Encode, encoder: Any, rows: list[ImageRow]) -> tuple[Start, dict[str, Any]]:
    """Latents of texts from any row on, and what computes them."""

    from imclust.core.reproducibility import pick_device
    from imclust.training.weights_file import load_weights

    for flag in ("flip", "workers"):
        if getattr(cfg, flag):
            raise input_error(
                f"--{flag}", "left out: it is for images", "an index of texts", "drop it"
            )
    if cfg.backend == "openvino":
        raise input_error("--backend", "torch for texts", cfg.backend, "leave it out")
    device = pick_device(cfg.device)
    network = encoder.network()
    load_weights(cfg.weights / "weights.safetensors", network)
    batch = cfg.batch or encoder.batch
    texts = read_texts(rows)
    network = network.to(device).eval()

    def encoded(window: list[str]) -> np.ndarray:
        # Texts of like length share a batch: every text is padded to the longest of its own.
        order = sorted(range(len(window)), key=lambda i: len(window[i]))
        blocks = [
            encoder.encode_texts(network, [window[i] for i in order[a : a + batch]], device)
            for a in range(0, len(order), batch)
        ]
        z = np.concatenate(blocks)
        return z[np.argsort(order)]

    def start(at: int) -> Iterator[np.ndarray]:
        # Whole windows are written, so a resumed run meets the batches of an unbroken one.
        for a in range(at, len(texts), WINDOW * batch):
            yield encoded(texts[a : a + WINDOW * batch])

    return start, {"engine": f"torch float32 on {device}, {batch} at a time"}


def _distinct(rows: list[ImageRow]) -> tuple[list[ImageRow], list[list[int]]]:
    """The first of all exact copies of an image, and the row numbers of each group of copies."""
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.digest, []).append(i)
    return [rows[g[0]] for g in groups.values()], list(groups.values())


def _stream_to_disk(
    folder: Path,
    rows: int,
    total: int,
    places: list[list[int]] | None,
    start: Start,
    ready: Sequence[tuple[int, np.ndarray]] = (),
) -> tuple[int, int]:
    """Write latents as they come, leaving a note of how far it got.

    Parameters
    ----------
    rows : int
        Of the file.
    total : int
        Latents to come.
    places : list[list[int]] | None
        Of latent i, the rows that it fills; its own number when None.
    ready : Sequence[tuple[int, np.ndarray]]
        Rows that need no encoding, with their numbers (d,) float32.

    Returns
    -------
    tuple[int, int]
        How many latents an earlier run had left, and the numbers in each.
    """
    from imclust.core.npy import NpyRows

    note = folder / DONE
    done = json.loads(note.read_text()) if note.is_file() else None
    if done and done.get("ready", 0) != len(ready):  # its numbers count other images
        done = None
    at = skipped = done["at"] if done else 0
    kept = done["rows"] if done else None
    if done:
        say(f"going on after {at} of {total} images")
    blocks = start(at)
    ahead = [next(blocks)] if at < total else []
    dims = done["dims"] if done else ahead[0].shape[1] if ahead else len(ready[0][1])
    written = time.monotonic()
    with (
        NpyRows(folder / "x.npy", (rows, dims), kept=kept) as file,
        progress(None, "encode", total=total, initial=at, unit="img") as bar,
    ):
        for row, latent in ready if done is None else ():
            file.write(row, np.asarray(latent, np.float32)[None])
        for block in chain(ahead, blocks if total else ()):
            if places is None:
                file.write(at, block)
            else:
                for latent, group in zip(block, places[at : at + len(block)], strict=True):
                    for row in group:
                        file.write(row, latent[None])
            at += len(block)
            bar.update(len(block))
            if time.monotonic() - written > KEEP_EVERY:
                kept = file.flush()
                replace_text(
                    note, json.dumps({"at": at, "rows": kept, "dims": dims, "ready": len(ready)})
                )
                written = time.monotonic()
    note.unlink(missing_ok=True)
    return skipped, dims
