"""Rows of an index to latents, on the engine that suits them, streamed to the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from imclust.core.errors import input_error
from imclust.core.files import replace_text
from imclust.core.log import progress, say
from imclust.core.reproducibility import BackendName, Precision
from imclust.data.images import ImageRow
from imclust.data.loader import Preprocessing, pixel_batches
from imclust.data.texts import read_texts

DONE = ".done.json"  # how many rows of an unfinished latents file are good
KEEP_EVERY = 2.0  # seconds between such notes
WINDOW = 8  # batches of texts that are sorted by length together
Start: TypeAlias = "Callable[[int], Iterator[np.ndarray]]"
Stream: TypeAlias = "Callable[[list[ImageRow]], Iterator[np.ndarray]]"  # latents of rows, in order


@dataclass(frozen=True)
class Settings:
    """What of `encode` decides how it computes.

    Parameters
    ----------
    weights : Path
        The `weights` artefact.
    batch, workers : int or None
        Rows at a time, decoding threads; None for what suits.
    backend, precision : str
        As the user wishes.
    flip : bool
        Whether mirror images count, too.
    device : str
        `auto` or torch's name.
    """

    weights: Path
    batch: int | None
    workers: int | None
    backend: BackendName
    precision: Precision
    flip: bool
    device: str


@dataclass(frozen=True)
class Engine:
    """What computes latents, so that other processes can compute the same bytes.

    Parameters
    ----------
    backend, precision : str
        Of `named_backend`.
    batch : int
        Rows at a time.
    unit : int
        Rows after any multiple of which the work may be cut.
    facts : dict
        For the manifest.
    """

    backend: str
    precision: str
    batch: int
    unit: int
    facts: dict[str, Any] = field(compare=False)


def latents_of(
    how: Settings, encoder: Any, few: list[ImageRow], total: int, known: Engine | None = None
) -> tuple[Stream, Engine]:
    """A function from rows to their latents, and what computes these.

    Parameters
    ----------
    how : Settings
        Of the encoding.
    encoder : object
        A revived encoder.
    few : list of ImageRow
        The first rows, on which engines are compared unless one is known.
    total : int
        How many rows there are.
    known : Engine, optional
        The engine, found elsewhere.

    Examples
    --------
    >>> stream, engine = latents_of(how, encoder, rows[:16], len(rows))  # doctest: +SKIP
    >>> np.concatenate(list(stream(rows[: 2 * engine.unit])))  # doctest: +SKIP
    """
    kind = _texts if encoder.reads == "texts" else _images
    return kind(how, encoder, few, total, known)


def _images(
    how: Settings, encoder: Any, few: list[ImageRow], total: int, known: Engine | None = None
) -> tuple[Stream, Engine]:
    """Latents of images, and what computes them: the best for these rows, or one that is known."""

    from imclust.core.reproducibility import pick_device
    from imclust.training.backends import Codes, batch_size, named_backend, pick_backend
    from imclust.training.weights_file import load_weights

    device = pick_device(how.device)
    network = encoder.network()
    facts = load_weights(how.weights / "weights.safetensors", network)
    preprocessing = Preprocessing(**facts["preprocessing"])
    size, found = preprocessing.size, dict[str, Any]()
    codes = Codes(encoder.encode, network, preprocessing, how.flip)
    if known is not None:
        batch = known.batch
        backend = named_backend(codes, known.backend, known.precision, batch, device, size)
    else:
        batch = how.batch or batch_size(size, device)
        probe = np.concatenate(list(pixel_batches(few, preprocessing, 16, how.workers)))
        backend, found = pick_backend(
            codes, probe, total, batch, device, how.backend, how.precision
        )

    def stream(part: list[ImageRow]) -> Iterator[np.ndarray]:
        return backend.stream(pixel_batches(part, preprocessing, batch, how.workers))

    parts = encoder.parts(network)
    engine = f"{backend.name} {backend.precision} on {device}, {batch} at a time"
    facts = {"engine": engine, **found} | ({"parts": parts} if parts else {})
    return stream, Engine(backend.name, backend.precision, batch, batch, facts)


def _texts(
    how: Settings, encoder: Any, few: list[ImageRow], total: int, known: Engine | None = None
) -> tuple[Stream, Engine]:
    """Latents of texts, and what computes them."""

    from imclust.core.reproducibility import pick_device
    from imclust.training.weights_file import load_weights

    for flag in ("flip", "workers"):
        if getattr(how, flag):
            raise input_error(
                f"--{flag}", "left out: it is for images", "an index of texts", "drop it"
            )
    if how.backend == "openvino":
        raise input_error("--backend", "torch for texts", how.backend, "leave it out")
    device = pick_device(how.device)
    network = encoder.network()
    load_weights(how.weights / "weights.safetensors", network)
    batch = how.batch or encoder.batch
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

    def stream(part: list[ImageRow]) -> Iterator[np.ndarray]:
        # Whole windows are written, so a resumed run meets the batches of an unbroken one.
        read = read_texts(part)
        for a in range(0, len(read), WINDOW * batch):
            yield encoded(read[a : a + WINDOW * batch])

    facts = {"engine": f"torch float32 on {device}, {batch} at a time"}
    return stream, Engine("torch", "float32", batch, WINDOW * batch, facts)


def stream_to_disk(
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
                facts = {"at": at, "rows": kept, "dims": dims, "ready": len(ready)}
                replace_text(note, json.dumps(facts))
                written = time.monotonic()
    note.unlink(missing_ok=True)
    return skipped, dims
