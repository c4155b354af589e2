"""Which tasks on other machines are overdue, so that they are given out again.

A machine whose cable is pulled says nothing, and whoever drives the tasks would wait for ever. The
clock decides only how often work is done: an item gives the same bytes each time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from statistics import median

PATIENCE = 30.0  # seconds that nothing is overdue
TIMES = 4  # as long as tasks usually take
AGAIN = 3  # times that a task is given out besides the first; each time the patience doubles


class Overdue:
    """Watches tasks.

    Parameters
    ----------
    patience : float, optional
        Seconds.
    clock : callable, optional
        Tells seconds.

    Examples
    --------
    >>> now = [0.0]
    >>> tasks = Overdue(30, lambda: now[0])
    >>> tasks.begin(0)
    >>> tasks.begin(1)
    >>> now[0] = 10
    >>> tasks.end(0, "node a")
    >>> now[0] = 49
    >>> tasks.numbers()
    []
    >>> now[0] = 51
    >>> tasks.numbers(), tasks.other_node(1)
    ([1], 'node a')
    """

    def __init__(
        self, patience: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = PATIENCE if patience is None else patience
        self._clock, self._last = clock, clock()
        self._began: dict[int, float] = {}
        self._took: list[float] = []
        self._nodes: list[str] = []  # the one that answered last is the last
        self.given: Counter[int] = Counter()  # number -> times that it was given out again

    def begin(self, number: int) -> None:
        """A task is given out for the first time, or because it was lost."""
        self._began[number] = self._clock()

    def end(self, number: int, node: str, *, worked: bool = True) -> None:
        """A task is done, on a node; one that had nothing to do tells nothing of how long it takes.

        Parameters
        ----------
        number : int
            Its number.
        node : str
            Where it was done.
        worked : bool, optional
            Whether there was something to do.
        """
        self._last = self._clock()
        began = self._began.pop(number)
        if worked and not self.given[number]:
            self._took.append(self._last - began)
        if node in self._nodes:
            self._nodes.remove(node)
        self._nodes.append(node)

    def numbers(self) -> list[int]:
        """Tasks that take several times the usual time while nothing else ends, either: all other
        nodes are idle, or none answers."""
        if not self._took or not self._began:
            return []
        now, least = self._clock(), max(self._patience, TIMES * median(self._took))
        return [
            number
            for number, began in self._began.items()
            if self.given[number] < AGAIN
            and now - max(began, self._last) > least * 2 ** self.given[number]
        ]

    def other_node(self, number: int) -> str:
        """Where an overdue task may be done, counted as given out again: the node that answered
        last, then the ones before it."""
        self.given[number] += 1
        self._began[number] = self._clock()
        return self._nodes[-1 - (self.given[number] - 1) % len(self._nodes)]
