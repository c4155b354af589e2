"""AIcrowd by its own command-line tool: `--via cli`, should the wire change under our client.

It lists, downloads and submits; it can neither tell a score nor who one is, so that stays with our
client. Nothing it says is believed: it exits with 0 after every failed download.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from imclust.competitions.clients._base import RemoteFile
from imclust.competitions.clients.aicrowd import AIcrowd
from imclust.competitions.downloads import Expected, is_right, settle, stage
from imclust.core.errors import Kind, ServiceError, input_error, masked
from imclust.core.log import say

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SAID: tuple[tuple[str, Kind, str], ...] = (  # what it says, the kind, what to do; the first counts
    (
        r"API Key is invalid",
        "bad-credentials",
        "copy the key again from your profile, or leave --via out: aicrowd-cli says the same when "
        "AIcrowd is down",
    ),
    (r"not set", "no-credentials", "set AICROWD_API_KEY"),
    (r"limit|quota|allowance|too many", "limit", "wait until tomorrow or see the challenge's page"),
    (
        r"registered|accept|terms|participa|Unauthorized|Forbidden",
        "not-allowed",
        "register and accept the rules on the challenge's page",
    ),
    (r"could not be found|Not Found|decoding the response", "not-found", "check the name"),
    (
        r"ConnectionError|Max retries|ProxyError|URLError|ConnectionReset|Connection aborted",
        "network",
        "check the network and run the same command again",
    ),
    (
        r"Couldn't submit file|No such file",
        "rejected-file",
        "check the file's size and kind against the challenge's page",
    ),
)
BEFORE = re.compile(  # said when the submission was surely not created
    r"API Key is invalid|not set|could not be found|decoding the response|verify|registered|"
    r"went wrong while uploading|Couldn't submit file|contacting AIcrowd|fetching challenge"
)


class AIcrowdCli(AIcrowd):
    """One challenge of AIcrowd, through aicrowd-cli in a process and a folder of its own."""

    title: ClassVar[str] = "AIcrowd by aicrowd-cli"
    deadline: ClassVar[float] = 300
    """Seconds after which a command is ended: it has no timeouts itself."""
    download_deadline: ClassVar[float] = 6 * 3600

    def list_files(self) -> list[RemoteFile]:
        """The rows of its table. Sizes there are rounded, so they are kept for `download`."""
        code, out = self._run("dataset", "list", "-c", self.slug)
        rows = [
            [cell.strip() for cell in line.split("│")[1:-1]]
            for line in out.splitlines()
            if line.startswith("│")
        ]
        if code or not rows:
            raise self._failure(out, f"the files of {self.slug}")
        return [
            RemoteFile(re.sub(r"[/\\]", "_", title), url=f"{index} {size}")
            for index, title, _, size in rows
            if index.isdigit()  # not the heading
        ]

    def download(self, file: RemoteFile, to: Path, expected: Expected) -> None:
        """Into the staging folder; whether it came is seen by what is there."""
        index, _, size = file.url.partition(" ")
        with stage(to) as staging:
            if is_right(to, expected):
                say(f"{to.name} is there already")
                return
            for old in staging.iterdir():
                old.unlink()
            _, out = self._run(
                "dataset", "download", "-c", self.slug, "-o", str(staging.absolute()), index,
                deadline=self.download_deadline,
            )  # fmt: skip
            came = list(staging.iterdir())
            if len(came) != 1:
                raise self._failure(out, to.name)
            got = _rounded(came[0].stat().st_size)
            if re.fullmatch(r"[\d.]+ [KMGTPEZ]?B", size) and got != size:
                came[0].unlink()
                raise ServiceError(
                    "corrupt",
                    f"{to.name} must be of {size}; got {got}; run the same command again.",
                )
            settle(came[0], to, expected, self.page)

    def submit(self, path: Path, description: str, creating: Callable[[], None]) -> str:
        """In one command: where it breaks off is seen by its last words only."""
        creating()
        try:
            code, out = self._run(
                "submission", "create", "-c", self.slug, "-f", str(path.absolute()),
                "-d", description,
            )  # fmt: skip
        except ServiceError as e:
            if e.kind != "timeout":
                raise
            raise self._unknown(f"no answer within {self.deadline:.0f} s") from e
        last = out.strip().splitlines()[-1] if out.strip() else ""
        if not code and (ref := re.search(r"'submission_id': '?(\d+)", last)):
            return ref[1]
        failure = self._failure(out, f"the submission of {path.name}")
        if failure.kind in {"limit", "not-allowed"} or BEFORE.search(out):
            raise failure
        raise self._unknown(_words(out))

    def _unknown(self, got: str) -> ServiceError:
        return ServiceError(
            "unknown-state",
            f"AIcrowd must confirm the submission; got {got}; it may count: look at "
            f"{self.page}/submissions before you send it again with --force.",
        )

    def _run(self, *args: str, deadline: float | None = None) -> tuple[int, str]:
        """Status and output. The key goes in by a settings file that is gone afterwards.

        Raises
        ------
        ServiceError
            It took too long.
        InputError
            It is not installed.
        """
        key = self._key
        limit = deadline or self.deadline
        # In a repository that `aicrowd challenge init` made, the tool takes another challenge.
        with tempfile.TemporaryDirectory(prefix="imclust-") as folder:
            settings = Path(folder) / "config.toml"
            settings.touch(mode=0o600)
            settings.write_text(
                f"aicrowd_api_key = {json.dumps(key)}\ndisable_update_check = true\n"
            )
            env = {k: v for k, v in os.environ.items() if k != "AICROWD_API_KEY"}
            env |= {"COLUMNS": "2000", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
            command = [sys.executable, "-P", "-m", "aicrowd.cli", "--config-path", str(settings)]
            try:
                done = subprocess.run(
                    [*command, *args], cwd=folder, env=env, capture_output=True, timeout=limit
                )
            except subprocess.TimeoutExpired:
                raise ServiceError(
                    "timeout",
                    f"aicrowd-cli must end within {limit:.0f} s; got no end of it; check the "
                    "network and run the same command again.",
                ) from None
        out = (done.stderr + b"\n" + done.stdout).decode(errors="replace")
        if "No module named 'aicrowd'" in out:
            raise input_error("aicrowd-cli", "installed", "none", "pip install 'imclust[aicrowd]'")
        return done.returncode, masked(ANSI.sub("", out), key)

    def _failure(self, out: str, what: str) -> ServiceError:
        """The failure that its words mean, as far as they tell."""
        unclear: tuple[Kind, str] = "server", "leave --via out to learn more, or run it again later"
        kind, do = next(((k, d) for words, k, d in SAID if re.search(words, out)), unclear)
        return ServiceError(kind, f"aicrowd-cli must bring {what}; got: {_words(out)}; {do}; "
                       f"see {self.page}.")  # fmt: skip


def _words(out: str) -> str:
    """Its last words, bars and frames left out."""
    lines = [re.sub(r"[^\x20-\x7e]+", " ", line).strip() for line in out.splitlines()]
    return " ".join([line for line in lines if re.search(r"[A-Za-z]{3}", line)][-2:])[:300] or (
        "nothing"
    )


def _rounded(size: float) -> str:
    """A size as aicrowd-cli's table has it."""
    for unit in ("B", "KB", "MB", "GB", "TB", "PB", "EB", "ZB"):
        if size < 1000:
            return f"{size:.2f} {unit}"
        size /= 1000
    return f"{size:.2f} YB"
