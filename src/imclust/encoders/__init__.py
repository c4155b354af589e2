"""Encoders: images to vectors. One file each."""

from imclust.encoders._base import EncoderType
from imclust.registry import Registry

ENCODERS: Registry[EncoderType] = Registry("encoder", "imclust.encoders")
