"""Whether a submission fits its challenge: every problem of a file as one sentence.

The template that it is compared with, `imclust.template`, is at hand here too.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from imclust.competitions.sample_submission import (
    BOM,
    DELIMITERS,
    PIECE,
    SAMPLE,
    Sample,
    delimiter_of,
    natural,
    no_table,
    plain_sample,
    read_sample,
    render,
    split,
    vocabulary,
    with_header,
    write,
)
from imclust.core.errors import input_error

__all__ = [
    "SAMPLE", "Sample", "SubmissionCheck", "check", "check_submission", "natural",
    "plain_sample", "read_sample", "render", "vocabulary", "with_header", "write",
]  # fmt: skip
UNNAMED = {"", "Unnamed: 0"}  # what pandas calls an index that was written along


@dataclass
class SubmissionCheck:
    """What a look at a file found: problems, one sentence each; rows, and how often each label."""

    problems: list[str] = field(default_factory=list)
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def check(path: Path, sample: Sample, vocabulary: Sequence[str]) -> list[str]:
    """Every problem of a submission, one sentence each; none when it fits.

    Parameters
    ----------
    path : Path
        Any file at all.
    sample : Sample
        What it must look like.
    vocabulary : Sequence[str]
        Labels that are allowed; empty for any.
    """
    return check_submission(path, sample, vocabulary).problems


def check_submission(path: Path, sample: Sample, vocabulary: Sequence[str]) -> SubmissionCheck:
    """`check`, with what it counted on the way. The file is streamed once.

    Raises
    ------
    InputError
        There is no such file.
    """
    found = SubmissionCheck()
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing there"
        raise input_error(str(path), "a file to submit", got, "check the path")
    with path.open("rb") as f:
        head = f.read(PIECE)
    if problem := no_table(head):
        found.problems.append(f"it is {problem}")
        return found
    if b"\r" in head and b"\n" not in head and sample.line_end != b"\r":
        found.problems.append(r"its lines end in \r alone, which many programs read as one line")
    if _same_columns(head, sample, found.problems):
        with path.open(encoding=_named(sample), errors="replace", newline="") as file:
            _look_at_rows(file, sample, frozenset(vocabulary), found)
    return found


def _named(sample: Sample) -> str:
    return "utf-8-sig" if sample.encoding == "utf-8" else sample.encoding


def _same_columns(head: bytes, sample: Sample, problems: list[str]) -> bool:
    """Whether rows can be compared at all; adds what is wrong with the header."""
    if not sample.has_header:
        return True
    if re.match(re.escape(sample.header) + rb"(?:[\r\n]|\Z)", head):
        return True
    raw = re.split(rb"[\r\n]", head.removeprefix(BOM), maxsplit=1)[0]
    line = raw.decode(sample.encoding, "replace")
    try:
        cells = [c.strip() for c in split(line, sample.delimiter)]
    except csv.Error:
        cells = []
    width = len(sample.columns)
    if len(cells) == 1 and (other := delimiter_of(line)) != sample.delimiter and other in line:
        got, want = DELIMITERS[other], DELIMITERS[sample.delimiter]
        problems.append(f"its cells are separated by {got}, the sample's by {want}")
        return False
    if cells and cells[0] in UNNAMED - {sample.columns[0]}:
        problems.append("a column of row numbers stands first: write it without index")
        if len(cells) != width:
            return False
    want = sample.header.removeprefix(BOM).decode(sample.encoding)
    problems.append(f"its header is {_short(line)}, the sample's {_short(want)}{_only(line, want)}")
    return len(cells) == width


def _only(got: str, want: str) -> str:
    """In what alone two headers differ, where it is little."""
    if got == want:
        return " (they differ only by a byte-order mark)"
    for change, said in (
        (lambda s: re.sub(r"\s", "", s), "only by spaces"),
        (str.casefold, "only in upper and lower case"),
        (lambda s: s.replace('"', ""), "only by quotes"),
    ):
        if change(got) == change(want):
            return f" (they differ {said})"
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _look_at_rows(
    file: IO[str], sample: Sample, allowed: frozenset[str], found: SubmissionCheck
) -> None:
    """Stream the rows; adds what is wrong with them."""
    reader = csv.reader(iter(lambda: file.readline(PIECE), ""), delimiter=sample.delimiter)
    width, at_id, at_label = len(sample.columns), sample.id_column, sample.label_column
    ids = _Ids(sample.ids)
    uneven, empty, wrong = _Tally(), _Tally(), _Tally()
    counts = found.counts
    try:
        if sample.has_header:
            next(reader)
        for cells in reader:
            if not cells:
                continue
            found.rows += 1
            if len(cells) != width:
                uneven.add(f"row {found.rows} has {len(cells)}")
                continue
            image, label = cells[at_id], cells[at_label]
            if sample.spaced:
                image, label = image.strip(), label.strip()
            ids.take(image)
            if not image or not label:
                empty.add(f"in row {found.rows}")
            elif allowed and label not in allowed:
                wrong.add(_short(label))
            elif label in counts or len(counts) < 1000:  # of any labels, not all are kept
                counts[label] += 1
    except (csv.Error, StopIteration) as e:
        found.problems.append(f"line {reader.line_num} cannot be read as CSV ({e})")
        return
    if found.rows != len(sample.ids):
        found.problems.append(f"it has {found.rows} rows, the sample {len(sample.ids)}")
    if uneven:
        found.problems.append(f"rows of another number of cells than {width}: {uneven}")
    found.problems += ids.problems()
    if empty:
        found.problems.append(f"empty cells: {empty}")
    if wrong:
        labels = ", ".join(natural(allowed)[:12]) + (", ..." if len(allowed) > 12 else "")
        found.problems.append(f"labels that are none of {labels}: {wrong}")
    if found.rows > 1 and len(counts) == 1 and not wrong and len(allowed) != 1:
        found.problems.append(f"every row has the label {_short(next(iter(counts)))}")


class _Tally:
    """How often, and the first time."""

    def __init__(self) -> None:
        self.n, self.first = 0, ""

    def add(self, what: str) -> None:
        self.first = self.first or what
        self.n += 1

    def __bool__(self) -> bool:
        return self.n > 0

    def __str__(self) -> str:
        return f"{self.n}, first {self.first}"


class _Ids:
    """Compares ids as they come with those wanted, (n,) unique.

    As long as they come in order nothing is stored; afterwards one number an id that is wanted,
    however long the file is.
    """

    def __init__(self, want: tuple[str, ...]) -> None:
        self.want, self.taken = want, 0
        self.where: dict[str, int] = {}
        self.seen = bytearray()
        self.last = -1
        self.extra, self.twice, self.moved = _Tally(), _Tally(), _Tally()

    def take(self, image: str) -> None:
        at = self.taken
        self.taken += 1
        if not self.where:
            if at < len(self.want) and self.want[at] == image:
                return
            self.where = {i: n for n, i in enumerate(self.want)}
            self.seen = bytearray(len(self.want))
            self.seen[:at] = b"\1" * at
            self.last = at - 1
        place = self.where.get(image)
        if place is None:
            self.extra.add(_short(image))
        elif self.seen[place]:
            self.twice.add(_short(image))
        else:
            self.seen[place] = 1
            if place < self.last:
                self.moved.add(f"{_short(image)} in row {at + 1}")
            self.last = max(self.last, place)

    def problems(self) -> list[str]:
        """What is missing, extra, repeated, in another order."""
        if self.where:
            missing = self.seen.count(0)
            first = self.seen.find(0)
        else:
            missing, first = len(self.want) - self.taken, self.taken
        found = []
        if missing:
            found.append(f"missing ids: {missing}, first {_short(self.want[first])}")
        if self.extra:
            found.append(f"ids that the sample has not: {self.extra}")
        if self.twice:
            found.append(f"ids more than once: {self.twice}")
        if self.moved:
            found.append(
                f"ids in another order than the sample's ({self.moved}), which matters where "
                "rows are compared one by one"
            )
        return found
