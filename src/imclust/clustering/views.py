"""What all heads of `auto` share: prepared rows, one neighbour graph, its spectrum, one layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

import numpy as np

from imclust.clustering.graph_layout import graph_layout
from imclust.clustering.linkage import Tree, linkage_tree
from imclust.clustering.neighbor_graph import NEIGHBOURS, joint_graph, top_eigenvectors
from imclust.clustering.preprocessing import Preparation, Prepared, prepare

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HOW: tuple[Preparation, ...] = get_args(Preparation)
DIMS = 5  # of a layout
Made = TypeVar("Made")


class _Once(Generic[Made]):
    """As `functools.cached_property`, whose one lock, before Python 3.12, has the views of all
    threads wait for each other."""

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, view: Any, owner: type | None = None) -> Made:
        made = view.__dict__[self._name] = self._make(view)
        return made


@dataclass
class View:
    """One space, or several side by side, prepared in one way.

    Parameters
    ----------
    parts : tuple of int
        Numbers of the spaces in it.
    how : str
        The preparation.
    spaces : list of ndarray of shape (n, d_v), float32
        Each prepared.
    apply : list of callable
        What prepares further rows of each.
    seed : int
        Of the layout.
    neighbours : int
        Of a row in the graph.
    """

    parts: tuple[int, ...]
    how: Preparation
    spaces: list[np.ndarray] = field(repr=False)
    apply: list[Callable[[Any], np.ndarray]] = field(repr=False)
    seed: int = 0
    neighbours: int = NEIGHBOURS
    _spectrum: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, spaces: list[np.ndarray], parts: tuple[int, ...], how: Preparation, seed: int = 0
    ) -> View:
        """The view of those of all spaces (n, d_v) that `parts` names."""
        return cls.made_of([prepare(spaces[p], how) for p in parts], parts, how, seed)

    @classmethod
    def made_of(
        cls, made: list[Prepared], parts: tuple[int, ...], how: Preparation, seed: int = 0
    ) -> View:
        """The view of spaces that are prepared already."""
        return cls(parts, how, [m.rows for m in made], [m.apply for m in made], seed)

    @property
    def name(self) -> str:
        """Such as `1+3 white`, or `1+3 white 10` for another number of neighbours."""
        near = "" if self.neighbours == NEIGHBOURS else f" {self.neighbours}"
        return "+".join(str(p + 1) for p in self.parts) + f" {self.how}{near}"

    def with_neighbours(self, count: int) -> View:
        """The same rows with another graph."""
        return View(self.parts, self.how, self.spaces, self.apply, self.seed, count)

    def with_seed(self, seed: int) -> View:
        """The same rows and graph with another layout."""
        other = View(self.parts, self.how, self.spaces, self.apply, seed, self.neighbours)
        other.graph, other._spectrum = self.graph, self._spectrum
        return other

    @staticmethod
    def named(name: str) -> tuple[tuple[int, ...], Preparation]:
        """The parts and the preparation of the view of that name, whatever its neighbours."""
        parts, how, *_ = name.split(" ")
        return tuple(int(p) - 1 for p in parts.split("+")), next(h for h in HOW if h == how)

    @_Once
    def rows(self) -> np.ndarray:
        """(n, d') float32, its spaces side by side, each of the same weight."""
        return np.hstack(self.spaces) / np.float32(len(self.spaces) ** 0.5)

    @_Once
    def graph(self) -> csr_array:
        """Of nearest neighbours in all of its spaces, (n, n) sparse."""
        return joint_graph(self.spaces, self.neighbours)

    def eigenvectors(self, count: int) -> np.ndarray:
        """The leading `count` eigenvectors of the graph, (n, count); n - 1 at most."""
        count = min(count, len(self.spaces[0]) - 1)
        if self._spectrum is None or len(self._spectrum[0]) < count:
            self._spectrum = top_eigenvectors(self.graph, max(count, DIMS + 1))
        return self._spectrum[1][:, :count]

    @_Once
    def layout(self) -> np.ndarray:
        """(n, DIMS) float32, neighbours near each other; the rows themselves where n is tiny."""
        if len(self.spaces[0]) <= DIMS + 10:
            return self.rows
        start = self.eigenvectors(DIMS + 1)[:, 1:]
        return graph_layout(self.graph, start, self.seed)

    @_Once
    def ward(self) -> Tree:
        """Ward's tree over the layout."""
        return linkage_tree(self.layout, "ward", self.seed)

    @_Once
    def average(self) -> Tree:
        """The tree of average linkage over the layout."""
        return linkage_tree(self.layout, "average", self.seed)
