"""`upload`: send a submission to its leaderboard, once, and follow it until it is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from imclust.competitions import ledger
from imclust.competitions.challenges import board_named
from imclust.competitions.clients import connect
from imclust.competitions.clients._base import ChallengeClient
from imclust.competitions.ledger_rows import which_fits
from imclust.competitions.upload import board_of, follow, send
from imclust.competitions.upload_file import UploadFile, read_upload, twin
from imclust.core.errors import ServiceError, input_error
from imclust.core.locks import try_lock
from imclust.core.log import say

HALF = 0.5  # a two-class grouping under this is the other way round


@dataclass(frozen=True)
class Upload:
    """Show what would be sent and to whom; with --yes send it, and wait for the score."""

    submission: Annotated[Path, tyro.conf.Positional]
    """The folder of a submission, or a CSV file made elsewhere (with --index)."""
    to: str = ""
    """SERVICE:CHALLENGE, such as kaggle:titanic, or a name that `challenges` lists, such as hw9;
    the challenge's own board unless given."""
    invert: bool = False
    """Send submission_inverted.csv instead."""
    auto_invert: bool = False
    """With --yes: where a two-class score comes back under 0.5, send the inverted file too."""
    yes: bool = False
    """Send it."""
    force: bool = False
    """Send it although the same bytes were sent before, or may have been."""
    note: str = ""
    """Words to go with the file; the name of the run unless given."""
    index: Path | None = None
    """The `index` artefact that a file made elsewhere is checked against."""
    via: str = ""
    """Another client of the service than our own: `cli` for aicrowd-cli."""
    wait: float = 60
    """Minutes to wait for the score; 0 does not wait. The same command goes on waiting."""
    poll: float = 10
    """Seconds between looks at first; they grow to a minute."""
    log: Path = ledger.LOG
    """The ledger."""


def run(cfg: Upload) -> None:
    """Read a `submission`, show what would be sent, send it with --yes, follow its score.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("upload submissions/first --to kaggle:titanic".split())  # doctest: +ELLIPSIS
    file    submissions/first/submission.csv
            24 rows, labels: 12 of 0, 12 of 1
    ...
    nothing was sent; add --yes to send it
    0
    """
    mine = read_upload(cfg.submission, cfg.index, cfg.log, invert=cfg.invert, note=cfg.note)
    board = board_named(cfg.to) if cfg.to else mine.board
    if not board:
        raise input_error(
            f"the board of {mine.challenge}",
            "SERVICE:CHALLENGE, such as kaggle:titanic, or hw9",
            "none: the challenge has none of its own",
            "name it with --to",
        )
    client = connect(board, cfg.via)
    _show(mine, client, cfg.log)
    if not cfg.yes:
        say("nothing was sent; add --yes to send it")
        return
    cfg.log.parent.mkdir(parents=True, exist_ok=True)
    lock = cfg.log.parent / f".upload-{client.service}-{client.slug}.lock"
    with try_lock(lock, f"submissions to {board} must be sent", "wait until it is done"):
        row = _through(cfg, mine, client)
        low = row.public and float(row.public) < HALF
        other = twin(mine, cfg.log) if low else None
        if other is None:
            return
        say(f"{row.public} is under 0.5: the grouping is the other way round")
        if not cfg.auto_invert:
            flags = (f" --to {cfg.to}" if cfg.to else "") + ("" if cfg.invert else " --invert")
            say(f"send it: python -m imclust upload {cfg.submission}{flags} --yes")
            return
        _through(cfg, other, client)


def _show(mine: UploadFile, client: ChallengeClient, log: Path) -> None:
    """What would be sent, and to whom. Asks the service only where there is a key."""
    source = client.credentials()
    say(f"file    {mine.path}")
    say(f"        {mine.summary}")
    if line := _fit(mine, log):
        say(f"labels  {line}")
    say(f"sha256  {mine.sha256}")
    say(f"to      {client.title}, {client.slug}: {client.page}")
    say(f"said    {mine.description}")
    for row in ledger.sendings(log, board_of(client), mine.sha256):
        score = f", score {row.public}" if row.public else ""
        say(f"before  {row.sent}: {row.state}{f' as {row.ref}' if row.ref else ''}{score}")
    if not source:
        say(f"as      nobody yet: no key; {client.wants()}")
        return
    try:
        say(f"as      {client.account()} (key from {source})")
        allowance = client.allowance()
    except ServiceError as e:
        say(f"        {e}")
        return
    left = "not told" if allowance.left is None else str(allowance.left)
    say(f"left    {left} today{f' ({allowance.words})' if allowance.words else ''}")


def _fit(mine: UploadFile, log: Path) -> str:
    """Which file of the pair the labels at hand speak for, by the ledger; empty where unknown."""
    place = mine.row_here.submission
    rows = [row for row in ledger.read(log) if place and row.submission == place]
    known = {row.file: row.number("validation") for row in rows}  # later rows are newer
    right = {file: value for file, value in known.items() if value is not None}
    line = which_fits(right)
    if line and not line.startswith(f"{mine.path.name} "):
        line += "; " + ("leave out --invert" if "inverted" in mine.path.name else "add --invert")
    return line


def _through(cfg: Upload, mine: UploadFile, client: ChallengeClient) -> ledger.Row:
    """One file sent unless it was before, and followed; its row in the ledger."""
    try:
        row = send(mine, client, cfg.log, force=cfg.force)
        return follow(row, client, cfg.log, wait=60 * cfg.wait, poll=cfg.poll)
    except KeyboardInterrupt:
        say("interrupted: what was sent stays sent; the same command without --force follows it")
        raise
