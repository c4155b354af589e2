"""Where an answer comes from: commands, versions, seeds, hashes, times, memory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CORRECTIONS = "--corrections"


def steps(made: Mapping[Path, dict[str, Any]]) -> list[dict[str, Any]]:
    """A dict an artefact, first made first: place, kind, method, seconds, memory, commit, hash.

    Args:
        made: of `artifacts.lineage`.
    """
    common = Path(os.path.commonpath(list(made))) if len(made) > 1 else next(iter(made)).parent
    return [
        {
            "place": path.relative_to(common).as_posix(),
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
        for path, doc in made.items()
    ]


def command(argv: list[str]) -> str:
    """A stage's command as one types it."""
    return shlex.join(["python", "-m", "imclust", *argv])


def corrected_command(argv: list[str], file: str) -> str:
    """The command that makes an answer again with a file of corrections.

    Args:
        argv: of the answer's manifest; a file of corrections that it named is replaced.
    """
    words = list(argv)
    while CORRECTIONS in words:
        at = words.index(CORRECTIONS)
        del words[at : at + 2]
    return command([words[0], CORRECTIONS, file, *words[1:]] if words else [])


def versions(made: Mapping[Path, dict[str, Any]]) -> list[tuple[str, str]]:
    """(name, version) of Python and the libraries; of several, all that occurred."""
    found: dict[str, set[str]] = {}
    for doc in made.values():
        for name, version in doc.get("versions", {}).items():
            found.setdefault(name, set()).add(version)
    return [(name, ", ".join(sorted(seen))) for name, seen in found.items()]


def settings(doc: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings of an artefact, flat: (`priors.row_order`, `ignore`)."""
    out: list[tuple[str, str]] = []

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                visit(f"{prefix}.{name}" if prefix else name, inner)
        else:
            out.append((prefix, "" if value is None else str(value)))

    visit("", doc["config"])
    return out
