"""Challenges: where the images come from and what the leaderboard wants back. One file each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from imclust.competitions.challenges._base import Challenge
from imclust.core.errors import input_error
from imclust.core.registry import Registry

CHALLENGES: Registry[Callable[[Any, Path], Challenge]] = Registry(
    "challenge", "imclust.competitions.challenges"
)


def board_named(text: str) -> str:
    """The board that a user means: SERVICE:CHALLENGE or an address as it is, a challenge's own.

    Parameters
    ----------
    text : str
        As typed.

    Raises
    ------
    InputError
        It is a challenge without a board, or no name of one.

    Examples
    --------
    >>> board_named("hw9")
    'kaggle:ml2020spring-hw9'
    """
    if ":" in text:
        return text
    boards = {e.name: e.config.home.board for e in CHALLENGES if e.config.home.board}
    if text not in boards:
        allowed = f"SERVICE:CHALLENGE, such as kaggle:titanic, or one of {', '.join(boards)}"
        raise input_error("the board (--to)", allowed, repr(text), "choose one")
    return boards[text]
