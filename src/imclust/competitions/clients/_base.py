"""The one interface to a service that hands out data and takes submissions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from imclust.competitions.downloads import Expected
from imclust.core.errors import input_error

State = Literal["pending", "scored", "failed"]


@dataclass(frozen=True)
class RemoteFile:
    """A file that a service offers.

    Parameters
    ----------
    name : str
        A plain file name, unique among the files of its challenge.
    size : int | None
        Bytes as the listing says; None where it says nothing exact.
    url : str
        Where it lies, or what else its client finds it by.
    """

    name: str
    size: int | None = None
    url: str = ""


@dataclass(frozen=True)
class SubmissionStatus:
    """What a service says of one submission.

    Parameters
    ----------
    ref : str
        The service's number of it.
    state : State
        `pending` until it is scored or failed.
    public, private : float | None
        Scores, where it says them.
    rank : int | None
        Place on the public leaderboard.
    message : str
        The grader's words, as plain text.
    description : str
        What was sent along with the file.
    """

    ref: str
    state: State
    public: float | None = None
    private: float | None = None
    rank: int | None = None
    message: str = ""
    description: str = ""


@dataclass(frozen=True)
class Allowance:
    """How many more submissions are taken now (None: the service does not say), and its words."""

    left: int | None = None
    words: str = ""


class ChallengeClient(ABC):
    """One challenge on one service. Every method raises `Failure` when the service does not do it.

    Parameters
    ----------
    slug : str
        The challenge's name in the service's addresses.
    """

    service: ClassVar[str]
    """Its name here: aicrowd, kaggle, drive."""
    title: ClassVar[str]
    """Its name in sentences."""

    def __init__(self, slug: str) -> None:
        self.slug = slug

    @property
    @abstractmethod
    def page(self) -> str:
        """Address of the challenge for a browser: rules, registration."""

    @classmethod
    @abstractmethod
    def credentials(cls) -> str:
        """Where the key that would be used comes from, never the key itself; "" for none.

        No network is used.
        """

    @classmethod
    @abstractmethod
    def wants(cls) -> str:
        """What to set, where to get it: the rest of a sentence when there is no key."""

    def address(self, file: RemoteFile) -> str:
        """Where a browser finds a file; the challenge's page unless the service has better."""
        return self.page

    @abstractmethod
    def list_files(self) -> list[RemoteFile]:
        """The challenge's files."""

    def everything(self) -> list[RemoteFile]:
        """Files that hold all there is; fewer than `list_files` where the service packs them."""
        return self.list_files()

    @abstractmethod
    def download(self, file: RemoteFile, to: Path, expected: Expected) -> None:
        """Fetch a file to the path `to` through `transfer`; nothing is done where it is right."""

    def account(self) -> str:
        """Whose key it is."""
        raise self._takes_none()

    def allowance(self) -> Allowance:
        """What the service says of further submissions today."""
        raise self._takes_none()

    def submit(self, path: Path, description: str, creating: Callable[[], None]) -> str:
        """Send a file; returns the service's number of the submission.

        Parameters
        ----------
        creating : Callable[[], None]
            Called right before the one request that makes it count. What comes before it may be
            repeated; that request never is.

        Raises
        ------
        ServiceError
            Of kind `unknown-state` when that request got no answer.
        """
        raise self._takes_none()

    def status(self, ref: str) -> SubmissionStatus:
        """One submission, now."""
        raise self._takes_none()

    def recent(self) -> list[SubmissionStatus] | None:
        """The account's submissions, newest first; None where the service cannot list them."""
        raise self._takes_none()

    def _takes_none(self) -> Exception:
        return input_error(
            f"{self.title}", "a service that takes submissions", "one that only holds files",
            "name another with --to",
        )  # fmt: skip


def slug_of(text: str) -> str:
    """`https://www.kaggle.com/competitions/titanic/data` -> `titanic`; other text as it is.

    Of an AIcrowd problem's address it is the problem.
    """
    parts = [p for p in text.split("?")[0].split("/") if p]
    for mark in ("problems", "competitions", "c", "challenges"):
        if mark in parts[:-1]:
            return parts[parts.index(mark) + 1]
    return text
