"""Kaggle, through its own package in a process of its own, see `_kaggle_process`.

A file's bytes come by our downloader from the signed address that Kaggle gives.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from imclust.competitions.archives import unzip
from imclust.competitions.clients._base import (
    Allowance,
    ChallengeClient,
    RemoteFile,
    State,
    SubmissionStatus,
)
from imclust.competitions.clients._kaggle_process import KaggleProcess
from imclust.competitions.downloads import Expected, is_right, settle
from imclust.competitions.http import fetch
from imclust.core.errors import InputError, ServiceError, input_error
from imclust.core.log import say

MANY = 20  # files; more are taken as one archive
WHOLE = "*"
STATES: dict[str, State] = {"COMPLETE": "scored", "ERROR": "failed"}
UPLOADS = ("upload", "store")
ONCE = ("create", "make-dataset", "push-notebook", "submit-version")  # never repeated


class Kaggle(ChallengeClient):
    """One competition on Kaggle."""

    service: ClassVar[str] = "kaggle"
    title: ClassVar[str] = "Kaggle"
    timeout: ClassVar[tuple[float, float]] = (10, 60)
    """Seconds to wait for a connection, for the next bytes."""
    deadline: ClassVar[float] = 240
    """Seconds after which a call is given up whatever it does; an upload gets ten times that."""
    waits: ClassVar[tuple[float, ...]] = (1, 4)
    """Seconds before a question is repeated; creating a submission never is."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self._process = KaggleProcess()

    @property
    def page(self) -> str:
        """Address of the competition."""
        return f"https://www.kaggle.com/competitions/{self.slug}"

    @classmethod
    def credentials(cls) -> str:
        """The first place with a key, in the order in which Kaggle's package looks."""
        if os.environ.get("KAGGLE_API_TOKEN"):
            return "KAGGLE_API_TOKEN"
        home = Path.home() / ".kaggle"
        for name in ("access_token", "access_token.txt"):
            if _filled(home / name):
                return str(home / name)
        if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
            return "KAGGLE_USERNAME and KAGGLE_KEY"
        xdg = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
        own = os.environ.get("KAGGLE_CONFIG_DIR")
        folder = Path(own) if own else home if home.exists() else xdg
        for path in (folder / "kaggle.json", home / "credentials.json"):
            if _filled(path):
                return str(path)
        return ""

    @classmethod
    def wants(cls) -> str:
        """What to set."""
        return (
            "create a token at https://www.kaggle.com/settings and set KAGGLE_API_TOKEN to it, "
            "or save it as ~/.kaggle/access_token"
        )

    def account(self) -> str:
        """The user's name."""
        return str(self._ask("account"))

    def list_files(self) -> list[RemoteFile]:
        """The competition's files; those in folders keep their base name where it is unique."""
        files: list[RemoteFile] = []
        for entry in self._ask("files"):
            whole = entry["name"]
            name = whole.rpartition("/")[2]
            if any(f.name == name for f in files):
                name = whole.replace("/", "__")
            files.append(RemoteFile(name, entry["size"], whole))
        return files

    def everything(self) -> list[RemoteFile]:
        """One archive where there are many files: every link costs a call."""
        files = self.list_files()
        return files if len(files) <= MANY else [RemoteFile(f"{self.slug}.zip", url=WHOLE)]

    def download(self, file: RemoteFile, to: Path, expected: Expected) -> None:
        """From the storage, by links that are renewed when they run out.

        Large tables come zipped, under their name and `.zip`; they are unpacked.
        """
        if is_right(to, expected):
            say(f"{to.name} is there already")
            return
        name = file.url or file.name

        def ask() -> str:
            return str(self._ask("link", file="" if name == WHOLE else name))

        first = ask()
        links = chain([first], iter(ask, None))
        served = PurePosixPath(unquote(urlsplit(first).path)).name
        if served != f"{to.name}.zip":
            fetch(lambda: next(links), to, expected)
            return
        packed = to.with_name(served)
        fetch(lambda: next(links), packed, Expected())
        folder = to.with_name(f".{to.name}.unpacked")
        unzip(packed, folder)
        settle(folder / to.name, to, replace(expected, size=None), f"{self.page}/data")
        shutil.rmtree(folder)
        packed.unlink()

    def allowance(self) -> Allowance:
        """How many more are taken now."""
        limits = self._ask("limits")
        if not any(limits.values()):  # what Kaggle says of somebody who is on no team yet
            return Allowance(words="Kaggle counts from the first submission on")
        words = f"{limits['today']} made today, {limits['all']} in all"
        return Allowance(limits["left"], words)

    def submit(self, path: Path, description: str, creating: Callable[[], None]) -> str:
        """Store the file, then create the submission: that once."""
        token = self._ask("upload", path=str(path.absolute()))
        creating()
        return str(self._ask("create", token=token, description=description))

    def status(self, ref: str) -> SubmissionStatus:
        """One of the account's newest hundred; pending while Kaggle does not list it yet."""
        for standing in self._standings(ref):
            if standing.ref == ref:
                return standing
        return SubmissionStatus(ref, "pending", message="Kaggle does not list it")

    def recent(self) -> list[SubmissionStatus] | None:
        """The newest hundred."""
        return self._standings("")

    def _standings(self, ref: str) -> list[SubmissionStatus]:
        return [
            SubmissionStatus(
                entry["ref"],
                STATES.get(entry["state"], "pending"),
                _number(entry["public"]),
                _number(entry["private"]),
                entry["rank"],
                entry["message"] or "",
                entry["description"] or "",
            )
            for entry in self._ask("submissions", ref=ref)
        ]

    def _ask(self, do: str, **more: Any) -> Any:
        """One call, in a process of its own.

        Raises
        ------
        ServiceError
            Of the kind that the child says.
        InputError
            Kaggle's package is not installed.
        """
        request = {"do": do, "slug": self.slug, "timeout": self.timeout, "waits": self.waits}
        limit = self.deadline * (10 if do in UPLOADS else 1)
        try:
            response = self._process.ask(request | more, limit)
        except TimeoutError:
            kind = "unknown-state" if do in ONCE else "timeout"
            raise self._failure({"kind": kind, "words": f"none within {limit:.0f} s"}) from None
        except EOFError as e:
            kind = "unknown-state" if do in ONCE else "server"
            words = f"none, its client ended with status {e}"
            raise self._failure({"kind": kind, "words": words}) from None
        if "ok" in response:
            return response["ok"]
        raise self._failure(response)

    def _failure(self, response: dict[str, Any]) -> InputError:
        """The exception of an answer: what, allowed, got, what to do."""
        kind, words, wait = (
            response["kind"],
            response["words"].rstrip("."),
            response.get("retry_after"),
        )
        source = self.credentials()
        if kind == "not-installed":
            return input_error(
                "Kaggle's package", "installed", words, "pip install 'imclust[kaggle]'"
            )
        if kind == "no-credentials" and source:
            kind, words = "bad-credentials", "a key that Kaggle does not take"
        later = "try again later" if wait is None else f"try again in {wait:.0f} s"
        must, do = {
            "no-credentials": ("be given a key", self.wants()),
            "bad-credentials": (
                f"know the key (this one is from {source})",
                f"{self.wants()}; a token goes there and not into KAGGLE_KEY",
            ),
            "not-allowed": (
                "have your consent to its rules",
                f"log in and accept them at {self.page}/rules",
            ),
            "not-found": (
                "have the competition, file or submission",
                f"check the name {self.slug!r} against the last part of the competition's address",
            ),
            "limit": ("allow one more", f"{later}; see {self.page}/submissions"),
            "rejected-file": (
                "accept the file",
                f"check the file with `submit --check` and see {self.page}",
            ),
            "server": ("be up", "the fault is theirs: run the same command again later"),
            "network": ("be reached", "check the network and run the same command again"),
            "timeout": ("answer in time", "check the network and run the same command again"),
            "wrong-content": ("answer in its own format", "update the package kaggle"),
            "unknown-state": (
                "confirm the submission",
                f"it may count: look at {self.page}/submissions, and repeat with --force if it is "
                "not there",
            ),
        }[kind]  # fmt: skip
        return ServiceError(kind, f"Kaggle must {must}; got {words}; {do}.", wait)


def _filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
