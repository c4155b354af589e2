"""One head on one space of one set, every seed, in a process of its own; started by arena.py.

Reads a job as JSON from stdin. Writes one line `{}` when the data are loaded and then one JSON
object a seed to stdout. A head that fails gives `{"seed": ..., "error": "its reason"}`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arena_data import DataSet, Loaded, load
from imclust.checks import Refusal, cluster_count
from imclust.clusterers import CLUSTERERS
from imclust.clusterers._base import as_input
from imclust.metrics import ari, hungarian_accuracy, nmi

HAS_API = importlib.util.find_spec("imclust.api") is not None


def parse_head(text: str) -> tuple[str, dict[str, Any]]:
    """`name` or `name:field=value,field=value` -> (name, options)."""
    name, _, settings = text.partition(":")
    pairs = (s.partition("=") for s in settings.split(",") if s)
    return name, {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def answer(data: Loaded, name: str, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Clusters (n,) of every row, and whatever else the result tells."""
    fitted = [x[data.fit] for x in data.spaces]
    others = [x[~data.fit] for x in data.spaces]
    cluster_count(data.n_clusters, len(fitted[0]))
    found = (_by_api if HAS_API else _by_registry)(fitted, data.n_clusters, name, options, seed)
    labels = np.empty(len(data.fit), np.int64)
    labels[data.fit] = found["labels"]
    if len(others[0]):
        labels[~data.fit] = found["place"](others).argmax(1)
    return found | {"labels": labels}


def _by_api(
    spaces: list[np.ndarray], k: int, name: str, options: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    api: Any = importlib.import_module("imclust.api")
    found = api.cluster_latents(spaces, k, method=name, seed=seed, **options)
    place: Callable[[Any], np.ndarray] = found.place
    return {
        "labels": found.labels,
        "place": lambda rows: place(rows if len(rows) > 1 else rows[0]),
        "score": found.score,
        "method": found.method,
        "candidates": found.candidates,
    }


def _by_registry(
    spaces: list[np.ndarray], k: int, name: str, options: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    entry, config = CLUSTERERS.configured(name, options)
    found = entry.method(as_input(entry.method, spaces), k, config, seed)
    return {
        "labels": found.labels,
        "place": lambda rows: found.place(as_input(entry.method, rows)),
    }


def measure(data: Loaded, name: str, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Numbers of one cell, against the labels of the rows that have one."""
    began = time.perf_counter()
    found = answer(data, name, options, seed)
    seconds = time.perf_counter() - began
    known = data.y >= 0
    y, c = data.y[known], found["labels"][known]
    score = found.get("score")
    return {
        "seed": seed,
        "accuracy": hungarian_accuracy(y, c),
        "nmi": nmi(y, c),
        "ari": ari(y, c),
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "score": None if score is None else float(score),
        "method": found.get("method", name),
        "candidates": [_candidate(c, data) for c in found.get("candidates") or []],
    }


def _candidate(given: Mapping[str, Any], data: Loaded) -> dict[str, Any]:
    """Name, label-free score and accuracy of one candidate, as far as its row tells them."""
    kept = {k: v for k, v in given.items() if isinstance(v, str | int | float | bool)}
    labels = given.get("labels")
    y = data.y[data.fit]
    if labels is not None and len(labels) == len(y) and (y >= 0).any():
        kept["accuracy"] = hungarian_accuracy(y[y >= 0], np.asarray(labels)[y >= 0])
    return kept


def peak_mib() -> float:
    """Most memory that this process has held. Linux' VmHWM: ru_maxrss starts at the parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Read the job, load, run every seed."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    # What a head prints must not end up between the lines that arena.py reads.
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)
        job = json.load(sys.stdin)
        data = load(DataSet.from_json(job["data"]), job["space"], job["rows"])
        name, options = parse_head(job["head"])
        importlib.import_module("sklearn.cluster")  # or the first seed of most heads pays for it
        out.write("{}\n")
        for seed in job["seeds"]:
            try:
                cell = measure(data, name, options, seed)
            except Refusal as e:
                cell = {"seed": seed, "error": str(e)}
            except Exception as e:  # its reason becomes a row of the table
                cell = {"seed": seed, "error": f"{type(e).__name__}: {e}".splitlines()[0]}
            out.write(json.dumps(cell, default=float) + "\n")


if __name__ == "__main__":
    main()
