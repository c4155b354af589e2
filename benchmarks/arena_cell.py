"""One head on one space of one set, every seed, in a process of its own; started by arena.py.

Reads a job as JSON from stdin. Writes one line `{}` when the data are loaded and then one JSON
object a seed to stdout. A head that fails gives `{"seed": ..., "error": "its reason"}`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arena_data import DataSet, Loaded, load
from imclust.api import Result, cluster_latents
from imclust.clustering.metrics import ari, hungarian_accuracy, nmi
from imclust.core.checks import cluster_count
from imclust.core.errors import InputError


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


def answer(
    data: Loaded, name: str, options: Mapping[str, Any], seed: int
) -> tuple[Result, np.ndarray]:
    """The result, and clusters (n,) of every row."""
    fitted = [x[data.fit] for x in data.spaces]
    others = [x[~data.fit] for x in data.spaces]
    cluster_count(data.n_clusters, len(fitted[0]))
    found = cluster_latents(fitted, data.n_clusters, name, seed, **options)
    labels = np.empty(len(data.fit), np.int64)
    labels[data.fit] = found.labels
    if len(others[0]):
        labels[~data.fit] = found.predict(others).argmax(1)
    return found, labels


def measure(data: Loaded, name: str, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Numbers of one cell, against the labels of the rows that have one."""
    began = time.perf_counter()
    found, labels = answer(data, name, options, seed)
    seconds = time.perf_counter() - began
    known = data.y >= 0
    y, c = data.y[known], labels[known]
    return {
        "seed": seed,
        "accuracy": hungarian_accuracy(y, c),
        "nmi": nmi(y, c),
        "ari": ari(y, c),
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "score": found.score,
        "estimated_accuracy": found.facts.get("estimated_accuracy"),
        "method": found.facts.get("head", found.method),
        "view": found.facts.get("view", ""),
        "candidates": _candidates(found, data.y[data.fit]),
    }


def _candidates(found: Result, y: np.ndarray) -> list[dict[str, Any]]:
    """Numbers of every candidate that was compared, and its accuracy where labels are known."""
    if found.compared_rows is None:
        return []
    truth = y[found.compared_rows]
    known = truth >= 0
    rows = []
    for candidate in found.members:
        row = candidate.row()
        if known.any():
            row["accuracy"] = hungarian_accuracy(truth[known], candidate.labels[known])
        rows.append(row)
    return rows


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
            except InputError as e:
                cell = {"seed": seed, "error": str(e)}
            except Exception as e:  # its reason becomes a row of the table
                cell = {"seed": seed, "error": f"{type(e).__name__}: {e}".splitlines()[0]}
            out.write(json.dumps(cell, default=float) + "\n")


if __name__ == "__main__":
    main()
