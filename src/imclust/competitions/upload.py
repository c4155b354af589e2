"""Sending one file exactly once, whatever breaks on the way, and following it to its score.

The ledger is told before the request that counts (`sending`) and after it (`sent`). A run that
finds `sending` or `unknown` there asks the service for a submission that carries the file's tag
before it says anything; it never sends a second time by itself.
"""

from __future__ import annotations

import time
from pathlib import Path

from imclust.competitions import ledger
from imclust.competitions.clients._base import ChallengeClient, SubmissionStatus
from imclust.competitions.ledger import Row
from imclust.competitions.upload_file import UploadFile
from imclust.competitions.upload_status import now, status_changes
from imclust.core.errors import ServiceError
from imclust.core.log import say

LONGEST = 60.0  # seconds between two looks at a score, at the most


def send(mine: UploadFile, client: ChallengeClient, log: Path, *, force: bool) -> Row:
    """Send a file unless the ledger or the service knows it already.

    Parameters
    ----------
    mine : UploadFile
        The file.
    client : ChallengeClient
        Of the challenge.
    log : Path
        The ledger.
    force : bool
        Send it again in any case.

    Returns
    -------
    Row
        Its row in the ledger, as it then stands.

    Raises
    ------
    ServiceError
        Of kind `unknown-state` when it may have been sent; of others when it was not.

    Examples
    --------
    >>> from imclust.competitions.clients import connect
    >>> from imclust.competitions.upload_file import read_upload
    >>> mine = read_upload(Path("submissions/first"), None, ledger.LOG, invert=False, note="")
    >>> row = ledger.begin(ledger.LOG, mine.row("kaggle:dunes"), "2026-01-01T00:00:00.000Z")
    >>> _ = ledger.change(ledger.LOG, row.key, state="sent", ref="7")
    >>> _ = send(mine, connect("kaggle:dunes"), ledger.LOG, force=False)
    already sent on 2026-01-01T00:00:00.000Z as 7; --force sends it again
    """
    board = board_of(client)
    doubtful, settled = _earlier(log, board, mine.sha256)
    if doubtful and not force:
        return _looked_up(doubtful, mine, client, log)
    if settled and not force:
        say(f"already sent on {settled.sent} as {settled.ref}; --force sends it again")
        return settled
    if not client.credentials():
        raise ServiceError(
            "no-credentials", f"{client.title} must be given a key; got none; {client.wants()}."
        )
    if client.allowance().left == 0:
        raise ServiceError(
            "limit",
            f"{client.title} must take another submission to {client.slug} today; got an allowance "
            "that is used up; try again tomorrow.",
        )
    begun: list[Row] = []

    def creating() -> None:
        begun.append(ledger.begin(log, mine.row(board), now()))

    try:
        ref = client.submit(mine.path, mine.description, creating)
    except ServiceError as e:
        if not begun:
            raise
        if e.kind != "unknown-state":
            ledger.change(log, begun[0].key, state="failed", message=str(e))
            raise
        row = ledger.change(log, begun[0].key, state="unknown", message=str(e))
        if arrived := _arrived(row, mine, client, log):
            return arrived
        raise
    say(f"sent as {ref}")
    return ledger.change(log, begun[0].key, state="sent", ref=ref)


def board_of(client: ChallengeClient) -> str:
    """SERVICE:CHALLENGE.

    Examples
    --------
    >>> from imclust.competitions.clients import connect
    >>> board_of(connect("https://www.kaggle.com/competitions/titanic"))
    'kaggle:titanic'
    """
    return f"{client.service}:{client.slug}"


def _earlier(log: Path, board: str, sha256: str) -> tuple[Row | None, Row | None]:
    """The last time that these bytes were sent: with a doubtful outcome, and with a known one.

    A doubt is None where something is known since.
    """
    rows = ledger.sendings(log, board, sha256)
    settled = [r for r in rows if r.state in {"sent", "scored"}]
    doubtful = [r for r in rows if r.state in {"sending", "unknown"}]
    if doubtful and settled and doubtful[-1].sent < settled[-1].sent:
        doubtful = []
    return doubtful[-1] if doubtful else None, settled[-1] if settled else None


