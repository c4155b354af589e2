"""What is seen in every image, for the page to find images by words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imclust.core.word_records import LEAST, SeenClasses
from imclust.report.page.rows import Rows, packed32

SHARES = 255  # that a share of 1 is on the page


def seen_of(words: Path | None, rows: Rows) -> dict[str, Any]:
    """Columns of the page: every class that occurs, by its words, and those of every image.

    Of an image, only as many classes as may find it: of those that are less likely than all of
    LEAST together, none could.

    Parameters
    ----------
    words : Path, optional
        The `words` artefact.
    rows : Rows
        The images of the page.

    Returns
    -------
    dict
        `word_list`, words; `class_words`, places in it of the words of each class; `seen`, t
        numbers an image as base64 of uint32, 256 times the class plus the share in 255ths, 0 for
        none. Nothing where no words are known.

    Examples
    --------
    >>> from imclust.report.page.rows import gather_rows
    >>> rows = gather_rows(Path("run/clusters"), Path("raw/index"), None, {})
    >>> seen_of(None, rows)
    {}
    """
    if words is None:
        return {}
    found = SeenClasses.load(words)
    if not found.classes:
        return {}
    where = {i: row for row, i in enumerate(found.ids.tolist())}
    mine = [where.get(i, -1) for i in rows.ids.tolist()]
    shares = np.round(np.asarray(found.shares, float)[mine] * SHARES).astype(np.int64)
    shares[np.array(mine) < 0] = 0
    # What remains of an image's classes, the last first: so little finds nothing.
    little = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1] < LEAST * SHARES
    shares[little] = 0
    occurring = np.unique(found.likeliest[mine][shares > 0])
    place = np.zeros(len(found.classes), np.int64)
    place[occurring] = np.arange(len(occurring))
    listed = list(dict.fromkeys(word for c in occurring for word in found.classes[c]))
    at = {word: number for number, word in enumerate(listed)}
    packed = np.where(shares > 0, place[found.likeliest[mine]] * 256 + shares, 0)
    return {
        "word_list": listed,
        "class_words": [[at[word] for word in found.classes[c]] for c in occurring],
        "seen": packed32(packed),
    }
