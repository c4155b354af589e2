"""`python -m imclust <stage>`: one command a stage."""

from __future__ import annotations

import errno
import gc
import os
import sys
import tempfile
import traceback

from imclust._version import __version__
from imclust.cli.deferred_numpy import defer_numpy
from imclust.cli.parser import COMMANDS, RUN_COMMANDS, STAGES, parse
from imclust.core.errors import InputError, masked


def main(argv: list[str] | None = None) -> int:
    """Run one stage or command; returns the exit status.

    0 done, 1 an unexpected error, 2 refused, 3 disk, 4 no right to it, 5 a limit, 6 the file was
    rejected, 7 the service or the network failed, 8 what came is not what was asked for, 9 it is
    not known whether it was sent, 130 interrupted, 141 nobody reads what it prints. With
    IMCLUST_DEBUG=1 an unexpected error shows its traceback instead of where it was written to.
    """
    argv = sys.argv[1:] if argv is None else argv
    for name in ("stdout", "stderr"):  # closed by whoever started it
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if not argv or argv[0] in {"-h", "--help"}:
        print("usage: python -m imclust <command> [options]   (each has its own --help)\n")
        for title, table in (
            ("the whole way:", COMMANDS),
            ("with a finished run:", RUN_COMMANDS),
            ("stage by stage:", STAGES),
        ):
            print(title)
            for name, (_, text) in table.items():
                print(f"  {name:<14} {text}")
        print("IMCLUST_DEBUG=1 shows the traceback of an unexpected error.")
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    if {"-h", "--help"} & set(argv):
        defer_numpy()
    try:
        run, cfg = parse(argv)
        from imclust.core.artifacts import recorded_command

        with recorded_command(argv):
            run(cfg)
    except InputError as e:
        return _fail(argv[0], str(e), e.status)
    except KeyboardInterrupt:
        return _fail(argv[0], "interrupted; the same command goes on where it stopped.", 130)
    except MemoryError:
        return _fail(argv[0], "out of memory; take a smaller set or another machine.", 3)
    except BrokenPipeError:  # `... --help | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as e:
        return _fail(argv[0], _disk_sentence(e), 3)
    except Exception as e:
        if os.environ.get("IMCLUST_DEBUG") == "1":
            raise
        return _fail(argv[0], _fault_sentence(argv, e), 1)
    return 0


def command() -> int:
    """`main` in a process of its own, where cycles are looked for less often: what is imported is
    so many objects, none of them garbage, that looking took 0.7 of 9 seconds.
    """
    gc.set_threshold(50_000, 20, 50)
    return main()


def _fail(stage: str, sentence: str, status: int) -> int:
    print(f"imclust {stage}: {sentence}", file=sys.stderr, flush=True)
    return status


def _fault_sentence(argv: list[str], e: Exception) -> str:
    """One sentence for what nobody foresaw; its traceback goes to a log, without keys."""
    names = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    secrets = [v for name, v in os.environ.items() if name.upper().endswith(names) and len(v) > 3]
    text = f"imclust {__version__}: {argv}\n{''.join(traceback.format_exception(e))}"
    kind = type(e).__name__
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"imclust-{argv[0]}-", suffix=".log", delete=False, encoding="utf-8"
        ) as log:
            log.write(masked(text, *secrets))
    except OSError:
        return f"it must not stop here; got an unexpected {kind}; see it with IMCLUST_DEBUG=1."
    return (
        f"it must not stop here; got an unexpected {kind}; please report it with {log.name}, which "
        "holds the details (IMCLUST_DEBUG=1 shows them at once)."
    )


def _disk_sentence(e: OSError) -> str:
    """One sentence for what the disk refused."""
    where = e.filename or "the output folder"
    if e.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return (
            f"the disk must have room for {where}; it is full; free some space and run the same "
            "command again: what was finished is untouched."
        )
    if e.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return f"{where} must be accessible; got: {e.strerror}; choose another folder."
    return f"the disk must allow what was asked; got: {e}."


if __name__ == "__main__":
    raise SystemExit(command())
