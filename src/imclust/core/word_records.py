"""What is seen in every image, in words, and how a word finds its images."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from imclust.core.manifest import artifact_file, read_manifest
from imclust.core.npy import open_npy

LEAST = 0.05  # share of what is seen in an image that a word must have to find it


@dataclass(frozen=True)
class SeenClasses:
    """The classes that are likeliest in every image.

    Parameters
    ----------
    ids : np.ndarray
        (n,) str.
    classes : tuple of tuple of str
        Words of every class: its own, then what it is a kind of.
    likeliest : np.ndarray
        (n, t) uint16, classes of each image, the likeliest first.
    shares : np.ndarray
        (n, t) float16 in [0, 1], how likely each is among all classes.
    vectors : np.ndarray, optional
        (c, d) float32, a text tower's unit vector of every class; None for a classifier's classes.
    projection : np.ndarray, optional
        (e, d) float32, from latents to the space of these vectors; None where they lie there.
    scale : float
        By which a text tower sharpens cosines.
    tower : str
        Its folder or name, "" for a classifier.
    """

    kind: ClassVar[str] = "words"
    ids: np.ndarray
    classes: tuple[tuple[str, ...], ...]
    likeliest: np.ndarray
    shares: np.ndarray
    vectors: np.ndarray | None = None
    projection: np.ndarray | None = None
    scale: float = 1.0
    tower: str = ""

    @property
    def words(self) -> list[str]:
        """Every word once, in the order of the classes."""
        return list(dict.fromkeys(word for mine in self.classes for word in mine))

    def fit(self, latents: np.ndarray) -> np.ndarray:
        """How well a tower's words fit images: (n, e) latents -> (n, c) float32, cosine * scale."""
        assert self.vectors is not None
        return self.scale * (self.unit(latents) @ self.vectors.T)

    def unit(self, latents: np.ndarray) -> np.ndarray:
        """(n, e) latents -> (n, d) float32 of length 1 in the space of a tower's words."""
        rows = np.asarray(latents, np.float32)
        rows = rows if self.projection is None else rows @ self.projection
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def once(self, words: Sequence[str]) -> list[str]:
        """Words without those that say the very same classes as an earlier one."""
        of = {w: tuple(c for c, mine in enumerate(self.classes) if w in mine) for w in words}
        return [w for w, same in of.items() if next(v for v in of if of[v] == same) == w]

    def share_of(self, words: Sequence[str]) -> np.ndarray:
        """(n,) float32: how much of what is seen in each image any of these words says."""
        wanted = set(words)
        meant = np.array([bool(wanted & set(mine)) for mine in self.classes])
        return np.where(meant[self.likeliest], self.shares, 0).astype(np.float32).sum(1)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write it; returns the facts for the manifest."""
        np.save(folder / "ids.npy", self.ids.astype(str), allow_pickle=False)
        np.save(folder / "likeliest.npy", self.likeliest.astype(np.uint16))
        np.save(folder / "shares.npy", self.shares.astype(np.float16))
        text = json.dumps([list(mine) for mine in self.classes], ensure_ascii=False)
        (folder / "classes.json").write_text(text, encoding="utf-8")
        for name, array in (("vectors", self.vectors), ("projection", self.projection)):
            if array is not None:
                np.save(folder / f"{name}.npy", array.astype(np.float32))
        return {"tower": self.tower, "scale": self.scale}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the artefact in `folder`."""
        doc = read_manifest(folder, cls.kind)
        names = ("ids.npy", "likeliest.npy", "shares.npy")
        ids, likeliest, shares = (open_npy(artifact_file(folder, name)) for name in names)
        text = artifact_file(folder, "classes.json").read_text(encoding="utf-8")
        classes = tuple(tuple(mine) for mine in json.loads(text))
        vectors, projection = (
            open_npy(artifact_file(folder, name)) if name in doc["files"] else None
            for name in ("vectors.npy", "projection.npy")
        )
        of_tower = (vectors, projection, doc["scale"], doc["tower"])
        return cls(ids, classes, likeliest, shares, *of_tower)


def words_like(query: str, words: Sequence[str]) -> list[str]:
    """Words that a query means: those that are it, singular or plural, in one word or several; else
    those in which a word begins with it.

    Parameters
    ----------
    query : str
        What somebody typed.
    words : sequence of str
        Among which are sought.

    Examples
    --------
    >>> known = ["car", "carton", "sea lion", "seashore", "overseas cap"]
    >>> words_like("Cars", known), words_like("sea", known)
    (['car'], ['sea lion', 'seashore'])
    >>> words_like("sealions", known)
    ['sea lion']
    """
    wanted = _forms(query)
    same = [word for word in words if wanted & _forms(word)]
    begins = re.compile(rf"(?:^|[ -]){re.escape(query.strip().lower())}")
    return same or [word for word in words if query.strip() and begins.search(word.lower())]


def _forms(text: str) -> set[str]:
    """A word in small letters without gaps, and what it may be the plural of; the same as in
    find.js."""
    word = re.sub(r"[\s-]+", "", text.lower())
    endings = (("s", ""), ("es", ""), ("ies", "y"))
    return {word, *(word.removesuffix(s) + y for s, y in endings if word.endswith(s))} - {""}
