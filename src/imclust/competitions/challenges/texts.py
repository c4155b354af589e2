"""`texts`: one text a row of a csv table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData
from imclust.competitions.challenges._columns import column, refuse_repeated
from imclust.competitions.downloads import made_file
from imclust.core.errors import input_error
from imclust.core.records import write_csv
from imclust.data.images import ImageRow
from imclust.data.texts import COLUMN, read_table


@dataclass(frozen=True)
class TextsConfig(LocalData):
    """A csv table of texts (--data-dir is the file). You say how many clusters: K=<n>."""

    text_column: str = "text"
    """Column that holds the texts."""
    id_column: str | None = None
    """Column of the ids; unless given `id` where there is one, else rows count from 0."""
    label_column: str | None = None
    """Column of true classes, for scoring only; rows where it is empty are not scored."""


@CHALLENGES.register("texts", TextsConfig, paper="anybody's texts")
def texts(cfg: TextsConfig, files: Path) -> Challenge:
    """Ids and texts are copied to `files`/texts.csv, columns id and text; rows point there.

    Raises
    ------
    InputError
        No csv table, a column it has not, an empty text, a repeated id, one row.

    Examples
    --------
    >>> _ = Path("texts.csv").write_text("id,text\\na,a dune\\nb,a lake\\n")
    >>> [row.id for row in texts(TextsConfig(Path("texts.csv")), Path("files")).rows]
    ['a', 'b']
    """
    data = cfg.data_dir
    if not data.is_file():
        raise input_error(str(data), "a csv file", "a folder", "set DATA_DIR to the file itself")
    header, table = read_table(data)
    if len(table) < 2:
        raise input_error(str(data), "a table of at least two texts", len(table), "add rows")
    sentences = column(data, header, table, cfg.text_column, "--text-column")
    id_column = cfg.id_column or ("id" if "id" in header else None)
    ids = [str(i) for i in range(len(table))]
    if id_column is not None:
        ids = column(data, header, table, id_column, "--id-column")
    _check(ids, sentences, cfg.text_column)
    labels: dict[str, str] = {}
    if cfg.label_column is not None:
        classes = column(data, header, table, cfg.label_column, "--label-column")
        labels = {i: c for i, c in zip(ids, classes, strict=True) if c}
    copy = files / "texts.csv"
    with made_file(copy) as fresh:
        write_csv(fresh, ("id", COLUMN), zip(ids, sentences, strict=True))
    rows = [
        ImageRow(i, "train", str(copy), str(n), digest=hashlib.sha256(s.encode()).hexdigest()[:16])
        for n, (i, s) in enumerate(zip(ids, sentences, strict=True))
    ]
    return Challenge(rows, labels, columns=(id_column or "id", "label"), content="texts")


def _check(ids: list[str], sentences: list[str], name: str) -> None:
    empty = [i for i, s in zip(ids, sentences, strict=True) if not s]
    if empty:
        raise input_error(
            f"column {name}",
            "a text in every row",
            f"{len(empty)} empty, first that of id {empty[0]!r}",
            "fill or remove those rows",
        )
    refuse_repeated(ids, "ids", "give another --id-column")
