"""Tables of what decided clusters of pairs and of what to ask: written by `link`, read by pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imclust.clustering.linked_groups import Linked
from imclust.clustering.pair_doubts import Bond, Question, cluster_doubts, questions
from imclust.core.records import Assignment, read_csv, write_csv

DOUBTS, QUESTIONS = "doubts.csv", "questions.csv"
ASKED = 20


class DoubtRow(NamedTuple):
    """What decided a cluster, as the table has it.

    Parameters
    ----------
    cluster : int
        Its number.
    name : str
        What it is called.
    doubt : float
        In [0, 1]: 1 where the weaker of the two numbers below lies at the threshold.
    holds : float
        Mean P(same) between the halves that were joined last; NaN for a single image.
    holds_first, holds_second : str
        Ids of the pair between them that speaks most for it; "" for a single image.
    nearest : int
        The cluster that it is nearest to; -1 for none that it may join.
    near : float
        Mean P(same) with that.
    near_first, near_second : str
        Ids of the pair that speaks most for it.
    """

    cluster: int
    name: str
    doubt: float
    holds: float
    holds_first: str
    holds_second: str
    nearest: int
    near: float
    near_first: str
    near_second: str


class QuestionRow(NamedTuple):
    """A question, as the table has it: are these two of one individual?

    Parameters
    ----------
    question : int
        From 1, the most worth asking first.
    first, second : str
        Ids.
    first_cluster, second_cluster : str
        Names of the clusters that they are in.
    now : str
        `same` or `not same`, as the clusters have it.
    change : float
        In [0, 1], how likely the answer is the other one.
    pairs : int
        Pairs of images that change with it.
    worth : float
        `change` times the square root of `pairs`, less where other questions ask of the same
        clusters.
    """

    question: int
    first: str
    second: str
    first_cluster: str
    second_cluster: str
    now: str
    change: float
    pairs: int
    worth: float


def write_doubts(
    folder: Path,
    linked: Mapping[str, tuple[np.ndarray, Linked]],
    assignment: Assignment,
    names: Sequence[str],
) -> None:
    """Write `doubts.csv`, the most doubtful cluster first, and `questions.csv`.

    Parameters
    ----------
    folder : Path
        Of the assignment.
    linked : mapping of str to (np.ndarray, Linked)
        Group -> its rows among those of the assignment, and its clusters; in the order in which
        clusters are numbered.
    assignment : Assignment
        The whole.
    names : sequence of str
        (k,) of the clusters.

    Examples
    --------
    >>> from imclust.clustering.pair_thresholds import Cut
    >>> p = np.array([[1, 0.8, 0.1], [0.8, 1, 0.4], [0.1, 0.4, 1]], np.float32)
    >>> linked = {"all": (np.arange(3), Linked(np.array([0, 0, 1]), p, Cut("average", 0.5)))}
    >>> assignment = Assignment(np.array([*"abc"]), np.full(3, "train"), np.eye(2)[[0, 0, 1]])
    >>> write_doubts(Path(), linked, assignment, ["sea", "hill"])
    >>> [(row["name"], row["doubt"]) for row in read_csv(Path(DOUBTS))]
    [('sea', '0.5000'), ('hill', '0.5000')]
    """
    ids, clusters = assignment.ids, assignment.clusters
    rows_of_doubt: list[DoubtRow] = []
    asked: list[tuple[np.ndarray, Question]] = []
    first = 0
    for rows, part in linked.values():
        found = cluster_doubts(part.labels, part.matrix, part.cut.threshold)
        for c, doubt in enumerate(found):
            nearest = first + doubt.nearest if doubt.near else -1
            hold, near = (_bond(b, ids[rows]) for b in (doubt.hold, doubt.near))
            rows_of_doubt.append(
                DoubtRow(first + c, names[first + c], doubt.value, *hold, nearest, *near)
            )
        mine = assignment.splits[rows] == "train"
        asked += [(rows, q) for q in questions(part.labels, part.matrix, mine, ASKED)]
        first += len(found)
    rows_of_doubt.sort(key=lambda row: -row.doubt)
    cells = ([f"{v:.4f}" if isinstance(v, float) else v for v in row] for row in rows_of_doubt)
    write_csv(folder / DOUBTS, DoubtRow._fields, cells)
    asked.sort(key=lambda pair: -pair[1].worth)
    table = []
    for n, (rows, q) in enumerate(asked[:ASKED], 1):
        a, b = rows[q.first], rows[q.second]
        now = "same" if q.together else "not same"
        numbers = (f"{q.change:.4f}", q.pairs, f"{q.worth:.4f}")
        table.append((n, ids[a], ids[b], names[clusters[a]], names[clusters[b]], now, *numbers))
    write_csv(folder / QUESTIONS, QuestionRow._fields, table)


def _bond(bond: Bond | None, ids: np.ndarray) -> tuple[float, str, str]:
    if bond is None:
        return float("nan"), "", ""
    return bond.mean, str(ids[bond.first]), str(ids[bond.second])


def read_doubts(assignment: Path) -> list[DoubtRow]:
    """What decided the clusters of an assignment; nothing of one that is not of pairs.

    Examples
    --------
    >>> read_doubts(Path("/nowhere"))
    []
    """
    path = assignment / DOUBTS
    return [
        DoubtRow(
            int(r["cluster"]), r["name"], float(r["doubt"]), float(r["holds"]), r["holds_first"],
            r["holds_second"], int(r["nearest"]), float(r["near"]), r["near_first"],
            r["near_second"],
        )
        for r in (read_csv(path) if path.is_file() else [])
    ]  # fmt: skip


def read_questions(assignment: Path) -> list[QuestionRow]:
    """What to ask of an assignment; nothing of one that is not of pairs.

    Examples
    --------
    >>> read_questions(Path("/nowhere"))
    []
    """
    path = assignment / QUESTIONS
    return [
        QuestionRow(
            int(r["question"]), r["first"], r["second"], r["first_cluster"], r["second_cluster"],
            r["now"], float(r["change"]), int(r["pairs"]), float(r["worth"]),
        )
        for r in (read_csv(path) if path.is_file() else [])
    ]  # fmt: skip
