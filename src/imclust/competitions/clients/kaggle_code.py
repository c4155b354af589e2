"""A code competition on Kaggle: data sets, a notebook that uses them, and a version submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imclust.competitions.clients.kaggle import Kaggle

FAILED = ("error", "cancel_requested", "cancel_acknowledged")


@dataclass(frozen=True)
class RemoteDataset:
    """A data set on Kaggle: its description, newest version, and state, such as `ready`."""

    description: str
    version: int
    state: str


@dataclass(frozen=True)
class RemoteNotebook:
    """A notebook on Kaggle: the text that it was saved with, and its newest version."""

    text: str
    version: int


@dataclass(frozen=True)
class NotebookRun:
    """The run of a notebook's newest version: `complete`, a state of `FAILED`, or under way."""

    state: str
    message: str


class KaggleCode(Kaggle):
    """One code competition. Names of data sets and notebooks are `owner/slug`.

    Parameters
    ----------
    slug : str
        The competition's.
    notebook : str
        The notebook of which `submit` hands in a version.
    version : int
        That version; `submit` needs it.
    file : str
        What the notebook writes.
    """

    def __init__(self, slug: str, notebook: str = "", version: int = 0, file: str = "") -> None:
        super().__init__(slug)
        self.notebook, self.version, self.file = notebook, version, file

    def find_dataset(self, ref: str) -> RemoteDataset | None:
        """A data set as it stands; None where there is none that this account may see."""
        found = self._ask("dataset", ref=ref)
        return RemoteDataset(**found) if found else None

    def store(self, paths: list[Path]) -> list[str]:
        """Store files; returns what Kaggle calls each until it is part of a data set."""
        return list(self._ask("store", paths=[str(p.absolute()) for p in paths]))

    def make_dataset(
        self, ref: str, tokens: list[str], description: str, licence: str, *, version: int
    ) -> None:
        """A new data set of stored files, or with `version` its next; asked once.

        Raises
        ------
        ServiceError
            Of kind `unknown-state` when that got no answer.
        """
        self._ask(
            "make-dataset", ref=ref, tokens=tokens, description=description, licence=licence,
            version=version, title=ref.partition("/")[2], notes=description,
        )  # fmt: skip

    def find_notebook(self) -> RemoteNotebook | None:
        """The notebook as it stands; None where there is none that this account may see."""
        found = self._ask("notebook", ref=self.notebook)
        return RemoteNotebook(**found) if found else None

    def push_notebook(self, folder: Path) -> int:
        """Save the notebook of a folder as a new version, which Kaggle then runs; asked once.

        Raises
        ------
        ServiceError
            Of kind `unknown-state` when that got no answer.
        """
        return int(self._ask("push-notebook", folder=str(folder.absolute())))

    def notebook_run(self) -> NotebookRun:
        """How the run of its newest version stands."""
        return NotebookRun(**self._ask("notebook-run", ref=self.notebook))

    def notebook_log(self) -> str:
        """What its newest run printed."""
        return str(self._ask("notebook-log", ref=self.notebook))

    def submit(self, path: Path, description: str, creating: Callable[[], None]) -> str:
        """Hand in the version; `path`, the notebook here, is on Kaggle already."""
        creating()
        return str(
            self._ask(
                "submit-version", ref=self.notebook, version=self.version, file=self.file,
                description=description,
            )
        )  # fmt: skip
