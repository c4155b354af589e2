"""AIcrowd by its own command-line tool (`upload --via cli`), should its wire change under ours.

Only the submission goes through it; everything else stays with our client.
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

from imclust.competitions.clients.aicrowd import AIcrowd
from imclust.core.errors import ServiceError, input_error, masked

# Said when the submission was surely not created.
REFUSED = re.compile(
    r"API Key is invalid|not set|could not be found|decoding the response|verify|registered|limit|"
    r"went wrong while uploading|Couldn't submit file|contacting AIcrowd|fetching challenge"
)


class AIcrowdCli(AIcrowd):
    """One challenge of AIcrowd, its submissions through aicrowd-cli in a process of its own."""

    title: ClassVar[str] = "AIcrowd by aicrowd-cli"
    deadline: ClassVar[float] = 300
    """Seconds after which the command is ended: it has no timeouts itself."""

    def submit(self, path: Path, description: str, creating: Callable[[], None]) -> str:
        """In one command: where it breaks off is seen by its last words only."""
        key = self._key
        creating()
        # A folder of its own: in one that `aicrowd challenge init` made, it takes that challenge.
        with tempfile.TemporaryDirectory(prefix="imclust-") as folder:
            settings = Path(folder, "config.toml")
            settings.touch(mode=0o600)  # the key goes in by a file that is gone afterwards
            settings.write_text(f"aicrowd_api_key = {json.dumps(key)}\n")
            words = ["--config-path", str(settings), "submission", "create", "-c", self.slug]
            words += ["-f", str(path.absolute()), "-d", description]
            env = {k: v for k, v in os.environ.items() if k != "AICROWD_API_KEY"}
            try:
                done = subprocess.run(
                    [sys.executable, "-P", "-m", "aicrowd.cli", *words], cwd=folder,
                    env=env | {"COLUMNS": "2000", "NO_COLOR": "1", "TERM": "dumb"},
                    capture_output=True, text=True, errors="replace", timeout=self.deadline,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise self._unknown(f"no answer within {self.deadline:.0f} s") from None
        plain = re.sub(r"[^\x20-\x7e]+", " ", f"{done.stderr} {done.stdout}")  # no bars, no frames
        said = " ".join(masked(plain, key).split())
        if "No module named 'aicrowd'" in said:
            raise input_error("aicrowd-cli", "installed", "none", "pip install 'imclust[aicrowd]'")
        if not done.returncode and (ref := re.search(r"'submission_id': '?(\d+)", said)):
            return ref[1]
        if REFUSED.search(said):
            do = f"leave --via out to learn more, or see {self.page}"
            sentence = f"aicrowd-cli must submit {path.name}; got: {said[-300:]}; {do}."
            raise ServiceError("rejected-file", sentence)
        raise self._unknown(said[-300:] or "nothing")

    def _unknown(self, got: str) -> ServiceError:
        return ServiceError(
            "unknown-state",
            f"AIcrowd must confirm the submission; got {got}; it may count: look at "
            f"{self.page}/submissions before you send it again with --force.",
        )
