"""`encoders`: which encoders there are, and whether their weights are at hand."""

from __future__ import annotations

from dataclasses import dataclass

from imclust.core.errors import input_error
from imclust.core.log import say
from imclust.encoders import ENCODERS


@dataclass(frozen=True)
class Encoders:
    """List the encoders, their track, and the weights file that each lacks, if any."""

    first: tuple[str, ...] = ()
    """Print only the first of these names whose weights are at hand."""


def run(cfg: Encoders) -> None:
    """Run the stage."""
    lacking = {}
    for entry in ENCODERS:
        refines = getattr(entry.method, "refines", False)
        lacking[entry.name] = "" if refines else entry.method(entry.config()).lacks()
        if not cfg.first:
            ready = f"lacks {lacking[entry.name]}" if lacking[entry.name] else "ready"
            track = getattr(entry.method, "track", "scratch")
            say(f"{entry.name:<18} {track:<8} {ready:<8} {entry.paper}")
    if cfg.first:
        for name in cfg.first:
            if name not in lacking:
                raise input_error("--first", f"of {', '.join(lacking)}", name, "check the name")
            if not lacking[name]:
                say(name)
                return
        raise input_error(
            f"weights of one of {', '.join(cfg.first)}",
            "at hand",
            "; ".join(f"{n} lacks {lacking[n]}" for n in cfg.first),
            "put one of these files there",
        )
