"""What every encoder offers the stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from imclust.core.errors import input_error
from imclust.core.manifest import read_manifest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from imclust.data.loader import Preprocessing
    from imclust.training.plan import Objective, TrainConfig

MOST_EPOCHS = 2000  # of a training under a budget


class Encoder:
    """Images (or texts) to vectors. Built from its config: `Encoder(config)`.

    An encoder with `refines` goes on from the weights of another and is built with it:
    `Encoder(config, base)`.
    """

    track: str = "scratch"
    """`scratch`, or `open` when its weights were trained on other data."""
    reads: Literal["images", "texts"] = "images"
    """What an index must hold for it."""
    refines: bool = False
    """Whether `train` must be given the weights that it starts from."""
    needs_spaces: bool = False
    """Whether `train` must be given other spaces of the images, for `take_spaces`."""
    decodes: bool = False
    """Whether `reconstruct` gives images back."""
    preprocessing: Preprocessing
    """Pixels to input; written into the weights file and read back from there. An encoder of
    texts has none."""
    code_shape: tuple[int, int, int] | None = None
    """(channels, rows, columns) of a code before it was flattened; None for a plain vector."""
    learns_at_once: bool = False
    """Whether `learn` takes what it needs from the training images, without a training plan."""
    batch: int = 64
    """Texts at a time unless `encode --batch` says otherwise; images have a number of their own."""

    def network(self) -> nn.Module:
        """A freshly initialised network (torch's generator decides its weights)."""
        raise NotImplementedError

    def upon(self, base: nn.Module) -> nn.Module:
        """The network to train, from the trained one of the encoder that this one refines."""
        return base

    def pretrained(self, network: nn.Module) -> dict[str, Any]:
        """Put weights that were trained elsewhere into `network`.

        Returns
        -------
        dict
            `weights_from`, where they came from, and `licence`, of what their publisher says;
            nothing where there are none.

        Raises
        ------
        InputError
            They are not to be had; the sentence names the file and its place.
        """
        return {}

    def lacks(self) -> str:
        """The weights file that is not at hand yet, or nothing when it can start at once."""
        return ""

    def input_facts(self) -> dict[str, Any]:
        """What turns stored data into its input, as JSON values; travels in the weights file."""
        return {"preprocessing": asdict(self.preprocessing)}

    def plan(self, n_images: int) -> TrainConfig | None:
        """How to train it on so many images; None when there is nothing to train."""
        return None

    def take_spaces(self, spaces: list[np.ndarray], seed: int) -> None:
        """What other spaces hold of the training images; asked for before `objective` if it
        `needs_spaces`.

        Parameters
        ----------
        spaces : list of ndarray of shape (n, d_v), float
            Rows in the order of the images.
        seed : int
            Of whatever is drawn.
        """
        raise NotImplementedError

    def learn(self, network: nn.Module, images: np.ndarray, seed: int) -> None:
        """Set the network's numbers from the training images (n, s, s, 3) uint8, in one pass; asked
        for only if it `learns_at_once`.

        Parameters
        ----------
        network : nn.Module
            A fresh one.
        images : ndarray of shape (n, s, s, 3), uint8
            To cluster; never those for validation.
        seed : int
            Of whatever is drawn.
        """
        raise NotImplementedError

    def suited(self, plan: TrainConfig, images: np.ndarray) -> TrainConfig:
        """The plan once the training images (n, s, s, 3) uint8 are seen."""
        return plan

    def objective(self, n_images: int, seed: int) -> Objective:
        """What its training lowers; asked for only when there is a plan."""
        raise NotImplementedError

    def encode(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, s, s) float32 -> latents (b, d) float32; asked for only if it reads images."""
        raise NotImplementedError

    def parts(self, network: nn.Module) -> list[int] | None:
        """Widths of the spaces that lie side by side in a latent; None for a single one."""
        return None

    def encode_texts(self, network: nn.Module, texts: Sequence[str], device: str) -> np.ndarray:
        """b texts -> latents (b, d) float32; asked for only if it reads texts.

        Parameters
        ----------
        network : nn.Module
            In evaluation mode, on `device`.
        texts : Sequence[str]
            At least one; a text's row must not depend on the others of the batch.
        """
        raise NotImplementedError

    def reconstruct(self, network: nn.Module, x: Tensor) -> Tensor:
        """(b, 3, s, s) -> the same shape and range; asked for only if it `decodes`."""
        raise NotImplementedError


EncoderType: TypeAlias = Callable[..., Encoder]


def needs_content(index: Path, encoder: Encoder, name: str) -> None:
    """Refuse an index that holds what the encoder cannot read."""
    holds = read_manifest(index, "index")["content"]
    if holds != encoder.reads:
        other = "an image encoder such as timm" if holds == "images" else "the text encoder"
        got = f"an index of {holds}"
        raise input_error(f"what {name} encodes", encoder.reads, got, f"take {other}")
