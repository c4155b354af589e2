"""`python -m imclust` in a process of its own, without its imports' seconds.

A server (Python's own fork server) imports what most commands do, once a test process, and forks
for each command: its own working folder, environment, output, status and memory, and nothing of
what another one did. A command whose environment says how Python starts gets a Python of its own.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from functools import cache
from itertools import chain
from multiprocessing.forkserver import ensure_running
from pathlib import Path

ROOT = Path(__file__).parents[1]
AT_START = ("HOME", "LC_", "LANG", "MPL", "NUMBA", "OMP", "PATH", "PYTHON", "TZ", "XDG")
SECONDS = 300


def environment(**more):
    """The environment in which scripts and commands find this interpreter and these sources."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
        **more,
    }


def imclust_in(folder, *args, **env):
    """`python -m imclust <args>` in a folder, in a process of its own: (status, stdout, stderr)."""
    arguments = list(map(str, args))
    if any(name.startswith(AT_START) for name in env):
        command = [sys.executable, "-m", "imclust", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment(**env), capture_output=True, text=True,
            timeout=SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr
    return _finished(folder, _command, arguments, env)


def python_in(folder, code):
    """`python -c code` in a folder, in a process of its own: (status, stdout, stderr)."""
    return _finished(folder, _lines, code, {})


def _finished(folder, do, what, env):
    with tempfile.TemporaryDirectory() as outputs:
        files = [Path(outputs, name) for name in ("out", "err")]
        child = _forked(folder, do, what, env, files)
        child.join(SECONDS)
        if child.exitcode is None:
            child.kill()
            raise subprocess.TimeoutExpired(what, SECONDS)
        out, err = (file.read_text(encoding="utf-8") for file in files)
        return child.exitcode, out, err


class Started:
    """`python -m imclust <args>` at work in a folder; `lines` come as it prints them."""

    def __init__(self, folder, *args, **env):
        with tempfile.TemporaryDirectory() as outputs:
            os.mkfifo(Path(outputs, "out"))
            files = [Path(outputs, "out")] * 2
            self.child = _forked(folder, _command, list(map(str, args)), env, files)
            printed = open(files[0], encoding="utf-8")  # noqa: SIM115  (until it ends)
            self.lines = chain([printed.readline()], printed)  # by then it has opened both

    def kill(self):
        """As `kill -9`; returns its status."""
        self.child.kill()
        return self.finish()[0]

    def finish(self):
        """Status, and what was printed since."""
        printed = "".join(self.lines)
        self.child.join(SECONDS)
        return self.child.exitcode, printed


def _forked(folder, do, what, env, files):
    """A child that does `do(what)` in a folder, with that environment and outputs."""
    child = _server().Process(
        target=_alone, args=(str(folder), do, what, environment(**env), files)
    )
    child.start()
    return child


@cache
def _server():
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["preloaded", "command"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT / 'tests'}"  # the server looks nowhere else
    ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    return server


def _alone(folder, do, what, env, files):
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for fd, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), fd)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    do(what)


def _command(arguments):
    """Become that command."""
    from imclust.__main__ import main

    sys.argv = ["imclust", *arguments]
    raise SystemExit(main(arguments))


def _lines(code):
    sys.path.insert(0, "")
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