def _arrived(row: Row, mine: UploadFile, client: ChallengeClient, log: Path) -> Row | None:
    """The row of a doubtful sending that the service does list, brought up to date."""
    known = {r.ref for r in ledger.read(log) if r.board == row.board}
    listed = client.recent() or []
    found = [s for s in listed if mine.tag in s.description and s.ref not in known]
    if not found:
        return None
    say(f"it did arrive, as {found[0].ref}")
    return ledger.change(log, row.key, state="sent", ref=found[0].ref, message="")


def _looked_up(row: Row, mine: UploadFile, client: ChallengeClient, log: Path) -> Row:
    """The submission that an earlier try may have made, if the service can tell of it.

    Raises
    ------
    ServiceError
        Of kind `unknown-state`, when it cannot or has none.
    """
    if arrived := _arrived(row, mine, client, log):
        return arrived
    told = "lists no such submission" if client.recent() is not None else "cannot be asked"
    raise ServiceError(
        "unknown-state",
        f"the try of {row.sent} to send {mine.path.name} must be cleared up first; got no answer "
        f"to it then, and {client.title} {told}; look at {client.page}/submissions, and repeat "
        "with --force if it is not there.",
    )


def follow(row: Row, client: ChallengeClient, log: Path, *, wait: float, poll: float) -> Row:
    """Look until it is scored or `wait` seconds have passed; the row as it then stands.

    Parameters
    ----------
    row : Row
        Of what was sent.
    client : ChallengeClient
        Of the challenge.
    log : Path
        The ledger.
    wait, poll : float
        Seconds to wait at most, and between the first two looks.

    Raises
    ------
    ServiceError
        Of kind rejected-file, when the grader did not take it.

    Examples
    --------
    >>> from imclust.competitions.clients import connect
    >>> row = Row("hw9", board="kaggle:dunes", state="scored", public="0.75", rank="3")
    >>> _ = follow(row, connect("kaggle:dunes"), Path("log.csv"), wait=60, poll=1)
    score   0.75, rank 3
    """
    if row.state == "scored":
        _say_score(row, log)
        return row
    end, pause = time.monotonic() + wait, poll
    while True:
        standing = _standing(row, client)
        if standing is not None and standing.state != "pending":
            return _settled(row, standing, log)
        if time.monotonic() + pause > end:
            say(f"not scored yet: the same command (without --force) goes on looking for {row.ref}")
            return row
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST)


def _standing(row: Row, client: ChallengeClient) -> SubmissionStatus | None:
    """How it stands; None where the service cannot say just now, or does not know it yet."""
    try:
        return client.status(row.ref)
    except ServiceError as e:
        if e.kind in {"no-credentials", "bad-credentials", "not-allowed"}:
            raise
        say(f"no news: {e}")
        return None


def _settled(row: Row, standing: SubmissionStatus, log: Path) -> Row:
    """Put down what the grader said."""
    row = ledger.change(log, row.key, **status_changes(row, standing))
    if row.state == "failed":
        raise ServiceError(
            "rejected-file",
            f"{row.file} must be a file that the grader of {row.board} takes; got: "
            f"{standing.message or 'no reason'}; check it with `submit --check` and send another.",
        )
    _say_score(row, log)
    return row


def _say_score(row: Row, log: Path) -> None:
    gain = ledger.gains(ledger.read(log)).get(row.key)
    more = "" if gain is None else f", {gain:+.5g} against the best before"
    rank = f", rank {row.rank}" if row.rank else ""
    private = f", private {row.private}" if row.private else ""
    say(f"score   {row.public or 'not told'}{private}{rank}{more}")
