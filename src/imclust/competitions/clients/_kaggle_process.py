"""The process in which Kaggle's own package lives, see `_kaggle_child`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parents[3]
HIDDEN = {"VERBOSE", "VERBOSE_OUTPUT"}  # they make the package print the key


class KaggleProcess:
    """Started with the first request, and again after one that failed or another environment.

    Its import takes a second, which one process pays once; it ends with this object.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """The answer to one request.

        Parameters
        ----------
        request : dict
            As `_kaggle_child` takes it.
        limit : float
            Seconds after which it is given up, whatever it does.

        Raises
        ------
        TimeoutError
            There was none in time.
        EOFError
            The process ended without one; its status is the argument.
        """
        child = self._running()
        assert child.stdin is not None
        assert child.stdout is not None
        late = threading.Timer(limit, child.kill)
        late.start()
        try:
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
        except (OSError, ValueError):
            self.close()
            if late.finished.is_set():
                raise TimeoutError from None
            raise EOFError(child.returncode) from None
        finally:
            late.cancel()
        if "ok" not in answer:
            self.close()
        return dict(answer)

    def close(self) -> None:
        """End it."""
        if self._child is not None:
            _end(self._child)
            self._child = None

    def _running(self) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if k not in HIDDEN}
        path = (str(SOURCES), environment.get("PYTHONPATH"))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        if self._child is not None and environment != self._environment:
            self.close()
        if self._child is None:
            self._environment = environment
            self._child = subprocess.Popen(
                # `-P` keeps the folder one is in off the path.
                [sys.executable, "-P", "-m", "imclust.competitions.clients._kaggle_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            weakref.finalize(self, _end, self._child)
        return self._child


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):  # what was left to write goes nowhere
                stream.close()
