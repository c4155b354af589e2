"""A second look at some images, at several sizes, to tell what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imclust.core.errors import DamagedArtifactError
from imclust.core.log import progress
from imclust.core.manifest import MANIFEST, artifact_file, parse_json
from imclust.data.images import ImageRow
from imclust.encoders.class_head import class_logits
from imclust.encoders.timm import Timm, TimmConfig, packaged

SIDES = (128, 160, 224)  # pixels of the squares that are looked at, and their mirror images
BATCH = 16
SECONDS = 0.04  # that an image takes on 2 cores
FILE = "looked.npz"


def is_small(rows: Sequence[ImageRow]) -> bool:
    """Whether most images have a side below the largest of SIDES: a second look sees more of them.

    Examples
    --------
    >>> is_small([])
    False
    """
    sides = [min(row.width, row.height) for row in rows]
    return bool(sides) and bool(np.median(sides) < SIDES[-1])


@dataclass
class SecondLook:
    """What a bundled network says of images when it takes its time.

    Latents come from one look at one size, which has to do for a whole folder. The mean of what the
    classifier says at SIDES, of each image and its mirror image, names clusters of pictures of 30
    to 64 pixels better (`benchmarks/names.py`), and costs about six times a look.

    Parameters
    ----------
    model : str
        timm's name.
    known : dict of str to np.ndarray
        Digest of an image's bytes -> (c,) float16, its mean logits.
    asked : list of str
        Digests of the images that were asked for, which are what is saved.
    """

    model: str
    known: dict[str, np.ndarray] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @staticmethod
    def possible(model: str) -> bool:
        """Whether it is a bundled network.

        Examples
        --------
        >>> SecondLook.possible("resnet18")
        False
        """
        return packaged(model) is not None

    @classmethod
    def load(cls, model: str, folder: Path) -> SecondLook:
        """With what an earlier visit saved, where there was one: nothing is looked at twice.

        Examples
        --------
        >>> SecondLook.load("tf_efficientnet_lite0", Path("nowhere")).known
        {}
        """
        doc = parse_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
        if not doc or FILE not in doc.get("files", ()):
            return cls(model)
        try:
            with np.load(artifact_file(folder, FILE), allow_pickle=False) as kept:
                mine = (kept["model"] == model) and kept["sides"].tolist() == [*SIDES]
                known = zip(kept["digests"].tolist(), kept["logits"], strict=True)
                return cls(model, dict(known) if mine else {})
        except (DamagedArtifactError, OSError, ValueError, KeyError):
            return cls(model)

    def save(self, folder: Path) -> None:
        """Write what it says of the images that were asked for.

        Examples
        --------
        >>> look = SecondLook("tf_efficientnet_lite0", {"a": np.zeros(1000, np.float16)}, ["a"])
        >>> look.save(Path())
        >>> Path("looked.npz").is_file()
        True
        """
        logits = np.stack([self.known[digest] for digest in self.asked])
        digests, model, sides = np.array(self.asked), np.array(self.model), np.array(SIDES)
        np.savez(folder / FILE, digests=digests, logits=logits, model=model, sides=sides)

    def logits(self, rows: Sequence[ImageRow]) -> np.ndarray:
        """What the classifier says: (n, c) float32, in float16's steps.

        Parameters
        ----------
        rows : sequence of ImageRow
            Which images.

        Raises
        ------
        InputError
            An image that was readable before is no longer.

        Examples
        --------
        >>> from imclust.data.images import load_index
        >>> SecondLook("tf_efficientnet_lite0").logits(load_index(Path("raw/index"))[:2]).shape
        (2, 1000)
        """
        digests = [row.digest or row.id for row in rows]
        new = {d: row for d, row in zip(digests, rows, strict=True) if d not in self.known}
        if new:
            self.known |= zip(new, self._looked([*new.values()]), strict=True)
        self.asked = [*dict.fromkeys(digests)]
        return np.stack([self.known[digest] for digest in digests]).astype(np.float32)

    def _looked(self, rows: list[ImageRow]) -> np.ndarray:
        """The mean (n, c) float16 over sides and mirror images."""
        import torch

        from imclust.data.loader import Preprocessing, pixel_batches, to_input

        encoders = [Timm(TimmConfig(model=self.model, size=side, crop=1.0)) for side in SIDES]
        network = encoders[0].network()
        encoders[0].pretrained(network)
        network.eval()

        def said(block: np.ndarray, side: Preprocessing) -> np.ndarray:
            x = to_input(block, side, "cpu")
            both = (network(x) + network(x.flip(3))) / 2
            logits = class_logits(self.model, both.numpy())
            assert logits is not None  # it is a bundled network
            return logits

        sides = [encoder.preprocessing for encoder in encoders]
        found = []
        with (
            progress(None, "names", total=len(rows), unit="img") as bar,
            torch.inference_mode(),
        ):
            batches = (pixel_batches(rows, side, BATCH) for side in sides)
            for blocks in zip(*batches, strict=True):
                each = [said(block, side) for block, side in zip(blocks, sides, strict=True)]
                found.append(sum(each) / len(SIDES))
                bar.update(len(blocks[0]))
        return np.concatenate(found).astype(np.float16)
