"""What a bundled network calls what it sees: its ImageNet classes and the words above them.

The words are WordNet 3.0's (Princeton University; see `imagenet_words.LICENSE.txt`), as
`scripts/imagenet_words.py` takes them from there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from imclust.clustering.vocabulary import Vocabulary
from imclust.core.manifest import read_manifest
from imclust.core.records import Features, read_csv
from imclust.encoders.timm import packaged

WORDS = Path(__file__).with_name("imagenet_words.csv")
SYNONYMS = Path(__file__).with_name("imagenet_synonyms.csv")
# Of several words for the very same classes the nearest, `monarch`, not `danaid`, unless another is
# so many times as common, and stands in so many of WordNet's definitions: `airplane`, not
# `airliner`; `motorcycle`, not `moped`. Set on the list of all such words.
COMMONER, USED = 4, 20
# ImageNet has no class of persons, but its pictures of clothes show who wears them.
PERSON = ("person", "people")
WORN = {word: f"person or {word}" for word in ("clothing", "garment")}


def imagenet_words() -> Vocabulary:
    """Of the 1000 classes of ImageNet.

    Examples
    --------
    >>> words = imagenet_words()
    >>> {"great white shark", "shark", "fish"} <= {
    ...     words.words[v] for v in np.flatnonzero(words.members[2])}
    True
    """
    rows = _words_of_classes()
    often = {row["word"]: int(row["uses"]) for row in read_csv(SYNONYMS) if row["uses"]}
    nearest = sorted((at, word) for row in rows for at, word in enumerate(row))
    classes: dict[str, list[int]] = {word: [] for _, word in nearest}
    for c, row in enumerate(rows):
        for word in row:
            classes[word].append(c)
    first: dict[tuple[int, ...], str] = {}
    for word, mine in classes.items():
        before = first.setdefault(tuple(mine), word)
        if before in often and often.get(word, 0) >= max(USED, COMMONER * often[before]):
            first[tuple(mine)] = word
    members = np.zeros((len(rows), len(first)), bool)
    for v, together in enumerate(first):
        members[list(together), v] = True
    uses = np.array([often.get(word, 0) for word in first.values()])
    return Vocabulary(tuple(WORN.get(word, word) for word in first.values()), members, uses)


def _words_of_classes() -> list[list[str]]:
    """Of each class its name, what it is a kind of, the nearest first, and what else it is."""
    return [
        [row["name"], *filter(None, (*row["hypernyms"].split("|"), *row["also"].split("|")))]
        for row in read_csv(WORDS)
    ]


def class_words() -> tuple[tuple[str, ...], ...]:
    """Words that find each class of ImageNet: its name, what it is a kind of, and their synonyms.

    Examples
    --------
    >>> set(class_words()[468]) >= {"cab", "taxi", "car", "motor vehicle"}
    True
    """
    other = {row["word"]: row["synonyms"].split("|") for row in read_csv(SYNONYMS)}
    other["clothing"] = [*filter(None, other.get("clothing", ())), *PERSON]
    return tuple(
        tuple(dict.fromkeys([*row, *(o for word in row for o in other.get(word, ()) if o)]))
        for row in _words_of_classes()
    )


def network_of(features: Path) -> str:
    """timm's name of the network that made a `features` artefact, or "".

    Examples
    --------
    >>> network_of(Path("run/latents"))  # these are pixels
    ''
    """
    doc = read_manifest(features, Features.kind)
    weights = doc["inputs_at"].get("weights")
    config = read_manifest(features / weights)["config"] if weights else {}
    return str(config.get("model", "")) if config.get("method") == "timm" else ""


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
    path = packaged(model)
    if path is None:
        return None
    weight, bias = _head(path)
    if weight.shape[1] != vectors.shape[1]:
        return None
    return np.asarray(vectors, np.float32) @ weight.T + bias


@cache
def _head(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the classifier in a file."""
    from imclust.training.pretrained import read_state

    state = read_state(path)
    weight, bias = (np.asarray(state[f"_fc.{name}"]) for name in ("weight", "bias"))
    return weight, bias
