"""What the page would have looked at: images that may lie in the wrong place."""

from __future__ import annotations

from pathlib import Path

from imclust.clustering.uncorrected import SUGGESTED
from imclust.core.records import read_csv
from imclust.report.page.rows import Rows


def suggested(assignment: Path, rows: Rows) -> list[tuple[int, int, float, int]]:
    """Images close to moved ones: (row, cluster, how sure in [0, 1], row of the moved one).

    Parameters
    ----------
    assignment : Path
        The answer.
    rows : Rows
        The images of the page; what speaks of others is left out.
    """
    path = assignment / SUGGESTED
    if not path.is_file():
        return []
    where = {i: row for row, i in enumerate(rows.ids.tolist())}
    return [
        (where[r["id"]], int(r["suggested"]), float(r["sure"]), where[r["because_of"]])
        for r in read_csv(path)
        if r["id"] in where and r["because_of"] in where
    ]
