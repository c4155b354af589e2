"""Encoders: images to vectors. One file each."""

from typing import Any

from imclust.core.registry import Registry
from imclust.encoders._base import Encoder, EncoderType

ENCODERS: Registry[EncoderType] = Registry("encoder", "imclust.encoders")


def revive_encoder(config: dict[str, Any]) -> Encoder:
    """The encoder of a `weights` manifest's config, upon the one that it refines if it does."""
    entry, settings = ENCODERS.revive(config)
    if "base" in config:
        return entry.method(settings, revive_encoder(config["base"]))
    return entry.method(settings)


def method_modules(config: dict[str, Any]) -> tuple[str, ...]:
    """Full names of the modules that define such an encoder and those that it refines."""
    entry, _ = ENCODERS.revive(config)
    mine = (entry.method.__module__,)
    return mine + (method_modules(config["base"]) if "base" in config else ())
