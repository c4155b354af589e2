"""Images to image encoders, texts to text encoders."""

from __future__ import annotations

from pathlib import Path

from imclust.artifacts import read_manifest
from imclust.checks import refusal
from imclust.encoders._base import Encoder


def needs_content(index: Path, encoder: Encoder, name: str) -> None:
    """Refuse an index that holds what the encoder cannot read."""
    holds = read_manifest(index, "index")["content"]
    if holds != encoder.reads:
        other = "an image encoder such as timm" if holds == "images" else "the text encoder"
        got = f"an index of {holds}"
        raise refusal(f"what {name} encodes", encoder.reads, got, f"take {other}")
