"""`leaderboard`: every submission of the ledger, best first, and how to make the best one again."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from imclust.competitions.clients import connect
from imclust.competitions.ledger import (
    COLUMNS,
    LOG,
    Key,
    Row,
    as_text,
    best,
    change,
    folder_of,
    gains,
    read,
)
from imclust.competitions.upload_status import status_changes
from imclust.core.errors import InputError, input_error
from imclust.core.files import replaced_file
from imclust.core.log import say
from imclust.core.records import write_csv

SHOWN = (
    *(
        "#",
        "run",
        "encoder",
        "head",
        "K",
        "file",
        "public",
        "gain",
        "private",
        "rank",
        "validation",
        "label-free",
    ),
    *("track", "state", "when"),
)
ASKED = {"sent", "scored", "unknown"}  # states that a service can say more about


@dataclass(frozen=True)
class Leaderboard:
    """Show the ledger best first and write it so to leaderboard.csv beside it."""

    log: Path = LOG
    """The ledger."""
    challenge: str | None = None
    """Show only this challenge, by its name here or on its board."""
    refresh: bool = False
    """Ask the services first for scores and ranks that are not known yet."""


def run(cfg: Leaderboard) -> None:
    """Read the ledger, print it best first, write leaderboard.csv beside it.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main(["leaderboard", "--log", "submissions/log.csv"])  # doctest: +ELLIPSIS
    == imagefolder ==
    #  run    encoder  head    K  file  ...
    1  first  pixels   kmeans  2  submission.csv  ...
    best: first, submission.csv, by its validation accuracy 1.0000
    ...
    0
    """
    if cfg.refresh and not _refresh(cfg.log, cfg.challenge):
        say("every score and rank that can be asked for is known")
    rows = [row for row in read(cfg.log) if _wanted(row, cfg.challenge)]
    if not rows:
        known = sorted({n for r in read(cfg.log) for n in (r.challenge, r.board) if n})
        if cfg.challenge and known:
            raise input_error(
                "--challenge", f"one of {', '.join(known)}", cfg.challenge, "choose one"
            )
        say(f"no submission is in {cfg.log} yet; run_baseline.sh, or the submit stage, enters one")
        return
    gained = gains(rows)
    ranked: list[tuple[int, Row]] = []
    for place in sorted({row.place for row in rows}):
        there = best([row for row in rows if row.place == place])
        ranked += enumerate(there, 1)
        _show(place, there, gained, cfg.log)
    out = cfg.log.with_name("leaderboard.csv")
    table = ([n, *asdict(row).values(), as_text(gained.get(row.key))] for n, row in ranked)
    header = ("place", *COLUMNS, "gain")
    if out.is_file() and not out.read_bytes().startswith(",".join(header).encode()):
        do = "move it, or give --log another folder"
        raise input_error(str(out), "a table that leaderboard wrote", "another file", do)
    with replaced_file(out) as fresh:
        write_csv(fresh, header, table)
    say(f"the whole table is in {out}")


def _refresh(log: Path, challenge: str | None) -> int:
    """Ask the services for what is not known of what was sent; returns how often they were asked.

    One that fails is left alone from then on, and said.
    """
    failed: set[str] = set()
    rows = [row for row in read(log) if _wanted(row, challenge) and not _complete(row)]
    for row in rows:
        service = row.board.partition(":")[0]
        if service in failed:
            continue
        try:
            standing = connect(row.board).status(row.ref)
        except InputError as e:
            failed.add(service)
            say(f"{row.board} was not asked further: {e}")
            continue
        change(log, row.key, **status_changes(row, standing))
    return len(rows)


def _wanted(row: Row, challenge: str | None) -> bool:
    return challenge in {None, row.challenge, row.board, row.board.partition(":")[2]}


def _complete(row: Row) -> bool:
    """Whether no service could say more of a row."""
    if not (row.board and row.ref and row.state in ASKED):
        return True
    return row.state == "scored" and bool(row.private and row.rank)


def _show(place: str, rows: list[Row], gained: dict[Key, float], log: Path) -> None:
    say(f"== {place} ==")
    table = [SHOWN] + [_cells(n, row, gained.get(row.key)) for n, row in enumerate(rows, 1)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        pairs = zip(cells, widths, strict=True)
        say("  ".join(cell.ljust(width) for cell, width in pairs).rstrip())
    top = rows[0]
    say(f"best: {top.run or top.file}, {top.file}, {_evidence(top)}")
    if not top.submission:
        say("it was made elsewhere: nothing here makes it again")
        return
    folder = os.path.relpath(folder_of(top, log))
    say(f"again: python -m imclust reproduce {shlex.quote(folder)}")


def _cells(number: int, row: Row, gain: float | None) -> tuple[str, ...]:
    short = {
        name: f"{value:.4f}" if (value := row.number(name)) is not None else "-"
        for name in ("public", "private", "validation", "label_free")
    }
    return (
        str(number),
        row.run or "-",
        row.encoder or "-",
        row.head or "-",
        row.k or "-",
        row.file,
        short["public"],
        "-" if gain is None else f"{gain:+.4f}",
        short["private"],
        row.rank or "-",
        short["validation"],
        short["label_free"],
        row.track or "-",
        row.state,
        (row.scored or row.sent or row.written)[:16].replace("T", " ") or "-",
    )


def _evidence(row: Row) -> str:
    """The number that put a row first."""
    named = {"private": "private score", "public": "public score"}
    named |= {"validation": "validation accuracy", "label_free": "label-free score"}
    for column, name in named.items():
        if (value := row.number(column)) is not None:
            return f"by its {name} {value:.4f}"
    return "the first one: nothing is known of any"
