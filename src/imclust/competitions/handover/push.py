"""A notebook and its data sets sent to Kaggle: each step once, and found again after a stop.

Kaggle itself is asked what is there already: descriptions and texts carry digests, so that a step
whose answer was lost, or that another machine did, is not repeated.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imclust.competitions.clients.kaggle_code import (
    FAILED,
    KaggleCode,
    RemoteDataset,
    RemoteNotebook,
)
from imclust.competitions.handover.hidden import HiddenTest
from imclust.competitions.handover.kernel import METADATA, ROW, TAG, content_digest
from imclust.competitions.ledger import Row
from imclust.competitions.upload_file import UploadFile
from imclust.core.errors import ServiceError, input_error
from imclust.core.log import progress, say
from imclust.core.manifest import file_digest, parse_json

LOG_LINES = 15  # of a failed run that are shown
SAMPLE = re.compile(r"sample.?submission", re.IGNORECASE)
BATCH = 64 << 20  # bytes that are stored between two steps of the bar
LONGEST = 60.0  # seconds between two looks at a run, at the most


@dataclass(frozen=True)
class DatasetFolder:
    """A data set to be: its folder, `owner/slug`, description, licence, and size in bytes."""

    folder: Path
    ref: str
    description: str
    licence: str
    size: int


@dataclass(frozen=True)
class NotebookFolder:
    """What `package --kernel` wrote.

    Parameters
    ----------
    path : Path
        The notebook.
    ref : str
        `owner/slug` of it.
    competition : str
        Kaggle's slug.
    file : str
        What the notebook writes.
    text : str
        Of its one cell.
    datasets : tuple of DatasetFolder
        What it needs beside the competition's own data.
    row : Row
        Its row in the ledger, before it is sent.
    """

    path: Path
    ref: str
    competition: str
    file: str
    text: str
    datasets: tuple[DatasetFolder, ...]
    row: Row

    @classmethod
    def load(cls, folder: Path) -> NotebookFolder:
        """Read a package, which must be as it was written.

        Raises
        ------
        InputError
            It is none, or was changed since.
        """
        doc, known_as = (
            parse_json(path) if path.is_file() else None
            for path in (folder / "kernel" / "kernel-metadata.json", folder / ROW)
        )
        if not doc or not known_as:
            do = "make one with `package --kernel`"
            raise input_error(str(folder), "what `package --kernel` wrote", "something else", do)
        names = sorted(p.parent for p in folder.glob(f"*/{METADATA}"))
        datasets = tuple(_dataset_folder(p) for p in names)
        notebook = folder / "kernel" / doc["code_file"]
        row = Row(**known_as["row"])
        complete = {d.ref for d in datasets} == set(doc["dataset_sources"])
        complete = complete and content_digest(folder / "kernel") == known_as["kernel"]
        if not complete or not notebook.is_file() or file_digest(notebook) != row.sha256:
            raise _changed(folder)
        text = _cell(notebook.read_text(encoding="utf-8"))
        competition = doc["competition_sources"][0]
        file = HiddenTest.load(folder / "model").file
        return cls(notebook, doc["id"], competition, file, text, datasets, row)

    @property
    def owner(self) -> str:
        """The account that it will belong to."""
        return self.ref.partition("/")[0]

    def upload_file(self, note: str = "") -> UploadFile:
        """What the ledger is told of the submission of this notebook, with words to go along."""
        summary = f"notebook {self.ref}, {len(self.datasets)} data sets"
        board = f"kaggle:{self.competition}"
        return UploadFile(
            self.path, self.row.sha256, self.row.challenge, board, summary,
            note or f"{self.row.run}, {self.ref}", self.row,
        )  # fmt: skip


def _dataset_folder(folder: Path) -> DatasetFolder:
    doc = parse_json(folder / METADATA) or {}
    if not doc.get("description", "").endswith(f"[{TAG} {content_digest(folder)}]"):
        raise _changed(folder)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return DatasetFolder(folder, doc["id"], doc["description"], doc["licenses"][0]["name"], size)


def _changed(folder: Path) -> Exception:
    do = "make it again with `package --kernel`"
    return input_error(str(folder), "as `package --kernel` wrote it", "other files", do)


def _cell(notebook: str) -> str:
    """The text of a notebook of one cell; "" of any other."""
    try:
        cells = json.loads(notebook)["cells"]
        return "".join(cells[0]["source"]) if len(cells) == 1 else ""
    except (ValueError, LookupError, TypeError):
        return ""


def check_ready(client: KaggleCode, mine: NotebookFolder) -> None:
    """Refuse what Kaggle would not take, or what would go elsewhere, before anything is sent.

    Raises
    ------
    InputError
        The key is another account's, the competition's sample is a file of another kind, or a
        name is taken by what imclust did not make.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> said = {"account": lambda: "me", "list_files": list, "find_notebook": lambda: None}
    >>> client = SimpleNamespace(**said)  # in place of Kaggle
    >>> mine = NotebookFolder(Path("k/run.ipynb"), "me/first", "dunes", "s.csv", "", (), Row("x"))
    >>> check_ready(client, mine)  # nothing stands against it
    """
    account = client.account()
    if account != mine.owner:
        do = "make the package again with --owner, or use the owner's key"
        raise input_error(
            "the owner of the notebook", f"{account}, whose key it is", mine.owner, do
        )
    samples = [f.name for f in client.list_files() if SAMPLE.search(f.name)]
    if samples and not any(Path(name).suffix == Path(mine.file).suffix for name in samples):
        do = "see what the competition wants, and make the package again with --file"
        raise input_error("the submission", f"of the kind of {samples[0]}", mine.file, do)
    taken = [d.ref for d in mine.datasets if _foreign(client.find_dataset(d.ref))]
    found = client.find_notebook()
    if found and "imclust.competitions.handover.hidden" not in _cell(found.text):
        taken.append(mine.ref)
    if taken:
        got, do = f"{', '.join(taken)}, which imclust did not make", "rename or delete that one"
        raise input_error("names on Kaggle", "free, or used by imclust before", got, do)


def _foreign(found: RemoteDataset | None) -> bool:
    return found is not None and f"[{TAG} " not in found.description


def push_dataset(client: KaggleCode, mine: DatasetFolder, wait: float, poll: float) -> None:
    """Make a data set, or its next version, unless Kaggle has this very content; wait for it.

    Parameters
    ----------
    client : KaggleCode
        Of its competition.
    mine : DatasetFolder
        What to send.
    wait, poll : float
        Seconds to wait at most, and between the first two looks.

    Raises
    ------
    ServiceError
        Kaggle does not take it, or could not read it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> there = RemoteDataset("weights", 3, "ready")  # in place of what Kaggle says
    >>> client = SimpleNamespace(find_dataset=lambda ref: there)
    >>> push_dataset(client, DatasetFolder(Path("m"), "me/model", "weights", "other", 9), 60, 1)
    data set me/model: version 3 is there already
    """
    found = client.find_dataset(mine.ref)
    if found is None or found.description != mine.description:
        say(f"data set {mine.ref}: sending {mine.size / 2**20:.1f} MiB")
        tokens = _stored(client, mine)
        client.make_dataset(
            mine.ref, tokens, mine.description, mine.licence, version=found.version if found else 0
        )
    else:
        say(f"data set {mine.ref}: version {found.version} is there already")
    _wait_ready(client, mine.ref, wait, poll)


def _stored(client: KaggleCode, mine: DatasetFolder) -> list[str]:
    """Every entry of a folder, sub-folders as archives, which Kaggle unpacks."""
    tokens: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        paths = []
        for path in sorted(p for p in mine.folder.iterdir() if p.name != METADATA):
            if path.is_dir():
                path = Path(shutil.make_archive(str(Path(work, path.name)), "zip", path))
            paths.append(path)
        with progress(None, mine.ref, total=len(paths), unit="files") as bar:
            for batch in _batches(paths):
                tokens += client.store(batch)
                bar.update(len(batch))
    return tokens


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    """Files in turn, BATCH bytes or a file at a time."""
    batch: list[Path] = []
    for path in paths:
        batch.append(path)
        if sum(p.stat().st_size for p in batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _wait_ready(client: KaggleCode, ref: str, wait: float, poll: float) -> None:
    """Until Kaggle has unpacked it."""
    end, pause = time.monotonic() + wait, poll
    while True:
        found = client.find_dataset(ref)
        if found and found.state == "ready":
            return
        if found and found.state in {"failed", "error", "deleted"}:
            raise ServiceError(
                "rejected-file",
                f"the data set {ref} must be readable to Kaggle; got state {found.state}; look at "
                f"https://www.kaggle.com/datasets/{ref}.",
            )
        if time.monotonic() + pause > end:
            raise _not_yet(f"the data set {ref}")
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST)


def push_notebook(client: KaggleCode, mine: NotebookFolder, *, force: bool) -> int:
    """Save the notebook as a new version, unless the newest one is this; returns its number.

    Parameters
    ----------
    client : KaggleCode
        With its notebook.
    mine : NotebookFolder
        What to save. Its text names the content of its data sets, so that new content is a new
        text.
    force : bool
        Save it again in any case, so that it runs again.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> new = {"find_notebook": lambda: None, "push_notebook": lambda folder: 1}
    >>> client = SimpleNamespace(**new)  # in place of Kaggle, which has no such notebook yet
    >>> mine = NotebookFolder(Path("k/run.ipynb"), "me/first", "dunes", "s.csv", "", (), Row("x"))
    >>> push_notebook(client, mine, force=False)
    notebook me/first: saved as version 1
    1
    """
    found = client.find_notebook()
    if not force and found is not None and _same(found, mine):
        say(f"notebook {mine.ref}: version {found.version} is there already")
        return found.version
    version = client.push_notebook(mine.path.parent)
    say(f"notebook {mine.ref}: saved as version {version}")
    return version


def _same(found: RemoteNotebook, mine: NotebookFolder) -> bool:
    return _cell(found.text).strip() == mine.text.strip()


def wait_for_run(client: KaggleCode, wait: float, poll: float) -> None:
    """Until the notebook's newest version has run.

    Parameters
    ----------
    client : KaggleCode
        With its notebook.
    wait, poll : float
        Seconds to wait at most, and between the first two looks.

    Raises
    ------
    ServiceError
        Of kind rejected-file when it failed, with the end of its log; of kind timeout when it is
        still at work after `wait` seconds.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> done = SimpleNamespace(state="complete", message="")  # in place of what Kaggle says
    >>> client = SimpleNamespace(notebook="me/first", notebook_run=lambda: done)
    >>> wait_for_run(client, wait=60, poll=1)
    notebook me/first: complete
    """
    end, pause = time.monotonic() + wait, poll
    said = ""
    while True:
        run = client.notebook_run()
        if run.state != said:
            say(f"notebook {client.notebook}: {run.state}")
            said = run.state
        if run.state == "complete":
            return
        if run.state in FAILED:
            for line in log_lines(client.notebook_log())[-LOG_LINES:]:
                say(f"  {line}")
            raise ServiceError(
                "rejected-file",
                f"the notebook {client.notebook} must run to its end; got {run.state}"
                f"{f' ({run.message})' if run.message else ''}; its log ends as above; mend it, "
                "make the package again and push that, or add --force to run this one again.",
            )
        if time.monotonic() + pause > end:
            raise _not_yet(f"the notebook {client.notebook}")
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST)


def log_lines(text: str) -> list[str]:
    """Lines of a notebook's log: Kaggle gives them as JSON, `[{"data": ...}, ...]`, or as text.

    Examples
    --------
    >>> log_lines('[{"stream_name": "stderr", "time": 1.5, "data": "no file\\\\n"}]')
    ['no file']
    """
    with contextlib.suppress(ValueError, TypeError, LookupError):  # it may be text already
        text = "".join(str(part["data"]) for part in json.loads(text))
    return [line for line in text.splitlines() if line.strip()]


def _not_yet(what: str) -> ServiceError:
    return ServiceError(
        "timeout",
        f"{what} must be done within --wait; got none so far; the same command goes on waiting.",
    )
