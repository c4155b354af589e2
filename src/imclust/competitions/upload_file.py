"""What is to be sent: one checked file, and all that is said along with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from imclust.competitions.ledger import Row
from imclust.competitions.ledger_rows import rows_of
from imclust.competitions.submission_check import checked_file, contents, rejected
from imclust.core.errors import input_error
from imclust.core.manifest import file_digest, read_manifest

FILES = ("submission.csv", "submission_inverted.csv")
WORDS = 200  # characters of a note that every service takes


@dataclass(frozen=True)
class UploadFile:
    """A file that fits its challenge.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        Its digest, as it was written.
    challenge : str
        Its name here.
    board : str
        Where it goes by itself, "" for nowhere.
    summary : str
        Rows and labels, for the user.
    note : str
        Words that go with it.
    row_here : Row
        What the ledger knows of it before it is sent.
    """

    path: Path
    sha256: str
    challenge: str
    board: str
    summary: str
    note: str
    row_here: Row

    @property
    def tag(self) -> str:
        """What tells this file's submission among those that a service lists."""
        return f"imclust {self.sha256[:12]}"

    @property
    def description(self) -> str:
        """What is said along with the file."""
        return f"{self.note[:WORDS]} [{self.tag}]".strip()

    def row(self, board: str) -> Row:
        """Its row in the ledger, for that board."""
        return replace(self.row_here, board=board)


def read_upload(
    source: Path, index: Path | None, log: Path, *, invert: bool, note: str
) -> UploadFile:
    """The file of a submission artefact, or a file made elsewhere, checked against its challenge.

    Parameters
    ----------
    source : Path
        The folder of the artefact, or the file.
    index : Path, optional
        The `index` artefact of the challenge; that of the submission unless given.
    log : Path
        The ledger.
    invert : bool
        The file with the two labels exchanged.
    note : str
        Words that go with it.

    Raises
    ------
    InputError
        There is none, it was changed since, or it does not fit.

    Examples
    --------
    >>> log = Path("submissions/log.csv")
    >>> mine = read_upload(Path("submissions/first"), None, log, invert=False, note="dunes")
    >>> mine.summary, mine.note
    ('24 rows, labels: 12 of 0, 12 of 1', 'dunes')
    """
    if source.is_file():
        return _foreign(source, index, note)
    if not source.exists():
        allowed = "the folder of a submission, or a CSV file"
        raise input_error(str(source), allowed, "nothing there", "check the path")
    doc = read_manifest(source, "submission")
    name = FILES[invert]
    if name not in doc["files"]:
        raise input_error(
            f"{name} of {source}", "there", "none: only two labels have a twin", "drop --invert"
        )
    path, digest = source / name, doc["files"][name][1]
    if not path.is_file() or file_digest(path) != digest:
        got = "another one" if path.is_file() else "none"
        raise input_error(str(path), "as `submit` wrote it", got, "run submit --force")
    index = index or source / doc["inputs_at"]["index"]
    rows = {r.file: r for r in rows_of(source, log)}
    run = source.resolve().name + (" inverted" if invert else "")
    return _made(path, digest, index, note or run, rows[name], doc["config"]["header"])


def _foreign(path: Path, index: Path | None, note: str) -> UploadFile:
    if index is None:
        raise input_error(
            f"{path}, a file made elsewhere",
            "checked against its challenge",
            "no --index",
            "give the index, such as --index data/raw/hw9/index",
        )
    digest = file_digest(path)
    row = Row(read_manifest(index, "index")["challenge"], file=path.name, sha256=digest)
    return _made(path, digest, index, note or path.stem, row)


def _made(
    path: Path, digest: str, index: Path, note: str, row: Row, header: str | None = None
) -> UploadFile:
    doc = read_manifest(index, "index")
    found = checked_file(path, index, header, None)
    if found.problems:
        raise rejected(path, doc["challenge"], found.problems)
    return UploadFile(path, digest, doc["challenge"], doc["board"], contents(found), note, row)


def twin(mine: UploadFile, log: Path) -> UploadFile | None:
    """The same grouping with the two labels exchanged, where it was written along.

    Examples
    --------
    >>> log = Path("submissions/log.csv")
    >>> mine = read_upload(Path("submissions/first"), None, log, invert=False, note="")
    >>> twin(mine, log).path.name
    'submission_inverted.csv'
    """
    if mine.path.name not in FILES or not (mine.path.parent / FILES[1]).is_file():
        return None
    invert = mine.path.name == FILES[0]
    return read_upload(mine.path.parent, None, log, invert=invert, note="")
