"""Encoders: images to vectors. One file each."""

from typing import Any

from imclust.core.errors import input_error
from imclust.core.registry import Registry
from imclust.encoders._base import Encoder, EncoderType

ENCODERS: Registry[EncoderType] = Registry("encoder", "imclust.encoders")


def revive_encoder(config: dict[str, Any]) -> Encoder:
    """The encoder of a `weights` manifest's config, upon the one that it refines if it does.

    Examples
    --------
    >>> type(revive_encoder({"method": "pixels"})).__name__
    'Pixels'
    """
    entry, settings = ENCODERS.revive(config)
    if "base" in config:
        return entry.method(settings, revive_encoder(config["base"]))
    return entry.method(settings)


def method_modules(config: dict[str, Any]) -> tuple[str, ...]:
    """Full names of the modules that define such an encoder and those that it refines.

    Examples
    --------
    >>> method_modules({"method": "pixels"})
    ('imclust.encoders.pixels',)
    """
    entry, _ = ENCODERS.revive(config)
    mine = (entry.method.__module__,)
    return mine + (method_modules(config["base"]) if "base" in config else ())


def lacking_weights(name: str) -> str:
    """The weights file that an encoder needs and that is not at hand; empty for none.

    Parameters
    ----------
    name : str
        Of the encoder, which is taken with its default settings.

    Examples
    --------
    >>> lacking_weights("pixels")
    ''
    """
    entry = ENCODERS[name]
    refines = getattr(entry.method, "refines", False)
    return "" if refines else entry.method(entry.config()).lacks()


def first_at_hand(*names: str) -> str:
    """The first of the encoders whose weights are at hand.

    Parameters
    ----------
    *names : str
        In the order in which they are wanted.

    Raises
    ------
    InputError
        None of them can start at once.

    Examples
    --------
    >>> first_at_hand("pixels", "vgg16")
    'pixels'
    """
    lacking = {name: lacking_weights(name) for name in names}
    for name, file in lacking.items():
        if not file:
            return name
    got = "; ".join(f"{name} lacks {file}" for name, file in lacking.items())
    do = "put one of these files there"
    raise input_error(f"weights of one of {', '.join(names)}", "at hand", got, do)
