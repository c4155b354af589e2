"""`encoders`: which encoders there are, and whether their weights are at hand."""

from __future__ import annotations

from dataclasses import dataclass

from imclust.core.log import say
from imclust.encoders import ENCODERS, lacking_weights


@dataclass(frozen=True)
class Encoders:
    """List the encoders, their track, and the weights file that each lacks, if any."""


def run(cfg: Encoders) -> None:
    """Print the encoders and which weights are at hand; writes nothing.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main(["encoders"])  # doctest: +ELLIPSIS
    colour             scratch  ready    Stricker and Orengo 1995; Swain and Ballard 1991
    ...
    0
    """
    for entry in ENCODERS:
        lacking = lacking_weights(entry.name)
        ready = f"lacks {lacking}" if lacking else "ready"
        track = getattr(entry.method, "track", "scratch")
        say(f"{entry.name:<18} {track:<8} {ready:<8} {entry.paper}")
