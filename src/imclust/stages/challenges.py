"""`challenges`: which challenges are known, what each needs, and what is there of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Home
from imclust.competitions.clients import client_class, connect
from imclust.core.errors import InputError
from imclust.core.log import say
from imclust.core.manifest import MANIFEST
from imclust.core.registry import Entry
from imclust.core.wording import counted


@dataclass(frozen=True)
class Challenges:
    """List the challenges: rules, where data come from and answers go, what is still needed."""

    name: Annotated[str, tyro.conf.Positional] = ""
    """One of them, to see more of it."""
    raw: Path = Path("data/raw")
    """Where downloads lie."""
    ask: bool = False
    """Ask the service whether the key is good and the rules are accepted; sends nothing else."""


def run(cfg: Challenges) -> None:
    """Print the challenges, or one of them; reads what is on this machine, writes nothing.

    Examples
    --------
    >>> from imclust.__main__ import main
    >>> main(["challenges", "digits"])  # doctest: +ELLIPSIS
    challenge    rules        disk  board                        needs
    digits       scratch         -  -                            nothing: embedded
    ...
    0
    """
    entries = [CHALLENGES[cfg.name]] if cfg.name else list(CHALLENGES)
    say(f"{'challenge':<12} {'rules':<8} {'disk':>8}  {'board':<28} needs")
    for entry in entries:
        home = entry.config.home
        disk = f"{home.mib} MiB" if home.mib else "-"
        board = home.board or "-"
        say(f"{entry.name:<12} {home.track:<8} {disk:>8}  {board:<28} {_needs(entry, cfg.raw)}")
    if cfg.name:
        _more(entries[0], cfg.raw)
    if cfg.ask:
        _ask(sorted({b for e in entries if (b := e.config.home.board)}))


def _needs(entry: Entry[Any], raw: Path) -> str:
    """What is missing before its data are here, or that nothing is."""
    if (raw / entry.name / "index" / MANIFEST).is_file():
        return "nothing: downloaded"
    home: Home = entry.config.home
    names = {f.name for f in fields(entry.config)}
    if "board" in names:
        return "BOARD: which one, and a key of its service"
    if not home.files and not home.board:
        return "DATA_DIR: your data" if "data_dir" in names else "nothing: embedded"
    free = shutil.disk_usage(Path.cwd()).free // 2**20
    if free < home.mib:
        return f"{home.mib} MiB on this disk, where {free} are free"
    lacking = [s for s in _services(home) if not client_class(s).credentials()]
    if lacking:
        own = " (or DATA_DIR)" if "data_dir" in names else ""
        return f"a key of {' and '.join(client_class(s).title for s in lacking)}{own}"
    return "download"


def _services(home: Home) -> list[str]:
    """Services that its files come from."""
    places = [place or home.board for place in home.files.values()] or [home.board]
    return sorted({p.partition(":")[0] for p in places if p})


def _more(entry: Entry[Any], raw: Path) -> None:
    home = entry.config.home
    say("")
    say(f"{entry.name}: {(entry.config.__doc__ or '').strip()}")
    say(f"from: {entry.paper}")
    forbid = "no pretrained weights, no outside data" if home.track == "scratch" else "pretrained"
    say(f"rules: {forbid}{'' if home.track == 'scratch' else ' weights allowed'}")
    for file, place in home.files.items():
        say(f"file: {file} from {place or home.board}")
    if home.board:
        client = connect(home.board)
        source = client.credentials()
        say(f"page: {client.page} (register, accept the rules)")
        say(f"key: {f'from {source}' if source else f'none; {client.wants()}'}")
    say(f"run: CHALLENGE={entry.name} bash run_baseline.sh")


def _ask(boards: list[str]) -> None:
    """Say of each board what its service says of the key and the rules.

    Raises
    ------
    InputError
        The last one that is not ready, after all were asked.
    """
    refused: InputError | None = None
    for board in boards:
        client = connect(board)
        try:
            account, files = client.account(), len(client.list_files())
            allowance = client.allowance()
        except InputError as e:
            say(f"{board}: not ready: {e}")
            refused = e
            continue
        left = (
            ""
            if allowance.left is None
            else f", {counted(allowance.left, 'submission')} left today"
        )
        say(f"{board}: ready as {account}: {counted(files, 'file')}{left}")
    if refused is not None:
        raise refused
