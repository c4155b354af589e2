"""What the user sees while it runs: plain lines, progress bars on a terminal, JSONL step logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def say(text: str) -> None:
    """One line to the user, at once."""
    print(text, flush=True)


def progress(items: Iterable[Any] | None, what: str, **settings: Any) -> Any:
    """A tqdm bar with rate and ETA on stderr; silent when stderr is no terminal.

    `settings` go to tqdm (`total`, `initial`, `unit`).
    """
    from tqdm import tqdm

    return tqdm(items, desc=what, disable=None, file=sys.stderr, **settings)


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(r) + "\n" for r in records))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The records that `write_jsonl` wrote."""
    return [json.loads(line) for line in path.read_text().splitlines()]
