"""`push`: a package's notebook to a code competition, run there, and submitted, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from imclust.competitions import ledger
from imclust.competitions.clients.kaggle_code import KaggleCode
from imclust.competitions.handover.push import (
    NotebookFolder,
    check_ready,
    push_dataset,
    push_notebook,
    wait_for_run,
)
from imclust.competitions.upload import follow, send
from imclust.core.errors import ServiceError
from imclust.core.locks import try_lock
from imclust.core.log import say


@dataclass(frozen=True)
class Push:
    """Show what would be sent; with --yes send data sets and notebook, run it, submit it."""

    package: Annotated[Path, tyro.conf.Positional]
    """What `package --kernel` wrote."""
    yes: bool = False
    """Send it."""
    force: bool = False
    """Run the notebook and submit it again although that was done, or may have been."""
    note: str = ""
    """Words to go with the submission; the name of the run unless given."""
    wait: float = 600
    """Minutes to wait for each of: data sets, the notebook's run, the score."""
    poll: float = 10
    """Seconds between looks at first; they grow to a minute."""
    log: Path = ledger.LOG
    """The ledger."""


def run(cfg: Push) -> None:
    """Read what `package --kernel` wrote, show it, with --yes bring it to its score.

    Every step is looked for on Kaggle before it is done: the same command goes on after a stop.

    Raises
    ------
    InputError
        It was changed since, belongs to another account, or its names are taken.
    ServiceError
        Kaggle does not do it, or the notebook fails there.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main("push data/packages/first --yes".split())  # doctest: +SKIP
    >>> main("push run".split())  # no package: refused
    2
    """
    mine = NotebookFolder.load(cfg.package)
    client = KaggleCode(mine.competition, mine.ref, file=mine.file)
    _show(mine, client)
    if not client.credentials():
        raise ServiceError(
            "no-credentials", f"{client.title} must be given a key; got none; {client.wants()}."
        )
    check_ready(client, mine)
    if not cfg.yes:
        say("nothing was sent; add --yes to send it")
        return
    cfg.log.parent.mkdir(parents=True, exist_ok=True)
    lock = cfg.log.parent / f".upload-{client.service}-{client.slug}.lock"
    with try_lock(lock, f"submissions to {client.slug} must be sent", "wait until it is done"):
        _push(cfg, mine, client)


def _push(cfg: Push, mine: NotebookFolder, client: KaggleCode) -> None:
    wait = 60 * cfg.wait
    for each in mine.datasets:
        push_dataset(client, each, wait, cfg.poll)
    client.version = push_notebook(client, mine, force=cfg.force)
    wait_for_run(client, wait, cfg.poll)
    file = mine.upload_file(cfg.note)
    row = send(file, client, cfg.log, force=cfg.force)
    follow(row, client, cfg.log, wait=wait, poll=cfg.poll)


def _show(mine: NotebookFolder, client: KaggleCode) -> None:
    """What would be sent, and to whom."""
    say(f"to        {client.title}, {client.slug}: {client.page}")
    for each in mine.datasets:
        say(f"data set  {each.ref}: {each.size / 2**20:.1f} MiB, private, licence {each.licence}")
    say(f"notebook  {mine.ref}: private, without internet; it writes {mine.file}")
    if source := client.credentials():
        say(f"as        {client.account()} (key from {source})")
