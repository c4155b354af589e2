"""What a bundled network calls what it sees: its ImageNet classes and the words above them.

The words are WordNet 3.0's (Princeton University; see `imagenet_words.LICENSE.txt`), as
`scripts/imagenet_words.py` takes them from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imclust.core.records import read_csv
from imclust.encoders.timm import packaged

WORDS = Path(__file__).with_name("imagenet_words.csv")


@dataclass(frozen=True)
class ClassWords:
    """Words for the classes of a classifier.

    Parameters
    ----------
    words : tuple of str
        Every word once: names of classes and of what they are kinds of.
    members : np.ndarray
        (c, v) bool, whether class c is of the kind that word v names.
    """

    words: tuple[str, ...]
    members: np.ndarray

    @cached_property
    def rarity(self) -> np.ndarray:
        """(v,) float64: log of classes over those that a word names; 0 for a word of all."""
        return np.log(len(self.members) / self.members.sum(0))


def imagenet_words() -> ClassWords:
    """Of the 1000 classes of ImageNet.

    Examples
    --------
    >>> words = imagenet_words()
    >>> {"great white shark", "shark", "fish"} <= {
    ...     words.words[v] for v in np.flatnonzero(words.members[2])}
    True
    """
    rows = [[row["name"], *filter(None, row["hypernyms"].split("|"))] for row in read_csv(WORDS)]
    # The nearest of several words for the very same classes: `monarch`, not `danaid`.
    deepest = sorted((at, word) for row in rows for at, word in enumerate(row))
    classes: dict[str, list[int]] = {word: [] for _, word in deepest}
    for c, row in enumerate(rows):
        for word in row:
            classes[word].append(c)
    first: dict[tuple[int, ...], str] = {}
    for word, mine in classes.items():
        first.setdefault(tuple(mine), word)
    members = np.zeros((len(rows), len(first)), bool)
    for v, together in enumerate(first):
        members[list(together), v] = True
    return ClassWords(tuple(first.values()), members)


def class_logits(model: str, vectors: np.ndarray) -> np.ndarray | None:
    """What the classifier of a bundled network says of its own vectors; None for other networks.

    Parameters
    ----------
    model : str
        timm's name.
    vectors : np.ndarray
        (n, d) float32, before the classifier.

    Returns
    -------
    np.ndarray or None
        (n, 1000) float32.

    Examples
    --------
    >>> class_logits("resnet18", np.zeros((2, 512), np.float32)) is None  # it is not bundled
    True
    >>> class_logits("tf_efficientnet_lite0", np.zeros((2, 1280), np.float32)).shape
    (2, 1000)
    """
    from imclust.training.pretrained import read_state

    path = packaged(model)
    if path is None:
        return None
    state = read_state(path)
    weight, bias = (np.asarray(state[f"_fc.{name}"]) for name in ("weight", "bias"))
    if weight.shape[1] != vectors.shape[1]:
        return None
    return np.asarray(vectors, np.float32) @ weight.T + bias
