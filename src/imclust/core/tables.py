"""Tables beside artefacts, for people: replaced only while they are as imclust wrote them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from imclust.core.errors import input_error
from imclust.core.files import replace_text
from imclust.core.manifest import file_digest

NOTE = ".tables.json"  # name -> digests of what imclust wrote there, or was about to write


def refuse_edited_tables(folder: Path, names: Iterable[str]) -> None:
    """Refuse to go on where a table was made or edited by somebody else.

    Parameters
    ----------
    folder : Path
        That holds the tables; need not exist.
    names : iterable of str
        Of those that are about to be written.

    Raises
    ------
    InputError
        One of them is there and not as imclust wrote it.

    Examples
    --------
    >>> refuse_edited_tables(Path("nowhere"), ["assignments.csv"])
    """
    written = _written(folder)
    for name in names:
        path = folder / name
        if os.path.lexists(path) and (
            path.is_symlink() or file_digest(path) not in written.get(name, ())
        ):
            allowed, do = "as imclust wrote it, to be replaced", "move or rename it"
            raise input_error(str(path), allowed, "one that was edited since", do)


def replace_tables(folder: Path, texts: Mapping[str, str | None]) -> None:
    """Write tables, each in one step; one without a text is taken away.

    Parameters
    ----------
    folder : Path
        Where.
    texts : mapping of str to str or None
        Name -> content.

    Raises
    ------
    InputError
        One of them is there and not as imclust wrote it; nothing is written then.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> replace_tables(folder, {"a.csv": "id\\n"})
    >>> (folder / "a.csv").read_text()
    'id\\n'
    """
    refuse_edited_tables(folder, texts)
    written = _written(folder)
    new = {n: _digest(text) for n, text in texts.items() if text is not None}
    # Before and after: a kill in between leaves the old table or the new one, both known.
    _note(folder, written | {n: [*written.get(n, ()), digest] for n, digest in new.items()})
    for name, text in texts.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            replace_text(folder / name, text)
    left = {n: digests for n, digests in written.items() if n not in texts}
    _note(folder, left | {n: [digest] for n, digest in new.items()})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _note(folder: Path, written: Mapping[str, list[str]]) -> None:
    replace_text(folder / NOTE, json.dumps(written, sort_keys=True) + "\n")


def _written(folder: Path) -> dict[str, list[str]]:
    note = folder / NOTE
    return json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
