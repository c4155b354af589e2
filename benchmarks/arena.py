"""Every head on every space of every set: accuracy, time, memory, and whether `auto` chooses well.

    python benchmarks/arena.py FOLDER [--rows 4000] [--heads all] [--seeds 5] [--jobs 2]
    python benchmarks/arena.py FOLDER --heads kmeans kmeans:unit=true auto --spaces a b a+b
    python benchmarks/arena.py FOLDER --encoders pixels timm
    python benchmarks/arena.py --tables-only

FOLDER holds `.npz` files: images `x` (N, H, W, C) uint8 and labels `y`, or float arrays (N, D),
each a space, and `y`; or folders with this project's `features` artefacts (and `labels` beside
them or beside the index that they were made from), of which `train` is fitted and the rest placed.
Labels below zero (or empty) are unknown: such rows are clustered and not scored. Several spaces
are also taken together, `a+b`. Images go through the stages download, train and encode, kept in
OUT's folder `.cache`. K is the number of classes.

Each head on each space is a process of its own. Every finished cell is a line of OUT's `.jsonl`,
and is not computed again while the data, the rows, the head's settings and its source are the same
(the modules that it imports do not count: delete the file after a change there). `--limit` seconds
for one cell end its process; that and every error are rows with their reason. Prints one table
with its summary, writes JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from arena_cell import parse_head
from arena_data import DataSet, encode, find_sets, pick_spaces
from arena_table import Cell, lines, summary, table_rows
from imclust.clustering.clusterers import CLUSTERERS
from imclust.core.artifacts import plain
from imclust.core.code_digest import code_digest
from imclust.core.errors import InputError, input_error
from imclust.core.log import progress
from imclust.core.reproducibility import environment

CHILD = Path(__file__).with_name("arena_cell.py")
LOADING = 60  # seconds that a child may take to import and to read its data
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Group:
    """One head on one space, and the seeds of it. `settings` decide the numbers of its cells."""

    data: DataSet
    space: str
    head: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]

    def key(self, seed: int) -> str:
        """Digest of all that decides the numbers of one cell."""
        text = json.dumps([self.data.stamp, self.space, self.settings, seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def head_settings(head: str) -> dict[str, Any]:
    """Config and source digest of a head.

    Raises:
        Refusal: there is none of that name, or it has not got such an option.
    """
    name, options = parse_head(head)
    entry, settings = CLUSTERERS.configured(name, options)
    code = code_digest("imclust.api", entry.method.__module__)
    return {"method": name, "config": plain(settings), "code": code}


def every_group(sets: list[DataSet], cfg: argparse.Namespace) -> list[Group]:
    """All that is asked for, finished or not."""
    names = [e.name for e in CLUSTERERS]
    heads = names if cfg.heads == ["all"] else list(dict.fromkeys(cfg.heads))
    settings = {h: head_settings(h) | {"rows": cfg.rows} for h in heads}
    groups = [
        Group(data, space, head, settings[head], tuple(range(cfg.seeds)))
        for data in sets
        for space in pick_spaces(data, cfg.spaces)
        for head in heads
    ]
    if not groups:
        have = sorted({s for data in sets for s in data.spaces})
        raise input_error(
            "--spaces", f"some of {', '.join(have)}", " ".join(cfg.spaces), "see --help"
        )
    return groups


def read_cells(path: Path) -> dict[str, Cell]:
    """Finished cells by key; a line that a kill cut off is passed over."""
    found: dict[str, Cell] = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            cell = json.loads(line)
        except ValueError:
            continue
        found[cell["key"]] = cell
    return found


def is_done(cell: Cell | None, limit: float) -> bool:
    """Whether a cell need not be computed again: one that ran out of time has another chance."""
    return cell is not None and (not cell.get("late") or cell["limit"] >= limit)


def unfinished(group: Group, done: dict[str, Cell], limit: float) -> tuple[int, ...]:
    """Seeds of a group that are still to be computed."""
    return tuple(s for s in group.seeds if not is_done(done.get(group.key(s)), limit))


def replies(child: subprocess.Popen[str], limit: float, late: threading.Event) -> Iterator[Any]:
    """What a child writes, line by line; it is ended when it is silent for `limit` seconds.

    Its first line, that the data are loaded, may take longer.
    """
    assert child.stdout is not None
    patience = limit + LOADING

    def end() -> None:
        late.set()
        child.kill()

    while True:
        timer = threading.Timer(patience, end)
        timer.start()
        line = child.stdout.readline()
        timer.cancel()
        if not line:
            return
        patience = limit
        yield json.loads(line)


def run_group(
    group: Group,
    seeds: tuple[int, ...],
    cfg: argparse.Namespace,
    keep: Callable[[Cell], None],
    children: list[subprocess.Popen[str]],
) -> None:
    """Compute cells of one group in a child; those that it did not live to see have its reason."""
    job = {"data": asdict(group.data), "space": group.space, "head": group.head}
    job |= {"rows": cfg.rows, "seeds": seeds}
    about = {"set": group.data.name, "space": group.space, "head": group.head}
    about |= {"settings": group.settings, "limit": cfg.limit}
    left, late = list(seeds), threading.Event()
    with TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | dict.fromkeys(THREADS, str(cfg.threads)),
        )
        children.append(child)
        assert child.stdin is not None
        child.stdin.write(json.dumps(job))
        child.stdin.close()
        for cell in replies(child, cfg.limit, late):
            if cell:  # the first line says that the data are there
                left.remove(cell["seed"])
                keep(about | {"key": group.key(cell["seed"])} | cell)
        status = child.wait()
        reason = f"over {cfg.limit:g} s" if late.is_set() else _last_words(errors, status)
    if status in (-signal.SIGINT, -signal.SIGTERM):
        return  # the user's wish, and no news about the head
    for i, seed in enumerate(left):
        why = reason if i == 0 else f"not tried after seed {left[0]}: {reason}"
        cell = {"key": group.key(seed), "seed": seed, "error": why, "late": late.is_set()}
        keep(about | cell)


def _last_words(errors: TextIO, status: int) -> str:
    """The last line that a child wrote to stderr, or how it ended."""
    errors.seek(0)
    said = [line for line in errors.read().splitlines() if line.strip()]
    if status < 0:
        return f"ended by {signal.Signals(-status).name}" + " (memory?)" * (status == -9)
    return said[-1] if said else f"ended with status {status}"


def run_all(groups: list[Group], path: Path, cfg: argparse.Namespace) -> dict[str, Cell]:
    """Compute what is missing, `jobs` children at a time; every cell to disk as it comes."""
    done = read_cells(path)
    todo = [(g, seeds) for g in groups if (seeds := unfinished(g, done, cfg.limit))]
    total, lock = sum(len(g.seeds) for g in groups), threading.Lock()
    missing = sum(len(seeds) for _, seeds in todo)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("a") as file,
        progress(None, "cells", total=total, initial=total - missing, unit="cell") as bar,
        ThreadPoolExecutor(cfg.jobs) as pool,
    ):
        file.write("\n")  # ends a line that a kill cut off

        def keep(cell: Cell) -> None:
            with lock:
                done[cell["key"]] = cell
                file.write(json.dumps(cell) + "\n")
                file.flush()
                bar.set_postfix_str(f"{cell['set']}/{cell['space']} {cell['head']}", refresh=False)
                bar.update()

        children: list[subprocess.Popen[str]] = []
        jobs = [pool.submit(run_group, g, seeds, cfg, keep, children) for g, seeds in todo]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:  # an interruption too: nobody waits for what is at work
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()
            raise
    return done


def compute(cfg: argparse.Namespace) -> dict[str, Any]:
    """The whole document: settings, cells, table, summary."""
    sets = find_sets(cfg.folder)
    cache = cfg.out.with_suffix(".cache")
    sets = [encode(d, cfg.encoders, cfg.rows, cache) if d.images else d for d in sets]
    groups = every_group(sets, cfg)
    done = run_all(groups, cfg.out.with_suffix(".jsonl"), cfg)
    cells = [done[k] for g in groups for s in g.seeds if (k := g.key(s)) in done]
    names = ("rows", "seeds", "threads", "jobs", "limit")
    return {
        "folder": cfg.folder.resolve().name,
        **{name: getattr(cfg, name) for name in names},
        "environment": environment(),
        "table": table_rows(cells),
        "summary": summary(cells),
        "cells": cells,
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    what, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=what, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="the data sets")
    add("--rows", type=int, default=4000, help="of a set at most, always the same ones")
    add("--heads", nargs="+", default=["all"], help="names, with options as name:field=value,...")
    add("--spaces", nargs="+", help="as a or a+b; every one and all together unless given")
    add("--encoders", nargs="+", default=["pixels"], help="for sets of images")
    add("--seeds", type=int, default=5, help="so many, from 0")
    add("--limit", type=float, default=300, help="seconds for one cell")
    add("--jobs", type=int, default=2, help="processes at a time")
    add("--threads", type=int, default=1, help="of each process")
    add("--tables-only", action="store_true", help="print again what OUT holds")
    add("--out", type=Path, default=Path("benchmarks/results/arena.json"))
    cfg = parser.parse_args(argv)
    for name in ("rows", "seeds", "limit", "jobs", "threads"):
        if not getattr(cfg, name) > 0:
            parser.error(f"--{name} must be above 0; got {getattr(cfg, name)}; raise it.")
    if cfg.folder is None and not cfg.tables_only:
        parser.error("FOLDER must be given unless --tables-only is; got none; name it.")
    return cfg


def main(argv: list[str] | None = None) -> int:
    """Run, write, print; 0 done, 2 refused, 130 interrupted."""
    cfg = parse(argv)
    try:
        if cfg.tables_only:
            if not cfg.out.is_file():
                raise input_error(str(cfg.out), "an arena's JSON", "nothing there", "run it first")
            doc = json.loads(cfg.out.read_text())
        else:
            doc = compute(cfg)
            cfg.out.write_text(json.dumps(doc, indent=1) + "\n")
    except InputError as e:
        print(f"arena: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("arena: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130
    cpus = doc["environment"]["cpus"]
    print(
        f"\n{doc['folder']}: at most {doc['rows']} rows, {doc['seeds']} seeds, {cpus} cores, ",
        end="",
    )
    print(f"{doc['jobs']} processes of {doc['threads']} threads\n")
    print("\n".join(lines(doc["cells"])))
    print(f"\nwritten to {cfg.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
