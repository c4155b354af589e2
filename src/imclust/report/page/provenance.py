"""Where an assignment comes from: commands, versions, seeds, hashes, times, memory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from imclust.clustering.clusterers import CLUSTERERS
from imclust.clustering.uncorrected import split_corrections
from imclust.core.artifacts import current_command
from imclust.core.manifest import read_manifest
from imclust.report.page.sources import Sources

CORRECTIONS = "--corrections"


def steps(made: Mapping[Path, dict[str, Any]]) -> list[dict[str, Any]]:
    """A dict an artefact, first made first: place, kind, method, seconds, memory, commit, hash.

    Parameters
    ----------
    made : Mapping[Path, dict[str, Any]]
        Of `artifacts.lineage`.

    Examples
    --------
    >>> from imclust.core.manifest import lineage
    >>> [step["place"] for step in steps(lineage(Path("run/clusters")))]
    ['raw/index', 'run/weights', 'run/latents', 'run/clusters']
    """
    places = [os.path.abspath(path) for path in made]
    common = os.path.commonpath(places) if len(places) > 1 else os.path.dirname(places[0])
    return [
        {
            "place": Path(place).relative_to(common).as_posix(),
            "kind": doc["kind"],
            "method": doc["config"].get("method") or doc["config"].get("challenge") or "",
            "seed": doc["config"].get("seed"),
            "seconds": doc["seconds"],
            "cpu_seconds": doc.get("cpu_seconds"),
            "peak_mib": doc["peak_mib"],
            "device": doc.get("device") or "",
            "track": doc.get("track") or "",
            "git": doc.get("git") or "unknown",
            "written": doc["written"].replace("T", " ").rstrip("Z"),
            "digest": doc["digest"],
            "command": command(doc["argv"]),
        }
        for place, doc in zip(places, made.values(), strict=True)
    ]


def command(argv: list[str]) -> str:
    """A stage's command as one types it.

    Examples
    --------
    >>> command(["encode", "--out", "my latents"])
    "python -m imclust encode --out 'my latents'"
    """
    return shlex.join(["python", "-m", "imclust", *argv])


def new_file(doc: dict[str, Any]) -> str:
    """Name of the next file of corrections, which speaks of the assignment as it is shown.

    The assignment was made with the files before it, so these stay: `corrections.json`, then
    `corrections-2.json`, ...

    Examples
    --------
    >>> new_file({"argv": ["cluster", "--corrections", "corrections.json", "kmeans"]})
    'corrections-2.json'
    """
    files = len(split_corrections(list(doc["argv"]))[0])
    return f"corrections-{files + 1}.json" if files else "corrections.json"


def corrected_command(at: Sources, doc: dict[str, Any], file: str) -> str:
    """The command that makes an assignment, and this page of it, again with a file of corrections.

    Where one command made all, that. Else those of the manifests, one behind the other; of an
    answer that was made through Python, the one that says the same.

    Parameters
    ----------
    at : Sources
        Where the assignment and its index are.
    doc : dict[str, Any]
        The assignment's manifest.

    Examples
    --------
    >>> at = Sources(Path("run/clusters"), Path("raw/index"))
    >>> doc = read_manifest(Path("run/clusters"))
    >>> corrected_command(at, doc, "corrections.json").partition(" --index")[0]
    'python -m imclust cluster --corrections corrections.json'
    """
    if at.refreshed_by:
        return f"{at.refreshed_by} {CORRECTIONS} {shlex.quote(file)}"
    words = list(doc["argv"])
    if words[:1] not in (["cluster"], ["link"]):
        words = ["cluster", *_as_flags(at, doc)]
    _, rest = split_corrections(words)
    made = [[rest[0], CORRECTIONS, file, *rest[1:]]]
    made += [list(read_manifest(p)["argv"]) for p in (at.scores, at.submission) if p is not None]
    made.append(current_command())
    return " && \\\n  ".join(command(words) for words in made if words)


def _as_flags(at: Sources, doc: dict[str, Any]) -> list[str]:
    """The settings of an assignment as flags of `cluster`; of the head, those not default."""
    inputs = doc["inputs_at"].items()
    features = [
        os.path.normpath(at.assignment / p) for role, p in inputs if role.startswith("features")
    ]
    config = doc["config"]
    words = ["--features", *features, "--index", str(at.index), "--out", str(at.assignment)]
    words += ["--n-clusters", str(doc["n_clusters"]), "--seed", str(config.get("seed", 0))]
    if config.get("method") not in {entry.name for entry in CLUSTERERS}:
        return words
    entry, head = CLUSTERERS.revive(config)
    words.append(entry.name)
    for field in fields(head):
        value = getattr(head, field.name)
        if value == field.default:
            continue
        flag = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"--{flag}", *map(str, several)]
    return words


def versions(made: Mapping[Path, dict[str, Any]]) -> list[tuple[str, str]]:
    """(name, version) of Python and the libraries; of several, all that occurred.

    Examples
    --------
    >>> old, new = ({"versions": {"numpy": number}} for number in ("2.1", "2.2"))
    >>> versions({Path("latents"): old, Path("clusters"): new})
    [('numpy', '2.1, 2.2')]
    """
    found: dict[str, set[str]] = {}
    for doc in made.values():
        for name, version in doc.get("versions", {}).items():
            found.setdefault(name, set()).add(version)
    return [(name, ", ".join(sorted(seen))) for name, seen in found.items()]


def settings(doc: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings of an artefact, flat: (`priors.row_order`, `ignore`).

    Examples
    --------
    >>> settings({"config": {"seed": 0, "priors": {"row_order": "ignore"}}})
    [('seed', '0'), ('priors.row_order', 'ignore')]
    """
    out: list[tuple[str, str]] = []

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                visit(f"{prefix}.{name}" if prefix else name, inner)
        else:
            out.append((prefix, "" if value is None else str(value)))

    visit("", doc["config"])
    return out
