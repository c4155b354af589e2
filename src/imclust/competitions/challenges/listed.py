"""`listed`: a csv table of the images' paths, or of their addresses on the web."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imclust.competitions.challenges import CHALLENGES
from imclust.competitions.challenges._base import Challenge, LocalData, in_sample_order
from imclust.competitions.challenges._columns import column, refuse_repeated
from imclust.competitions.fetch_images import FETCHED, fetch_images, image_path
from imclust.core.errors import InputError, input_error
from imclust.core.log import say
from imclust.core.records import write_csv
from imclust.data.images import ImageRow
from imclust.data.texts import read_table

SHOWN = 3  # reasons that are said


@dataclass(frozen=True)
class ListedConfig(LocalData):
    """A csv table of images (--data-dir is the file). You say how many clusters: K=<n>."""

    fetches: ClassVar[bool] = True  # which a Ray cluster can do
    path_column: str = "path"
    """Column of paths, from the table's folder on; where there is none, of addresses, see below."""
    url_column: str = "url"
    """Column of http(s) addresses; each is fetched once, into `files/fetched` of the challenge."""
    id_column: str = ""
    """Column of the ids; unless given `id` where there is one, else the path or address."""
    label_column: str = ""
    """Column of true classes, for scoring only; rows where it is empty are not scored."""
    leave_out_failed: bool = False
    """Go on without the addresses that brought no image; `files/failed.csv` names them."""


@CHALLENGES.register(
    "listed", ListedConfig, paper="github.com/rom1504/img2dataset, lists of addresses"
)
def listed(cfg: ListedConfig, files: Path) -> Challenge:
    """Rows in the table's order.

    Raises
    ------
    InputError
        No csv table, a column that is not there, an id twice, a path without a file, an address
        that brings no image.

    Examples
    --------
    >>> _ = Path("list.csv").write_text("id,path\\na,photos/dune/00.png\\nb,photos/lake/00.png\\n")
    >>> [row.id for row in listed(ListedConfig(Path("list.csv")), Path("files")).rows]
    ['a', 'b']
    """
    data = cfg.data_dir
    if not data.is_file():
        raise input_error(str(data), "a csv file", "a folder", "set DATA_DIR to the file itself")
    header, table = read_table(data)
    by_url = cfg.path_column not in header and cfg.url_column in header
    name, flag = (cfg.url_column, "--url-column") if by_url else (cfg.path_column, "--path-column")
    places = column(data, header, table, name, flag)
    id_column = cfg.id_column or ("id" if "id" in header else name)
    ids = column(data, header, table, id_column, "--id-column")
    refuse_repeated(ids, f"ids of {data}", "give another --id-column, or remove the second row")
    if "" in places or "" in ids:
        row = (places.index("") if "" in places else ids.index("")) + 2
        got = f"line {row} without one"
        raise input_error(f"{name} and {id_column} of {data}", "in every row", got, "fill it in")
    sources = _fetched(cfg, places, files) if by_url else _existing(data, places)
    labels: dict[str, str] = {}
    if cfg.label_column:
        classes = column(data, header, table, cfg.label_column, "--label-column")
        labels = {i: c for i, c in zip(ids, classes, strict=True) if c}
    rows = [ImageRow(i, "train", str(s), "") for i, s in zip(ids, sources, strict=True) if s]
    if len(rows) < 2:
        raise input_error(f"images of {data}", "two at least", len(rows), "add rows")
    kept = {row.id for row in rows}
    labels = {i: label for i, label in labels.items() if i in kept}
    return in_sample_order(cfg, files, Challenge(rows, labels))


def _existing(data: Path, places: list[str]) -> list[Path | None]:
    """The file of each path."""
    found: list[Path | None] = [(data.parent / place).resolve() for place in places]
    missing = [p for p, f in zip(places, found, strict=True) if f is None or not f.is_file()]
    if missing:
        got = f"{len(missing)} without one, the first {missing[0]!r}"
        do = "give paths from the table's folder on, or whole ones"
        raise input_error(f"every path of {data}", "that of a file", got, do)
    return found


def _fetched(cfg: ListedConfig, urls: list[str], files: Path) -> list[Path | None]:
    """The file of each address; None where it is left out."""
    folder = files / FETCHED
    problems = fetch_images(urls, folder)
    failed = [(u, p) for u, p in zip(urls, problems, strict=True) if p]
    if failed:
        files.mkdir(parents=True, exist_ok=True)
        write_csv(files / "failed.csv", ("url", "error_message"), failed)
        why = ", ".join(f"{n} {p}" for p, n in Counter(p for _, p in failed).most_common(SHOWN))
        text = f"{len(failed)} of {len(urls)} addresses brought no image ({why})"
        if not cfg.leave_out_failed:
            raise InputError(
                f"every address must bring an image; got {text}, the first {failed[0][0]}; run it "
                "again, which asks for these only, or add --leave-out-failed (CHALLENGE_FLAGS)."
            )
        say(f"{text}: left out, see {files / 'failed.csv'}")
    return [
        None if problem else image_path(folder, url)
        for url, problem in zip(urls, problems, strict=True)
    ]
