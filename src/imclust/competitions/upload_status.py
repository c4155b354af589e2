"""What a service says of a submission, as the ledger has it."""

from __future__ import annotations

from datetime import UTC, datetime

from imclust.competitions.clients._base import SubmissionStatus
from imclust.competitions.ledger import Row, as_text

STATE = {"pending": "sent", "scored": "scored", "failed": "failed"}


def now() -> str:
    """The time as the ledger has it: UTC, to the millisecond.

    Examples
    --------
    >>> now().endswith("Z")
    True
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status_changes(row: Row, standing: SubmissionStatus) -> dict[str, str]:
    """What a service says beyond what a row has, as columns; what it does not say is left out.

    Parameters
    ----------
    row : Row
        Of the ledger.
    standing : SubmissionStatus
        What the service says.

    Examples
    --------
    >>> standing = SubmissionStatus("7", "scored", public=0.75)
    >>> status_changes(Row("hw9", scored="2026-01-01"), standing)
    {'state': 'scored', 'public': '0.75'}
    """
    found = {
        "state": STATE[standing.state],
        "public": as_text(standing.public),
        "private": as_text(standing.private),
        "rank": as_text(standing.rank),
        "message": standing.message,
    }
    if row.state == "scored" and standing.state == "pending":
        found["state"] = "scored"  # a service that scores once more takes nothing back
    if found["state"] != "sent" and not row.scored:
        found["scored"] = now()
    return {name: value for name, value in found.items() if value}
