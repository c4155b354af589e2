"""Words for the classes of a classifier, and what a word is worth as a name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

AND = " and "  # between the two words of a name; none of WordNet's has it
COMMON = 0.25  # how much a word gains by being a common one; see `Vocabulary.worth`


@dataclass(frozen=True)
class Vocabulary:
    """Words for the classes of a classifier.

    Parameters
    ----------
    words : tuple of str
        Every word once: names of classes and of what they are kinds of.
    members : np.ndarray
        (c, v) bool, whether class c is of the kind that word v names.
    uses : np.ndarray, optional
        (v,) int, how often a word is used; not known unless given.
    """

    words: tuple[str, ...]
    members: np.ndarray
    uses: np.ndarray | None = None

    @cached_property
    def commonness(self) -> np.ndarray:
        """(v,) float64: COMMON times the log of how often a word is used."""
        if self.uses is None:
            return np.zeros(len(self.words))
        return COMMON * np.log1p(self.uses)

    @cached_property
    def worth(self) -> np.ndarray:
        """(v,) float64: the log of classes over those that a word names, and how common it is; 0
        for a word of all, which tells nothing."""
        rarity = np.log(len(self.members) / self.members.sum(0))
        return np.where(rarity > 0, rarity + self.commonness, 0)

    def worth_of(self, words: list[int]) -> float:
        """What words of different classes are worth together: they name more, and are as common as
        the rarest of them.

        Examples
        --------
        >>> two = Vocabulary(("cat", "dog"), np.eye(4, 2, dtype=bool))
        >>> round(two.worth_of([0]), 2), round(two.worth_of([0, 1]), 2)
        (1.39, 0.69)
        """
        rarity = float(np.log(len(self.members) / self.members[:, words].sum()))
        return rarity + float(self.commonness[words].min()) if rarity > 0 else 0.0

    def places(self, name: str) -> list[int]:
        """Places of the word, or of the two joined by `AND`, that a name is; none of another name.

        Examples
        --------
        >>> two = Vocabulary(("cat", "dog"), np.eye(2, dtype=bool))
        >>> two.places("dog and cat"), two.places("rex")
        ([1, 0], [])
        """
        found = [self._at[word] for word in name.split(AND) if word in self._at]
        return found if len(found) == name.count(AND) + 1 else []

    @cached_property
    def _at(self) -> dict[str, int]:
        return {word: v for v, word in enumerate(self.words)}
