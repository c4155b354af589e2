"""Tables of the page: sorted and filtered there, formatted here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imclust.clustering.individual_metrics import REWARDS
from imclust.core.records import read_csv
from imclust.report.curves import loss_curve

LISTED = 3  # spaces of a view, at most
POINTS = 600  # of a training curve
Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table: a caption, names of columns, rows of as many cells. None shows as a dash.

    Parameters
    ----------
    id : str
        Of the element, unique on the page.
    wide : str
        Column of long text, which may break anywhere.
    """

    id: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    wide: str = ""

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which stand to the right."""
        cells = [row[column] for row in self.rows if row[column] is not None]
        return bool(cells) and all(isinstance(c, int | float) for c in cells)


def shown(value: Cell) -> str:
    """A cell as text: whole numbers whole, others with four significant digits.

    Examples
    --------
    >>> shown(0.123456), shown(2.0), shown("sea")
    ('0.1235', '2', 'sea')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "\N{EN DASH}"
    if isinstance(value, float):
        if abs(value) >= 1000 or value == int(value):
            return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        return f"{value:.4g}"
    return str(value)


def csv_table(path: Path, id: str, caption: str) -> Table | None:
    """A CSV file as a table; None where there is no such file, or no row in it.

    Parameters
    ----------
    path : Path
        The file.
    id, caption : str
        Of the table on the page.

    Examples
    --------
    >>> table = csv_table(Path("run/clusters/assignment.csv"), "all", "Assignment")
    >>> table.columns, table.rows[0][:3]
    (['id', 'split', 'cluster', 'confidence', 'runner_up', 'distance'], ['dune/00.png', 'train', 1])
    """
    rows = read_csv(path) if path.is_file() else []
    if not rows:
        return None
    # A row that ends early has no value there.
    return Table(id, caption, list(rows[0]), [[cell(v or "") for v in r.values()] for r in rows])


def candidate_table(path: Path) -> Table | None:
    """The candidates of `auto`; None of another clusterer.

    Parameters
    ----------
    path : Path
        `candidates.csv` of an assignment.

    Examples
    --------
    >>> candidate_table(Path("run/clusters/candidates.csv")) is None  # k-means has none
    True
    """
    table = csv_table(path, "candidates", "Candidates, the best score first")
    if table is None:
        return None
    at = table.columns.index("view")
    most = max(int(n) for row in table.rows for n in re.findall(r"\d+", str(row[at]).split()[0]))
    views = [view_words(str(row[at]), most) for row in table.rows]
    rows = [[*row[:at], view, *row[at + 1 :]] for row, view in zip(table.rows, views, strict=True)]
    return replace(table, rows=rows)


def view_words(view: str, spaces: int) -> str:
    """A view's name, with all of more than LISTED spaces side by side counted, not listed.

    Parameters
    ----------
    view : str
        Numbers of its spaces, and how they are prepared.
    spaces : int
        How many there are.

    Examples
    --------
    >>> view_words("1+2+3+4 white 10", 4), view_words("1+2+3+4 white", 5), view_words("3 power", 5)
    ('all 4, white 10', '1+2+3+4 white', '3 power')
    """
    parts, _, how = view.partition(" ")
    whole = spaces > LISTED and len(parts.split("+")) == spaces
    return f"all {spaces}, {how}" if whole else view


def cell(text: str) -> Cell:
    """A number where the text is one, None where it is empty, else the text.

    Examples
    --------
    >>> cell("3"), cell("0.5"), cell("sea"), cell("")
    (3, 0.5, 'sea', None)
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text or None


def curves(trained: Sequence[Path], checkpoints: Path | None) -> dict[str, Any] | None:
    """Trainings of encoders: `curves`, each as `loss_curve` has it but thinned evenly to `POINTS`,
    and the measured checkpoints; None where none was trained here.

    Examples
    --------
    >>> from imclust.core.log import write_jsonl
    >>> write_jsonl(Path("run/weights/steps.jsonl"), [{"epoch": 1, "loss": 0.5}])
    >>> curves([Path("run/weights")], None)["curves"]
    [{'name': 'pixels', 'epoch': [1, 1], 'loss': [0.5, 0.5]}]
    """
    found = []
    for curve in map(loss_curve, trained):
        every = max(1, len(curve["loss"]) // POINTS)
        thinned = {name: [*curve[name][::every], curve[name][-1]] for name in ("epoch", "loss")}
        found.append({"name": curve["name"], **thinned})
    marks = read_csv(checkpoints) if checkpoints else []
    told = [{k: cell(v) for k, v in mark.items()} for mark in marks]
    return {"curves": found, "checkpoints": told} if found else None


def score_table(scores: dict[str, Any]) -> Table:
    """`scores.json`, a row a number.

    Examples
    --------
    >>> score_table({"train": {"ari": 0.5}, "label_free": {"stability": 1.0}}).rows
    [['images to cluster', 'ari', 0.5], ['without labels', 'stability', 1.0]]
    """
    ways = {
        "train": "images to cluster",
        "val_own": "validation images on their own",
        "val_through": "validation images through the clustering",
        "label_free": "without labels",
    }
    rows: list[list[Cell]] = []
    for way, text in ways.items():
        for name, value in (scores.get(way) or {}).items():
            if isinstance(value, int | float):
                rows.append([text, name, value])
    return Table("scores", "Scores", ["of", "number", "value"], rows)


def pair_table(
    id: str,
    caption: str,
    columns: Sequence[str],
    pairs: Iterable[tuple[int, int, float]],
    first: Sequence[str],
    second: Sequence[str],
) -> Table:
    """Numbered pairs with a value, by name.

    Parameters
    ----------
    id, caption, columns
        Of the table.
    pairs : iterable of (int, int, float)
        One, another, and their value.
    first, second : sequence of str
        Names of the ones and of the others, by number.

    Examples
    --------
    >>> pair_table("far", "Apart", ["one", "other", "far"], [(0, 1, 0.2)], "ab", "cd").rows
    [['a', 'd', 0.2]]
    """
    return Table(id, caption, columns, [[first[a], second[b], v] for a, b, v in pairs])


def individual_table(scores: dict[str, Any]) -> Table | None:
    """Numbers of answers of many small clusters, a column a group; None where there are none.

    Examples
    --------
    >>> individual_table({"train": {"ari": 0.5}}) is None
    True
    """
    groups = scores.get("individuals")
    if not groups:
        return None
    rows = [[name.replace("_", " "), *(s[name] for s in groups.values()), rewards]
            for name, rewards in REWARDS.items()]  # fmt: skip
    head = ["number", *(f"{g}, n = {s['n']}" for g, s in groups.items()), "rewards"]
    return Table("individual-scores", "Many small clusters", head, rows, wide="rewards")
