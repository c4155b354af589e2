"""Encoders: images to vectors. One file each."""

from typing import Any

from imclust.encoders._base import Encoder, EncoderType
from imclust.registry import Registry

ENCODERS: Registry[EncoderType] = Registry("encoder", "imclust.encoders")


def revive_encoder(config: dict[str, Any]) -> Encoder:
    """The encoder of a `weights` manifest's config, upon the one that it refines if it does."""
    entry, settings = ENCODERS.revive(config)
    if "base" in config:
        return entry.method(settings, revive_encoder(config["base"]))
    return entry.method(settings)


def modules(config: dict[str, Any]) -> tuple[str, ...]:
    """Names of the imclust modules that decide what such an encoder computes."""
    entry, _ = ENCODERS.revive(config)
    mine = (entry.method.__module__.removeprefix("imclust."),)
    return mine + (modules(config["base"]) if "base" in config else ())
